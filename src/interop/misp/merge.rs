//! An event that stands in a feed already, and is replaced: a MISP that took it in keeps what a newer one merely leaves
//! out, so that what is gone is said to be deleted, without saying what it was.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use crate::interop::misp::event::EVENT_BYTES_MAX;
use crate::interop::misp::tags;
use crate::interop::misp::text;
use crate::model::time::Timestamp;

/// What an event is made of.
const LISTS: [&str; 3] = ["Attribute", "Object", "EventReport"];

/// A file in the place of an event that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no MISP event")]
pub struct InvalidEvent;

/// The event that follows `old`: `new`, or nothing but the word that all of it is gone. What is gone stands in it as
/// deleted. Its time is later than the old one's unless nothing changed; then it is `old` itself.
pub fn merge(old: &Value, new: Option<&Value>, now: Timestamp) -> Result<Value, InvalidEvent> {
    let before = body(old).ok_or(InvalidEvent)?;
    let mut after = match new {
        Some(new) => body(new).ok_or(InvalidEvent)?.clone(),
        None => emptied(before),
    };
    let stamp = text::seconds(now).max(time(before).saturating_add(1));
    let mut gone = Vec::new();
    for list in LISTS {
        let kept: BTreeSet<Uuid> = items(&after, list).filter_map(uuid).collect();
        let items =
            items(before, list).filter(|item| uuid(item).is_some_and(|id| !kept.contains(&id)));
        gone.extend(items.filter_map(|item| Some((list, deleted(list, item, stamp)?))));
    }
    // What is said to be deleted is shorter than what was there: all that goes at once has room.
    let gone = newest(gone, EVENT_BYTES_MAX);
    for list in LISTS {
        let of_list = gone.iter().filter(|(of, _item)| *of == list).map(|(_of, item)| item.clone());
        match after.get_mut(list) {
            Some(Value::Array(there)) => there.extend(of_list),
            Some(_) | None => {
                after.insert(list.to_owned(), of_list.collect());
            }
        }
    }
    if untimed(&after) == untimed(before) {
        return Ok(old.clone());
    }
    let time = time(&after).max(stamp).to_string();
    for name in ["timestamp", "publish_timestamp"] {
        after.insert(name.to_owned(), time.clone().into());
    }
    Ok(json!({ "Event": after }))
}

/// What was deleted last, as much as has room. It was said of the rest for as long as there was.
fn newest(mut gone: Vec<(&str, Value)>, bytes_max: usize) -> Vec<(&str, Value)> {
    gone.sort_by_key(|(_list, item)| Reverse(item_time(item)));
    let mut room = bytes_max;
    gone.retain(|(_list, item)| {
        room = room.saturating_sub(item.to_string().len());
        room > 0
    });
    gone
}

fn body(json: &Value) -> Option<&Map<String, Value>> {
    json.get("Event")?.as_object().filter(|event| event.contains_key("uuid"))
}

/// The event without its content. Its title may be what had to go.
fn emptied(before: &Map<String, Value>) -> Map<String, Value> {
    let mut after = before.clone();
    for list in LISTS {
        after.insert(list.to_owned(), json!([]));
    }
    after.insert("info".to_owned(), "Withdrawn".into());
    let labels = before.get("Tag").and_then(Value::as_array);
    let is_label =
        |tag: &&Value| tag.get("name").and_then(Value::as_str).is_some_and(tags::is_label);
    let labels: Vec<Value> =
        labels.map(|tags| tags.iter().filter(is_label).cloned().collect()).unwrap_or_default();
    after.insert("Tag".to_owned(), Value::Array(labels));
    after
}

/// What stays of an attribute, object or report: that it is deleted. One that was deleted before stays as it is.
fn deleted(list: &str, item: &Value, stamp: u64) -> Option<Value> {
    let is_deleted = item.get("deleted").and_then(Value::as_bool) == Some(true);
    let stamp = if is_deleted { item_time(item) } else { stamp }.to_string();
    let id = uuid(item)?.to_string();
    let copied = |name: &str| item.get(name).cloned().unwrap_or(Value::Null);
    Some(match list {
        "Attribute" => attribute(&id, &stamp),
        "Object" => json!({
            "uuid": id,
            "name": copied("name"),
            "meta-category": "misc",
            "description": copied("description"),
            "template_uuid": copied("template_uuid"),
            "template_version": copied("template_version"),
            "comment": "",
            "timestamp": stamp,
            "deleted": true,
            "Attribute": items_of(item)
                .filter_map(|inner| {
                    let relation = inner.get("object_relation")?.as_str()?;
                    let Value::Object(mut made) = attribute(&uuid(inner)?.to_string(), &stamp) else {
                        return None;
                    };
                    made.insert("object_relation".to_owned(), relation.into());
                    made.insert("type".to_owned(), "text".into());
                    Some(Value::Object(made))
                })
                .collect::<Vec<Value>>(),
        }),
        _ => json!({
            "uuid": id,
            "name": "Withdrawn",
            "content": "",
            "timestamp": stamp,
            "deleted": true,
        }),
    })
}

fn attribute(uuid: &str, stamp: &str) -> Value {
    json!({
        "uuid": uuid,
        "type": "comment",
        "category": "Other",
        "value": format!("withdrawn {uuid}"),
        "comment": "",
        "to_ids": false,
        "disable_correlation": true,
        "timestamp": stamp,
        "deleted": true,
    })
}

fn items<'a>(event: &'a Map<String, Value>, list: &str) -> impl Iterator<Item = &'a Value> {
    event.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn items_of(object: &Value) -> impl Iterator<Item = &Value> {
    object.get("Attribute").and_then(Value::as_array).into_iter().flatten()
}

fn uuid(item: &Value) -> Option<Uuid> {
    item.get("uuid")?.as_str()?.parse().ok()
}

fn time(event: &Map<String, Value>) -> u64 {
    event.get("timestamp").and_then(Value::as_str).and_then(|time| time.parse().ok()).unwrap_or(0)
}

fn item_time(item: &Value) -> u64 {
    item.get("timestamp").and_then(Value::as_str).and_then(|time| time.parse().ok()).unwrap_or(0)
}

/// Without the event's own times, and those of its reports, which are the same.
fn untimed(event: &Map<String, Value>) -> Map<String, Value> {
    let mut event = event.clone();
    event.remove("timestamp");
    event.remove("publish_timestamp");
    if let Some(Value::Array(reports)) = event.get_mut("EventReport") {
        for report in reports.iter_mut().filter_map(Value::as_object_mut) {
            report.remove("timestamp");
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_deleted_last_is_said_while_there_is_room() {
        let ids = [1_u128, 2, 3].map(|id| Uuid::from_u128(id).to_string());
        let one = |id: &String, stamp: &str| ("Attribute", attribute(id, stamp));
        let gone = vec![one(&ids[0], "10"), one(&ids[1], "30"), one(&ids[2], "20")];
        let length = gone[0].1.to_string().len();
        let left = newest(gone.clone(), 2 * length + 1);
        let times: Vec<u64> = left.iter().map(|(_list, item)| item_time(item)).collect();
        assert_eq!(times, [30, 20]);
        assert_eq!(newest(gone, 4 * length).len(), 3);
    }
}
