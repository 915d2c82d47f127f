//! The order in which records can be published: each behind those that it is about.

use std::collections::HashSet;

use crate::interop::stix::import::Planned;
use crate::model::names::RecordName;

/// Records in stages, none of which is about a record of its own stage or a later one; and those that are about each
/// other in a circle, which nobody can publish. What is not among the records counts as there.
pub fn stages(records: Vec<Planned>) -> (Vec<Vec<Planned>>, Vec<Planned>) {
    let mut waiting: HashSet<RecordName> =
        records.iter().map(|record| record.name.clone()).collect();
    let mut left: Vec<(Vec<RecordName>, Planned)> =
        records.into_iter().map(|record| (record.targets(), record)).collect();
    let mut stages = Vec::new();
    while !left.is_empty() {
        let waits = |targets: &[RecordName]| targets.iter().any(|name| waiting.contains(name));
        let (later, now): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(targets, _record)| waits(targets));
        if now.is_empty() {
            return (stages, later.into_iter().map(|(_targets, record)| record).collect());
        }
        let stage: Vec<Planned> = now.into_iter().map(|(_targets, record)| record).collect();
        for record in &stage {
            waiting.remove(&record.name);
        }
        stages.push(stage);
        left = later;
    }
    (stages, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::handling::Handling;
    use crate::model::handling::Reach;
    use crate::model::handling::Tlp;
    use crate::model::header::BodyKind;
    use crate::wire::pb;

    fn name(number: u8) -> RecordName {
        format!("members/acme-video/records/01890a5d-ac96-474b-bcce-b302099a80{number:02x}")
            .parse()
            .unwrap()
    }

    fn note(number: u8, about: u8) -> Planned {
        Planned {
            name: name(number),
            handling: Handling {
                tlp: Tlp::Green,
                reach: Reach::default(),
                onward_uses: Vec::new(),
                use_until: None,
            },
            kind: BodyKind::Note,
            content: pb::body::Content::Note(pb::Note {
                about: name(about).to_string(),
                text: "x".to_owned(),
            }),
        }
    }

    #[test]
    fn each_record_comes_behind_what_it_is_about_and_a_circle_comes_never() {
        let records = vec![note(3, 2), note(2, 1), note(1, 99), note(7, 8), note(8, 7), note(9, 8)];
        let (stages, circle) = stages(records);
        let numbers = |records: &[Planned]| -> Vec<RecordName> {
            records.iter().map(|record| record.name.clone()).collect()
        };
        let order: Vec<Vec<RecordName>> = stages.iter().map(|stage| numbers(stage)).collect();
        assert_eq!(order, [[name(1)], [name(2)], [name(3)]]);
        assert_eq!(numbers(&circle), [name(7), name(8), name(9)]);
    }
}
