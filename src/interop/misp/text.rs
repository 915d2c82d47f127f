//! Text for people: comments and reports. What members wrote is hostile until it went through here.

use crate::interop::exported::ExportedRecord;
use crate::interop::techniques::bounded;
use crate::model::time::Timestamp;
use crate::model::visible::visible_line;
use crate::wire::pb;
use crate::wire::time;

/// Bytes of a comment: a database of MISP takes 64 KiB, people read less.
const COMMENT_BYTES_MAX: usize = 4096;
/// Bytes of a value that is free text.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// What is said besides a value, and where the record is found again.
pub(super) fn comment(said: &[(&str, String)], record: &ExportedRecord) -> String {
    let mut words: Vec<String> = said
        .iter()
        .filter(|(_what, text)| !text.is_empty())
        .map(|(what, text)| format!("{what}: {}", visible_line(text)))
        .collect();
    words.retain(|word| !word.ends_with(": "));
    let origin = origin(record);
    let said = bounded(&words.join("; "), COMMENT_BYTES_MAX.saturating_sub(origin.len() + 1));
    if said.is_empty() { origin } else { format!("{said} {origin}") }
}

/// By this a reader fetches the record and checks that it says the same: `watchfire get NAME`.
pub(super) fn origin(record: &ExportedRecord) -> String {
    let header = &record.record.header;
    let digest = hex::encode(record.record.header_digest);
    format!(
        "[{}@{} sha256:{digest} epoch {} sequence {}]",
        header.name, header.revision, record.epoch, record.sequence
    )
}

/// Free text as a value: one line, bounded. Empty if nothing is left.
pub(super) fn line(text: &str) -> String {
    bounded(&visible_line(text), TEXT_BYTES_MAX)
}

/// Free text in Markdown: one line, in which nothing means anything but itself. Never at the start of one.
pub(super) fn markdown(text: &str) -> String {
    let mut out = String::new();
    for character in line(text).chars() {
        // MISP's reports read `@[attribute](uuid)` and the like as references: those have brackets, too.
        if character.is_ascii_punctuation()
            && !matches!(character, ',' | '.' | ':' | ';' | '?' | '/' | '-')
        {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

/// A figure in words.
pub(super) fn figure(figure: Option<&pb::Figure>) -> String {
    match figure.and_then(|figure| figure.value.as_ref()) {
        Some(pb::figure::Value::Exact(number)) => number.to_string(),
        Some(pb::figure::Value::AtLeast(number)) => format!("at least {number}"),
        Some(pb::figure::Value::Between(pb::FigureRange { low, high })) => {
            format!("{low} to {high}")
        }
        None => "an unknown number of".to_owned(),
    }
}

/// A metric in words: `13466 views in US on youtube`. Money is in hundredths.
pub(super) fn metric(metric: &pb::Metric) -> String {
    let kind = match metric.kind() {
        pb::MetricKind::Unspecified => "of something",
        pb::MetricKind::Views => "views",
        pb::MetricKind::Followers => "followers",
        pb::MetricKind::Members => "members",
        pb::MetricKind::AccountsReached => "accounts reached",
        pb::MetricKind::Impressions => "impressions",
        pb::MetricKind::Engagements => "engagements",
        pb::MetricKind::AdSpend => "hundredths spent on advertising",
        pb::MetricKind::AdCount => "advertisements",
        pb::MetricKind::Posts => "posts",
    };
    let mut text = format!("{} {kind}", figure(metric.figure.as_ref()));
    let pairs = [(" in ", &metric.region), (" on ", &metric.platform), (", ", &metric.currency)];
    for (word, what) in pairs.into_iter().filter(|(_word, what)| !what.is_empty()) {
        text.push_str(word);
        text.push_str(what);
    }
    if let Some(time) = moment(metric.as_of_time.as_ref()) {
        text.push_str(", as of ");
        text.push_str(&time.to_string());
    }
    line(&text)
}

/// A time of a body, which was checked when it was taken in.
pub(super) fn moment(wire: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    wire.and_then(|wire| time::timestamp(wire, "time").ok())
}

/// Whole seconds, as MISP counts time.
pub(super) fn seconds(time: Timestamp) -> u64 {
    time.as_micros() / 1_000_000
}

/// The day, as MISP writes it.
pub(super) fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_says_nothing_but_itself() {
        assert_eq!(
            markdown("a\n# b <script> [x](y) *z*"),
            "a \\# b \\<script\\> \\[x\\]\\(y\\) \\*z\\*"
        );
        assert_eq!(markdown("\u{1b}[31m`x`"), "\\[31m\\`x\\`");
    }

    #[test]
    fn metrics_are_said_in_words() {
        let views = pb::Metric {
            kind: pb::MetricKind::Views.into(),
            figure: Some(pb::Figure { value: Some(pb::figure::Value::AtLeast(13_466)) }),
            region: "US".to_owned(),
            platform: "youtube".to_owned(),
            ..pb::Metric::default()
        };
        assert_eq!(metric(&views), "at least 13466 views in US on youtube");
        assert_eq!(figure(None), "an unknown number of");
    }
}
