//! An indicator as an attribute, or as an object where MISP has a template for its kind.

use crate::interop::exported::ExportedRecord;
use crate::interop::misp::ids;
use crate::interop::misp::piece::Attribute;
use crate::interop::misp::piece::Object;
use crate::interop::misp::piece::Piece;
use crate::interop::misp::piece::Seen;
use crate::interop::misp::tags;
use crate::interop::misp::template;
use crate::interop::misp::template::Template;
use crate::interop::misp::text;
use crate::model::handling::OnwardUse;
use crate::model::normal_form::NormalForm;
use crate::model::observable::ObservableKind as Kind;
use crate::model::platform::Platform;
use crate::model::time::Timestamp;
use crate::wire::body::Content;
use crate::wire::expiry;
use crate::wire::pb;

/// What an indicator says, in pieces, the asset first. `None` if the record is none, or has no body any more.
pub(super) fn pieces(record: &ExportedRecord, now: Timestamp) -> Option<Vec<Piece>> {
    let Content::Indicator { form, .. } = &record.record.content else { return None };
    let Some(pb::body::Content::Indicator(said)) = &record.record.body.content else { return None };
    let observable = said.observable.as_ref()?;
    let form = form.clone().unwrap_or_else(|| aggregate(observable));
    let mut pieces = vec![Maker { record, said, observable, form: &form, now }.asset()];
    pieces.extend(metrics(record, &said.metrics));
    Some(pieces)
}

/// Figures about an asset or an operation.
pub(super) fn metrics(record: &ExportedRecord, metrics: &[pb::Metric]) -> Vec<Piece> {
    let one = |(number, metric): (usize, &pb::Metric)| {
        let said = [("claimant", metric.claimant.clone()), ("note", metric.note.clone())];
        Piece::Attribute(Attribute {
            uuid: ids::part(record.name(), &format!("metric {number}")),
            kind: "text",
            category: "Other",
            value: text::metric(metric),
            comment: text::comment(&said, record),
            to_ids: false,
            relation: None,
            seen: Seen::default(),
            tags: vec![tags::tlp(record.record.header.handling.tlp).to_owned()],
        })
    };
    metrics.iter().enumerate().map(one).collect()
}

/// When anything about a record's pieces changed last: when it was taken in, or when detection might begin or had to end
/// to use it.
pub(super) fn changed(record: &ExportedRecord, now: Timestamp) -> Timestamp {
    let passed = turns(record).filter(|turn| *turn <= now).max();
    passed.max(Some(record.accept_time)).unwrap_or(record.accept_time)
}

/// When the pieces of a record change by themselves, after `now`.
pub(super) fn next_change(record: &ExportedRecord, now: Timestamp) -> Option<Timestamp> {
    turns(record).filter(|turn| *turn > now).min()
}

/// When detection may begin and must end to use it.
fn turns(record: &ExportedRecord) -> impl Iterator<Item = Timestamp> {
    let begins = match &record.record.body.content {
        Some(pb::body::Content::Indicator(said)) => text::moment(said.valid_from_time.as_ref()),
        _ => None,
    };
    let ends = expiry(&record.record.header, Some(&record.record.body));
    let may_block = may_block(record);
    [begins, ends].into_iter().flatten().filter(move |_turn| may_block)
}

fn may_block(record: &ExportedRecord) -> bool {
    record.record.header.handling.onward_uses.contains(&OnwardUse::Block)
}

struct Maker<'a> {
    record: &'a ExportedRecord,
    said: &'a pb::Indicator,
    observable: &'a pb::Observable,
    form: &'a NormalForm,
    now: Timestamp,
}

/// Assets that are not named have a sentence instead of a normal form.
fn aggregate(observable: &pb::Observable) -> NormalForm {
    let value = observable.aggregate.as_ref().map_or_else(String::new, |aggregate| {
        let whole = counted(aggregate.of(), &observable.platform, aggregate.count.as_ref());
        let parts: Vec<String> = aggregate
            .parts
            .iter()
            .map(|part| counted(part.of(), &part.platform, part.count.as_ref()))
            .collect();
        if parts.is_empty() { whole } else { format!("{whole} ({})", parts.join(", ")) }
    });
    NormalForm { kind: Kind::Aggregate, platform: None, value }
}

/// `22 accounts on facebook`.
pub(super) fn counted(
    kind: pb::ObservableKind,
    platform: &str,
    count: Option<&pb::Figure>,
) -> String {
    let word = Kind::from_number(kind.into()).map_or("asset", Kind::as_str);
    let plural = if word.ends_with(['s', 'h']) { "es" } else { "s" };
    let on = if platform.is_empty() { "" } else { " on " };
    format!("{} {word}{plural}{on}{}", text::figure(count), text::line(platform))
}

