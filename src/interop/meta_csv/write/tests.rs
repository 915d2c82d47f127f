use std::fs;
use std::path::Path;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::interop::meta_csv::ImportedFile;
use crate::interop::meta_csv::RowOutcome;
use crate::interop::techniques::KILL_CHAIN;
use crate::model::normal_form::normal_form;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;

/// The sheet that a file's import would become.
fn sheet_of(file: &ImportedFile) -> Sheet {
    let mut operation = pb::Operation { title: "Lantern".to_owned(), ..pb::Operation::default() };
    for row in &file.rows {
        let RowOutcome::Operation { techniques, metrics, narrative } = &row.outcome else {
            continue;
        };
        add(&mut operation.techniques, techniques);
        add(&mut operation.metrics, metrics);
        add(&mut operation.narratives, narrative.as_slice());
    }
    let assets = file.drafts().map(|draft| Asset {
        form: (draft.kind != Kind::Aggregate).then(|| NormalForm {
            kind: draft.kind,
            platform: draft.platform.clone(),
            value: draft.normal_form.clone(),
        }),
        indicator: draft.indicator.clone(),
    });
    let assets = assets.collect();
    Sheet { title: "Lantern".to_owned(), parts: vec![operation], assets }
}

/// Each once, as the import does it.
fn add<T: Clone + PartialEq>(list: &mut Vec<T>, more: &[T]) {
    for one in more {
        if !list.contains(one) {
            list.push(one.clone());
        }
    }
}

/// Drafts by identity and content, in their order.
fn told(file: &ImportedFile) -> Vec<(i32, Option<Platform>, String, pb::Indicator)> {
    let drafts = file.drafts();
    drafts
        .map(|one| {
            let form = one.normal_form.clone();
            (one.kind.number(), one.platform.clone(), form, one.indicator.clone())
        })
        .collect()
}

fn lists(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| if path.is_dir() { lists(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "csv"))
        .collect();
    found.sort();
    found
}

#[test]
fn published_lists_come_back_as_they_were_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/meta-threat-research/indicators/csv");
    for path in lists(&folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = fs::read(&path).unwrap();
        let first = import(&name, &bytes).unwrap();
        let layout =
            if bytes.starts_with(b"indicator_type") { Layout::Flat } else { Layout::KillChain };
        let sheet = sheet_of(&first);
        let Written { text, account } = sheet.write(layout).unwrap();
        let again = import(&name, text.as_bytes()).unwrap();
        assert_eq!(told(&again), told(&first), "{name}");
        assert_eq!(sheet_of(&again), sheet, "{name}");
        let exact = u64::try_from(sheet.assets.len()).unwrap();
        assert_eq!(account, WriteAccount { exact, ..WriteAccount::default() }, "{name}");
    }
}

fn asset(kind: Kind, platform: &str, value: &str) -> Asset {
    let place: Option<Platform> = platform.parse().ok();
    let observable = pb::Observable {
        kind: kind.number(),
        platform: platform.to_owned(),
        value: value.to_owned(),
        ..pb::Observable::default()
    };
    Asset {
        form: normal_form(kind, place.as_ref(), value).ok(),
        indicator: pb::Indicator { observable: Some(observable), ..pb::Indicator::default() },
    }
}

fn technique(external_id: &str, name: &str, phase: &str) -> pb::Technique {
    pb::Technique {
        framework: KILL_CHAIN.to_owned(),
        external_id: external_id.to_owned(),
        name: name.to_owned(),
        phase: phase.to_owned(),
        ..pb::Technique::default()
    }
}

fn write(assets: Vec<Asset>, parts: Vec<pb::Operation>, layout: Layout) -> Written {
    Sheet { title: "Lantern".to_owned(), parts, assets }.write(layout).unwrap()
}

#[test]
fn what_a_spreadsheet_would_run_is_harmless_and_comes_back() {
    let mut one = asset(Kind::Domain, "", "lantern[.]example");
    one.indicator.description = "=cmd|' /C calc'!A0".to_owned();
    let operation = pb::Operation {
        techniques: vec![pb::Technique {
            observed: "+1 is what they wrote; =also this".to_owned(),
            ..technique("6.3.1", "Spraying", "Indiscriminate engagement")
        }],
        ..pb::Operation::default()
    };
    let Written { text, account } = write(vec![one], vec![operation], Layout::KillChain);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    for cell in reader.records().flat_map(|record| {
        let record = record.unwrap();
        record.iter().map(str::to_owned).collect::<Vec<_>>()
    }) {
        let starts = |part: &str| part.trim_start().starts_with(['=', '+', '-', '@']);
        assert!(!cell.split(';').any(starts), "{cell:?}");
    }
    assert_eq!((account.exact, account.fields.len()), (1, 0), "{account:?}");
}

