//! UUIDs of what is in a feed, each a function of what it stands for: written again, a feed has the same ones, and a
//! MISP that took it in before updates what it has.

use uuid::Uuid;

use crate::model::names::MemberId;
use crate::model::names::RecordName;

/// The namespace of events, attributes, objects, reports and organisations. It never changes.
pub(super) const NAMESPACE: Uuid = Uuid::from_u128(0x8a3e_52c4_17b9_4d06_a1f5_6c0d_93e7_2b48);

/// The event of an operation.
pub(super) fn event_of_operation(operation: &RecordName) -> Uuid {
    of(&["event", &operation.to_string()])
}

/// The event of what another member published on an operation.
pub(super) fn event_of_operation_by(operation: &RecordName, member: &MemberId) -> Uuid {
    of(&["event", &operation.to_string(), &member.name()])
}

/// The event of what a member published that belongs to no operation.
pub(super) fn event_of_publisher(member: &MemberId) -> Uuid {
    of(&["event", &member.name()])
}

/// The organisation that a member is.
pub(super) fn organisation(member: &MemberId) -> Uuid {
    of(&["organisation", &member.name()])
}

/// An attribute, object or report that comes of a record; `part` tells those of one record apart.
pub(super) fn part(record: &RecordName, part: &str) -> Uuid {
    of(&["part", &record.to_string(), part])
}

/// The report with this number of an event.
pub(super) fn report(event: Uuid, number: usize) -> Uuid {
    of(&["report", &event.to_string(), &number.to_string()])
}

/// Names have no zero bytes, and the part comes last: no two lists of words give the same text.
fn of(words: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, words.join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_golden_and_tell_things_apart() {
        // They are published: another function would make every event a new one.
        let name: RecordName =
            "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let event = event_of_operation(&name);
        assert_eq!(event.to_string(), GOLDEN_EVENT);
        assert_eq!(event.get_version_num(), 5);
        assert_eq!(part(&name, "value").to_string(), GOLDEN_PART);
        assert_ne!(part(&name, "value"), part(&name, ""));
        assert_ne!(event_of_publisher(&name.member), organisation(&name.member));
        assert_ne!(event_of_operation_by(&name, &name.member), event);
        assert_ne!(report(event, 0), report(event, 1));
    }

    const GOLDEN_EVENT: &str = "ec01c484-a72f-5992-9969-edf556fc9bda";
    const GOLDEN_PART: &str = "7fa0320a-c6d6-55dd-b6cc-749fe9d1fd4a";
}
