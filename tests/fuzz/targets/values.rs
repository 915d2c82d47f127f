//! What people write: values in their normal form, free text, names, times.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use watchfire::briefing;
use watchfire::briefing::Briefing;
use watchfire::briefing::Cadence;
use watchfire::briefing::OtherAssets;
use watchfire::briefing::Presentation;
use watchfire::briefing::Problems;
use watchfire::briefing::Said;
use watchfire::client::Cursor;
use watchfire::model::fingerprint::Fingerprint;
use watchfire::model::handling::Tlp;
use watchfire::model::head::HeadScope;
use watchfire::model::limits;
use watchfire::model::names::Audience;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::KeyId;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::model::names::SubscriptionName;
use watchfire::model::normal_form::NormalForm;
use watchfire::model::normal_form::NormalFormError;
use watchfire::model::normal_form::normal_form as form;
use watchfire::model::normal_form::recognise;
use watchfire::model::observable::ObservableKind as Kind;
use watchfire::model::perceptual::Pdq;
use watchfire::model::platform::Platform;
use watchfire::model::refang;
use watchfire::model::text as words;
use watchfire::model::time::Timestamp;
use watchfire::model::visible;
use watchfire::wire;
use watchfire::wire::pb;

use super::text as utf8;
use super::world::world;

const PLATFORMS: [&str; 14] = [
    "",
    "x",
    "facebook",
    "youtube",
    "instagram",
    "telegram",
    "tumblr",
    "reddit",
    "weibo",
    "medium",
    "google-play",
    "apple-app-store",
    "vk",
    "our-forum",
];

/// A value: kind and platform in a byte each, and what was written.
pub(super) fn normal_form(data: &[u8]) {
    let Some(([kind, platform], written)) = data.split_first_chunk() else { return };
    let Some(written) = utf8(written) else { return };
    let platform = PLATFORMS.iter().cycle().nth(usize::from(*platform) % PLATFORMS.len());
    let platform: Option<Platform> = platform.and_then(|word| word.parse().ok());
    if let Some(kind) = Kind::from_number(i32::from(*kind % 24)) {
        match form(kind, platform.as_ref(), written) {
            Ok(found) => is_normal(&found),
            Err(NormalFormError::Unstable) => {
                panic!("its normal form does not settle: {written:?}")
            }
            Err(_refused) => {}
        }
    }
    if let Some(found) = recognise(written) {
        is_normal(&found);
    }
    let query = pb::ValueQuery {
        value: written.to_owned(),
        kind: i32::from(*kind % 24),
        platform: platform.map_or_else(String::new, |platform| platform.to_string()),
    };
    if let Ok((found, digest)) = wire::query_form(&query) {
        let again = pb::ValueQuery {
            value: found.value.clone(),
            kind: found.kind,
            platform: found.platform.clone(),
        };
        assert_eq!(wire::query_form(&again).ok(), Some((found, digest)), "asked again as answered");
    }
}

fn is_normal(found: &NormalForm) {
    assert!(found.value.len() <= limits::VALUE_BYTES_MAX, "{} bytes", found.value.len());
    assert!(!found.value.chars().any(char::is_control), "{found:?}");
    let again = form(found.kind, found.platform.as_ref(), &found.value);
    assert_eq!(again.as_ref(), Ok(found), "a normal form is its own");
    assert_eq!(again.map(|again| again.digest()), Ok(found.digest()));
}

/// Free text on its way to readers, and texts that are names, times or cursors.
pub(super) fn text(data: &[u8]) {
    let Some(text) = utf8(data) else { return };
    shown(text);
    told(text);
    let mut found = BTreeSet::new();
    words::words(text, &mut found);
    assert!(found.iter().all(|word| !word.is_empty() && word.len() <= limits::WORD_BYTES_MAX));
    if let Ok(asked) = words::query_words(text) {
        assert!(asked.len() <= limits::QUERY_WORDS_MAX);
    }
    named(text);
}

fn shown(text: &str) {
    let whole = refang::refang(text);
    assert_eq!(refang::refang(&whole), whole, "refanged once is refanged");
    for defanged in [refang::defang(text), refang::defang_text(text)] {
        assert!(defanged.len() <= 5 * text.len() + 16, "what is harmless is not much longer");
    }
    let (value, words) = (refang::defang(text), refang::defang_text(text));
    assert_eq!(refang::defang(&value), value, "defanged once is defanged");
    assert_eq!(refang::defang_text(&words), words, "defanged once is defanged");
    let seen = visible::visible(text);
    assert!(!seen.chars().any(visible::is_unseen));
    assert_eq!(visible::visible(&seen), seen);
    let line = visible::visible_line(text);
    assert!(!line.contains('\n'), "one line");
    let said = Said::from(text).cut(80);
    assert!(said.len() <= 80 * 8 && !said.chars().any(visible::is_unseen), "{said:?}");
}

/// Whatever was said, a briefing has as many lines as with any other words.
fn told(text: &str) {
    if Said::from(text).is_empty() {
        return;
    }
    assert_eq!(told_in(text), *PLAIN, "what was said adds no line and no element");
}

/// Of a briefing where little is said. Worked out once: two briefings take ten times as long as all the rest.
static PLAIN: LazyLock<(usize, usize)> = LazyLock::new(|| told_in("x"));

/// Lines and elements of a briefing.
fn told_in(text: &str) -> (usize, usize) {
    let briefing = a_briefing(text);
    let html = briefing::to_html(&briefing);
    assert!(!html.contains("<b>"), "what was said is no mark-up");
    (briefing::to_markdown(&briefing).lines().count(), html.matches('<').count())
}

fn a_briefing(said: &str) -> Briefing {
    let other_assets = Some(OtherAssets { tlp: Tlp::Green, assets: Vec::new() });
    let member: MemberId = "acme-video".parse().expect("an id");
    Briefing {
        exchange: said.into(),
        reader: member.clone(),
        prepared_at: world().now,
        since: world().now,
        until: world().now,
        log_size: 12,
        tlp_at_least: Tlp::Green,
        presentations: vec![Presentation {
            member,
            display_name: said.into(),
            operations: Vec::new(),
            other_assets,
        }],
        problems: Problems::default(),
        cadence: Cadence::default(),
    }
}

/// A name that is one is spelt as it was read.
fn named(text: &str) {
    if let Ok(name) = text.parse::<MemberId>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = text.parse::<RecordName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = text.parse::<RevisionName>() {
        assert_eq!(name.to_string().parse(), Ok(name));
    }
    if let Ok(name) = text.parse::<SubscriptionName>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = text.parse::<Audience>() {
        assert_eq!(name.to_string(), text);
    }
    if let Ok(name) = ExchangeName::from_name(text) {
        assert_eq!(name.name(), text);
    }
    if let Ok(key) = text.parse::<KeyId>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(scope) = text.parse::<HeadScope>() {
        assert_eq!(scope.to_string(), text);
    }
    if let Ok(kind) = text.parse::<Kind>() {
        // It may be said in several ways, and is written in one.
        assert_eq!(kind.to_string().parse().ok(), Some(kind));
    }
    if let Ok(platform) = text.parse::<Platform>() {
        assert_eq!(platform.to_string().parse(), Ok(platform));
    }
    if let Ok(hash) = text.parse::<Pdq>() {
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
    if let Some(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "a time survives its text");
    }
}
