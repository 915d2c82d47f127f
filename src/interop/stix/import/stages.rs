//! The order in which records can be published: each behind those that it is about.

use std::collections::HashMap;

use crate::interop::stix::import::Planned;
use crate::interop::stix::import::waiting::Waiting;
use crate::model::names::RecordName;

/// Records in stages, none of which is about a record of its own stage or a later one; and those that are about each
/// other in a circle, which nobody can publish. What is not among the records counts as there.
pub fn stages(records: Vec<Planned>) -> (Vec<Vec<Planned>>, Vec<Planned>) {
    let places: HashMap<RecordName, usize> =
        records.iter().enumerate().map(|(place, record)| (record.name.clone(), place)).collect();
    let mut waiting = Waiting::of(records.len());
    for (place, record) in records.iter().enumerate() {
        for target in record.targets().iter().filter_map(|name| places.get(name)) {
            waiting.wait(place, *target);
        }
    }
    let mut now = waiting.free();
    let mut left: Vec<Option<Planned>> = records.into_iter().map(Some).collect();
    let mut stages = Vec::new();
    while !now.is_empty() {
        let stage = now.iter().filter_map(|place| left.get_mut(*place)?.take());
        stages.push(stage.collect());
        now = now.into_iter().flat_map(|place| waiting.done(place)).collect();
    }
    (stages, left.into_iter().flatten().collect())
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
