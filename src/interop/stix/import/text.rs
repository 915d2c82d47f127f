//! Properties of other people's objects, as far as records have room for them.

use serde_json::Map;
use serde_json::Value;

use crate::interop::techniques::bounded;
use crate::interop::techniques::one_line;
use crate::model::limits;
use crate::model::time::Timestamp;
use crate::wire;

/// A property that is a text.
pub(super) fn text<'a>(object: &'a Map<String, Value>, property: &str) -> Option<&'a str> {
    object.get(property).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

/// A property that is a list of texts.
pub(super) fn texts(object: &Map<String, Value>, property: &str) -> Vec<String> {
    let list = object.get(property).and_then(Value::as_array);
    let texts = list.into_iter().flatten().filter_map(Value::as_str);
    texts.filter(|text| !text.trim().is_empty()).map(ToOwned::to_owned).collect()
}

/// A list of short texts.
pub(super) fn labels(object: &Map<String, Value>, property: &str) -> Vec<String> {
    let mut labels: Vec<String> = texts(object, property).iter().map(|text| label(text)).collect();
    labels.truncate(limits::ITEMS_MAX);
    labels
}

/// A short text, in one line.
pub(super) fn label(text: &str) -> String {
    bounded(&one_line(text), limits::LABEL_BYTES_MAX)
}

/// A long text.
pub(super) fn long(text: Option<&str>) -> String {
    bounded(text.unwrap_or_default().trim(), limits::TEXT_BYTES_MAX)
}

/// A property that is a moment from 1970 on; finer ones than a microsecond are cut.
pub(super) fn moment(
    object: &Map<String, Value>,
    property: &str,
) -> Option<prost_types::Timestamp> {
    let time: jiff::Timestamp = text(object, property)?.parse().ok()?;
    let micros = u64::try_from(time.as_microsecond()).ok()?;
    Timestamp::from_micros(micros).map(wire::time::timestamp_to_wire)
}

/// Two such moments; the second only if it is not the earlier one.
pub(super) fn span(
    object: &Map<String, Value>,
    first: &str,
    last: &str,
) -> (Option<prost_types::Timestamp>, Option<prost_types::Timestamp>) {
    let (first, last) = (moment(object, first), moment(object, last));
    let key = |time: &prost_types::Timestamp| (time.seconds, time.nanos);
    let last = last.filter(|last| first.as_ref().is_none_or(|first| key(first) <= key(last)));
    (first, last)
}

/// A confidence from 0 to 100.
pub(super) fn confidence(object: &Map<String, Value>) -> Option<u32> {
    let number = object.get("confidence")?.as_u64()?;
    u32::try_from(number).ok().filter(|number| *number <= 100)
}

/// The addresses of an object's references.
pub(super) fn addresses(object: &Map<String, Value>) -> Vec<String> {
    let list = object.get("external_references").and_then(Value::as_array);
    let urls = list.into_iter().flatten().filter_map(|one| one.get("url")?.as_str());
    let fit = urls.filter(|url| !url.is_empty() && url.len() <= limits::VALUE_BYTES_MAX);
    let mut found: Vec<String> = Vec::new();
    for url in fit.take(limits::ITEMS_MAX) {
        if !found.iter().any(|known| known == url) {
            found.push(url.to_owned());
        }
    }
    found
}