#[test]
fn what_the_layout_cannot_say_is_counted_by_what_it_is() {
    let mut rich = asset(Kind::Domain, "", "lantern[.]example");
    rich.indicator.confidence = Some(80);
    rich.indicator.techniques = vec![
        pb::Technique { framework: "disarm".to_owned(), ..technique("T0013", "Sites", "") },
        technique("0.6.2", "Acquiring domains", "Acquiring assets"),
    ];
    let assets = vec![
        rich.clone(),
        asset(Kind::PhoneNumber, "", "+1 555 0100"),
        asset(Kind::Account, "x", "@example_voice"),
        rich,
    ];
    let operation = pb::Operation {
        aliases: vec!["Storm".to_owned()],
        narratives: vec!["The harbour is closed.".to_owned()],
        ..pb::Operation::default()
    };
    let Written { account, .. } = write(assets, vec![operation], Layout::KillChain);
    assert_eq!((account.exact, account.shortened, account.repeated), (0, 1, 1), "{account:?}");
    let left_out: Vec<_> = account.left_out.iter().collect();
    assert_eq!(left_out, [(&"account", &1), (&"phone-number", &1)]);
    let fields: Vec<_> = account.fields.keys().copied().collect();
    let expected = ["confidence", "operation.aliases", "operation.narratives", "techniques"];
    assert_eq!(fields, expected);
}

#[test]
fn a_remark_never_brings_in_what_was_not_said() {
    let mut one = asset(Kind::Domain, "", "lantern[.]example");
    one.indicator.description = "redirects to: https://elsewhere.example/a".to_owned();
    let Written { text, account } = write(vec![one], vec![], Layout::KillChain);
    assert!(!text.contains("elsewhere"), "{text}");
    assert_eq!((account.shortened, account.fields.get("description")), (1, Some(&1)));
}

#[test]
fn a_domain_under_a_procedure_of_services_stays_an_asset() {
    let mut one = asset(Kind::Domain, "", "lantern[.]example");
    one.indicator.techniques = vec![technique("5.1.1", "Using proxies", "Evading detection")];
    let Written { account, text } = write(vec![one], vec![], Layout::KillChain);
    assert_eq!(account.exact, 1, "{account:?} {text}");
}

#[test]
fn aggregates_that_flags_made_are_put_in_words() {
    let count = |text: &str| {
        let read = crate::interop::meta_csv::count::count(text, "").unwrap();
        let mut one = asset(Kind::Aggregate, &read.platform, "");
        one.form = None;
        if let Some(observable) = &mut one.indicator.observable {
            observable.aggregate = Some(read.aggregate);
        }
        one
    };
    let texts = [
        "652 accounts on facebook",
        "At least 3,000 posts",
        "About 110 pages on facebook",
        "39 youtube channels, 13 accounts on google+",
    ];
    let assets: Vec<Asset> = texts.into_iter().map(count).collect();
    let Written { account, text } = write(assets, vec![], Layout::KillChain);
    assert_eq!((account.shortened, account.left_out.len()), (4, 0), "{account:?} {text}");
    assert_eq!(account.fields.keys().copied().collect::<Vec<_>>(), ["observable.value"]);
}

fn values() -> impl Strategy<Value = (Kind, String)> {
    prop_oneof![
        "[a-z]{3,8}\\.example".prop_map(|host| (Kind::Domain, host)),
        "[a-z]{3,8}\\[\\.\\]example".prop_map(|host| (Kind::Domain, host)),
        "hxxps://[a-z]{3,8}\\[\\.\\]example/[a-z0-9=;+-]{1,8}".prop_map(|url| (Kind::Url, url)),
        "#[a-z]{3,8}".prop_map(|tag| (Kind::Hashtag, tag)),
        "[0-9a-f]{64}".prop_map(|hash| (Kind::FileHash, hash)),
        "[a-z]{2,6}@[a-z]{3,8}\\.example".prop_map(|mail| (Kind::EmailAddress, mail)),
        "[=+@-]{1,2}[a-z]{1,4}".prop_map(|odd| (Kind::Domain, odd)),
    ]
}

fn any_asset() -> impl Strategy<Value = Asset> {
    let remark = "([=+@;,\"\r\n\t -]|[a-z]|é|\u{200b}|\u{1b}| ){0,24}";
    let techniques = prop::collection::vec("[0-9]\\.[1-9](\\.[1-9])?", 0..3);
    (values(), remark, techniques).prop_map(|((kind, value), remark, techniques)| {
        let mut one = asset(kind, "", &value);
        one.indicator.description = remark;
        let made = techniques.iter().map(|code| technique(code, "Label", "Any"));
        one.indicator.techniques = made.collect();
        one
    })
}

proptest! {
    #[test]
    fn every_asset_comes_back_or_is_counted_and_nothing_else_comes(
        assets in prop::collection::vec(any_asset(), 0..12),
        flat in any::<bool>(),
    ) {
        let layout = if flat { Layout::Flat } else { Layout::KillChain };
        let count = u64::try_from(assets.len()).unwrap();
        let keys: BTreeSet<_> = assets.iter().map(Asset::key).collect();
        let Written { text, account } = write(assets, vec![], layout);
        let left_out: u64 = account.left_out.values().sum();
        let exact = account.exact;
        prop_assert_eq!(exact + account.shortened + account.repeated + left_out, count);
        let read = import("", text.as_bytes()).unwrap();
        for draft in read.drafts() {
            prop_assert!(keys.contains(&account::Key::of_draft(draft)), "{:?} of {}", draft, text);
        }
        let back = sheet_of(&read);
        let again = back.write(layout).unwrap();
        prop_assert_eq!(again.account.exact, u64::try_from(back.assets.len()).unwrap(), "{}", text);
        let has_escape = text.contains('\u{1b}');
        prop_assert!(!has_escape);
    }
}
