//! What is the same in every exchange, and when versions were made: for readers that get objects one by one.

use crate::interop::exported::ExportedRecord;
use crate::interop::stix::extension;
use crate::interop::stix::marking;
use crate::interop::stix::object::Frame;
use crate::interop::stix::object::Object;
use crate::model::handling::Tlp;
use crate::model::time::Timestamp;

/// Every object that is always the same: the definition of our extension with who made it, and the markings.
pub fn fixed_objects() -> Vec<Object> {
    let labels = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict, Tlp::Red];
    extension::definition().into_iter().chain(labels.map(marking::tlp_object)).collect()
}

/// What the objects that come of a record alone have as the time of this version of them.
pub fn modified(record: &ExportedRecord) -> Timestamp {
    Frame::modified(record)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::interop::stix::Origin;

    #[test]
    fn what_is_always_the_same_is_there_once() {
        let fixed = fixed_objects();
        let ids: BTreeSet<&str> = fixed.iter().map(Object::id).collect();
        assert_eq!((ids.len(), fixed.len()), (7, 7));
        assert!(fixed.iter().all(|object| object.origin == Origin::Fixed));
    }
}