impl Maker<'_> {
    fn asset(&self) -> Piece {
        match self.template() {
            Some(template) => Piece::Object(self.object(template)),
            None => Piece::Attribute(self.attribute()),
        }
    }

    fn template(&self) -> Option<&'static Template> {
        let platform = self.form.platform.as_ref().map_or("", Platform::as_str);
        let is_profile = matches!(
            self.form.kind,
            Kind::Account | Kind::Page | Kind::Channel | Kind::Blog | Kind::AdAccount
        );
        match (platform, self.form.kind) {
            ("x", _) if is_profile => Some(&template::TWITTER_ACCOUNT),
            ("facebook", Kind::Page) => Some(&template::FACEBOOK_PAGE),
            ("facebook", Kind::Group) => Some(&template::FACEBOOK_GROUP),
            ("facebook", _) if is_profile => Some(&template::FACEBOOK_ACCOUNT),
            ("instagram", _) if is_profile => Some(&template::INSTAGRAM_ACCOUNT),
            ("telegram", _) if is_profile => Some(&template::TELEGRAM_ACCOUNT),
            ("youtube", _) if is_profile => Some(&template::YOUTUBE_CHANNEL),
            ("reddit", _) if is_profile => Some(&template::REDDIT_ACCOUNT),
            (_, Kind::Group) => Some(&template::SOCIAL_MEDIA_GROUP),
            (_, _) if is_profile => Some(&template::USER_ACCOUNT),
            _ => None,
        }
    }

    fn object(&self, template: &'static Template) -> Object {
        let (value, observable) = (&self.form.value, self.observable);
        let number = value.bytes().all(|byte| byte.is_ascii_digit());
        let channel_id =
            value.strip_prefix("channel/").filter(|_id| template.name == "youtube-channel");
        let is_id = channel_id.is_some()
            || (number
                && matches!(
                    template.name,
                    "facebook-account" | "facebook-page" | "facebook-group"
                ));
        let relation = template.id.filter(|_relation| is_id).unwrap_or(template.names);
        let named = channel_id.unwrap_or(value);
        let mut attributes = vec![self.part("value", relation, named)];
        let platform = self.form.platform.as_ref().map_or("", Platform::as_str);
        let further = [
            ("id", template.id.filter(|id| *id != relation), observable.platform_id.as_str()),
            ("display", template.display, observable.display_name.as_str()),
            ("platform", template.platform, platform),
        ];
        for (part, relation, value) in further {
            let value = text::line(value);
            if let Some(relation) = relation.filter(|_relation| !value.is_empty()) {
                // What holds of the asset stands with what names it: said of each, it would be said many times over.
                let further = Attribute {
                    to_ids: false,
                    tags: vec![self.label()],
                    ..self.part(part, relation, &value)
                };
                attributes.push(further);
            }
        }
        Object {
            uuid: ids::part(self.record.name(), "object"),
            template,
            comment: self.comment(),
            seen: self.seen(),
            attributes,
        }
    }

    /// One attribute of an object. All are text, whatever the template.
    fn part(&self, part: &str, relation: &'static str, value: &str) -> Attribute {
        Attribute {
            uuid: ids::part(self.record.name(), part),
            kind: "text",
            category: "Other",
            value: text::line(value),
            comment: String::new(),
            to_ids: self.to_ids(),
            relation: Some(relation),
            seen: Seen::default(),
            tags: self.tags(),
        }
    }

    fn attribute(&self) -> Attribute {
        let (kind, category) = self.kind();
        let can_detect = !matches!(kind, "text" | "phone-number");
        Attribute {
            uuid: ids::part(self.record.name(), "value"),
            kind,
            category,
            value: if self.form.kind == Kind::Hashtag {
                format!("#{}", text::line(&self.form.value))
            } else {
                text::line(&self.form.value)
            },
            comment: self.comment(),
            to_ids: can_detect && self.to_ids(),
            relation: None,
            seen: self.seen(),
            tags: self.tags(),
        }
    }

    /// Type and category.
    fn kind(&self) -> (&'static str, &'static str) {
        let value = self.form.value.as_str();
        let is_address = value.starts_with("https://") || value.starts_with("ftp://");
        let other = if is_address { ("url", "Network activity") } else { ("text", "Other") };
        match self.form.kind {
            Kind::Domain if !is_host(value) => ("text", "Network activity"),
            Kind::Domain if psl::domain_str(value) == Some(value) => ("domain", "Network activity"),
            Kind::Domain => ("hostname", "Network activity"),
            Kind::IpAddress => ("ip-dst", "Network activity"),
            Kind::EmailAddress => ("email", "Social network"),
            Kind::PhoneNumber => ("phone-number", "Person"),
            Kind::Hashtag => ("text", "Social network"),
            Kind::App if !is_address => ("mobile-application-id", "Payload delivery"),
            Kind::PaymentHandle => ("text", "Financial fraud"),
            Kind::FileHash | Kind::MediaHash => (self.hash(), "Payload delivery"),
            Kind::Url
            | Kind::App
            | Kind::Account
            | Kind::Page
            | Kind::Group
            | Kind::Channel
            | Kind::Blog
            | Kind::AdAccount
            | Kind::Post
            | Kind::Ad
            | Kind::Event
            | Kind::Petition => other,
            Kind::TextHash | Kind::Aggregate => ("text", "Other"),
        }
    }

    /// Perceptual hashes are text: MISP has no type for them.
    fn hash(&self) -> &'static str {
        let value = &self.form.value;
        let is_hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_perceptual = matches!(self.observable.algorithm.as_str(), "pdq" | "vpdq" | "tmk");
        // A media hash without an algorithm may be a perceptual one, which is as long as a SHA-256.
        let is_unsure = self.form.kind == Kind::MediaHash && self.observable.algorithm.is_empty();
        match value.len() {
            _ if !is_hex || is_perceptual || is_unsure => "text",
            32 => "md5",
            40 => "sha1",
            64 => "sha256",
            128 => "sha512",
            _ => "text",
        }
    }

    fn to_ids(&self) -> bool {
        let end = expiry(&self.record.record.header, Some(&self.record.record.body));
        let begins = text::moment(self.said.valid_from_time.as_ref());
        may_block(self.record)
            && end.is_none_or(|end| end > self.now)
            && begins.is_none_or(|begins| begins <= self.now)
    }

    fn seen(&self) -> Seen {
        let first = text::moment(self.said.first_seen_time.as_ref());
        Seen::new(first, text::moment(self.said.last_seen_time.as_ref()))
    }

    fn tags(&self) -> Vec<String> {
        let handling = &self.record.record.header.handling;
        let mut tags = vec![self.label()];
        tags.extend(handling.onward_uses.iter().copied().map(tags::onward_use));
        tags.extend(self.said.confidence.map(|percent| tags::confidence(percent).to_owned()));
        tags.extend(tags::of_asset(&self.said.techniques).0);
        tags
    }

    fn label(&self) -> String {
        tags::tlp(self.record.record.header.handling.tlp).to_owned()
    }

    fn comment(&self) -> String {
        let Self { said, observable, form, .. } = self;
        let review = match said.review() {
            pb::Review::Unspecified => "",
            pb::Review::Automated => "automated",
            pb::Review::Analyst => "analyst",
            pb::Review::Confirmed => "confirmed",
        };
        let given = if observable.value == form.value { "" } else { observable.value.as_str() };
        let evidence = said.evidence.iter().map(|one| hex::encode(&one.sha256)).collect::<Vec<_>>();
        let time = |wire: Option<&prost_types::Timestamp>| {
            text::moment(wire).map_or_else(String::new, |time| time.to_string())
        };
        let end = expiry(&self.record.record.header, Some(&self.record.record.body));
        let (_tags, further) = tags::of_asset(&said.techniques);
        let fields = [
            ("kind", form.kind.to_string()),
            ("platform", form.platform.as_ref().map_or_else(String::new, ToString::to_string)),
            ("as given", given.to_owned()),
            ("platform id", observable.platform_id.clone()),
            ("display name", observable.display_name.clone()),
            ("algorithm", observable.algorithm.clone()),
            (
                "advertisement",
                observable.advertisement.as_ref().map_or_else(String::new, advertisement),
            ),
            ("description", said.description.clone()),
            ("labels", said.labels.join(", ")),
            ("confidence", said.confidence.map_or_else(String::new, |percent| percent.to_string())),
            ("review", review.to_owned()),
            ("valid from", time(said.valid_from_time.as_ref())),
            ("until", end.map_or_else(String::new, |end| end.to_string())),
            ("evidence sha256", evidence.join(", ")),
            ("further techniques", if further > 0 { further.to_string() } else { String::new() }),
        ];
        text::comment(&fields, self.record)
    }
}

fn advertisement(said: &pb::Advertisement) -> String {
    let pb::Advertisement { payer, spend, currency, impressions, .. } = said;
    let figure = |figure: &pb::Figure| text::figure(Some(figure));
    let spent = spend.as_ref().map(|spend| format!("{} hundredths of {currency}", figure(spend)));
    let shown = impressions.as_ref().map(|shown| format!("{} impressions", figure(shown)));
    let words = [Some(format!("paid by {payer}")), spent, shown];
    words.into_iter().flatten().collect::<Vec<String>>().join(", ")
}

/// What MISP takes for a domain or a host name.
fn is_host(value: &str) -> bool {
    let last = value.rsplit('.').next().unwrap_or_default();
    last.len() >= 2 && !last.contains('_')
}
