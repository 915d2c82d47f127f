//! Ids of STIX objects, each a function of what it stands for, so that hub and clients give the same ones.
//!
//! An object that comes of one record has an id from which the record is found again: its first 64 free bits are what
//! the index of names has of the record's first revision, the other 58 tell the objects of a record apart. It is a UUID
//! of version 4, whose bits may come from anywhere (RFC 9562, section 5.4). Observables have the ids that STIX 2.1
//! gives them (section 2.9). Other shared objects have a UUID of version 4 too, since the standard recommends it for
//! everything that is no observable: 58 bits of it are a digest of what it stands for, and the first 64 are a digest of
//! those, so that such an id is told from a record's without a list.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Builder;
use uuid::Uuid;

use crate::model::index_keys;
use crate::model::names::RecordName;
use crate::model::names::sha256;

/// The namespace of STIX cyber-observable objects (STIX 2.1, section 2.9).
pub const OBSERVABLE_NAMESPACE: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);

/// The namespace of shared objects that are no observables: identities, attack patterns, collections.
pub const SHARED_NAMESPACE: Uuid = Uuid::from_u128(0x5b0c_7f0e_6d1a_4f57_9d3c_2f4e_8a61_b7d2);

/// The id of an object that comes of one record: `part` tells the objects of the record apart.
pub fn of_record(kind: &str, record: &RecordName, part: &str) -> String {
    format!("{kind}--{}", record_uuid(record, part))
}

/// The UUID in such an id.
pub fn record_uuid(record: &RecordName, part: &str) -> Uuid {
    let rest = sha256(format!("{record}\0{part}").as_bytes());
    assembled(record_key(record), index_keys::first_bits(&rest) >> 6)
}

/// The bits of an id that are not the key's.
const REST: u64 = (1 << 58) - 1;

/// A UUID of version 4 of a key and 58 bits more.
fn assembled(key: u64, rest: u64) -> Uuid {
    let high = ((key >> 16) << 16) | ((key >> 4) & 0x0fff);
    let low = ((key & 0xf) << 58) | rest;
    // The builder writes version and variant over the four and two bits that are left free for them.
    Builder::from_u128((u128::from(high) << 64) | u128::from(low))
        .with_version(uuid::Version::Random)
        .with_variant(uuid::Variant::RFC4122)
        .into_uuid()
}

/// What the index of names has of a record's first revision.
pub fn record_key(record: &RecordName) -> u64 {
    index_keys::first_bits(&index_keys::revision_digest(&record.member, record.record, 1))
}

/// The key of the record that an id comes of, if it comes of one: what is found must be compared in full.
pub fn key_of(id: Uuid) -> Option<u64> {
    if id.get_version_num() != 4 {
        return None;
    }
    let (high, low) = id.as_u64_pair();
    let key = (high & !0xffff) | ((high & 0x0fff) << 4) | ((low >> 58) & 0xf);
    (key != shared_key(low & REST)).then_some(key)
}

/// The id of a shared object that is no observable.
pub fn shared(kind: &str, name: &str) -> String {
    let named = Uuid::new_v5(&SHARED_NAMESPACE, format!("{kind}\0{name}").as_bytes());
    let (_high, low) = named.as_u64_pair();
    let rest = low & REST;
    format!("{kind}--{}", assembled(shared_key(rest), rest))
}

/// The first bits of a shared object's id, which its others tell.
fn shared_key(rest: u64) -> u64 {
    let mut bytes = SHARED_NAMESPACE.as_bytes().to_vec();
    bytes.extend_from_slice(&rest.to_be_bytes());
    index_keys::first_bits(&sha256(&bytes))
}

/// The id of an observable by the properties that contribute to it (STIX 2.1, section 2.9): a UUID of version 5 over
/// their canonical JSON (RFC 8785), which for texts and sorted names is what `serde_json` writes.
pub fn observable(kind: &str, contributing: &BTreeMap<&str, Value>) -> String {
    let canonical = serde_json::to_string(contributing).unwrap_or_default();
    format!("{kind}--{}", Uuid::new_v5(&OBSERVABLE_NAMESPACE, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_record_is_found_again_by_each_of_its_ids(record in any::<u128>(), part in ".*") {
            let record = Uuid::from_u128(record);
            let name = RecordName { member: "acme-video".parse().unwrap(), record };
            let id = record_uuid(&name, &part);
            prop_assert_eq!(id.get_version_num(), 4);
            prop_assert_eq!(key_of(id), Some(record_key(&name)));
        }

        #[test]
        fn an_id_of_a_shared_object_is_no_records(name in ".*") {
            let id = shared("identity", &name);
            let id: Uuid = id.trim_start_matches("identity--").parse().unwrap();
            prop_assert_eq!((id.get_version_num(), key_of(id)), (4, None));
        }
    }

    #[test]
    fn ids_are_golden_and_tell_parts_and_members_apart() {
        // They are published: another function would make every object a new one.
        let name: RecordName =
            "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let other: RecordName =
            "members/bravo-net/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let id = of_record("indicator", &name, "");
        assert_eq!(id, "indicator--f7f459f8-3d40-4709-a2d4-b4bc3b45e523");
        assert_ne!(id, of_record("indicator", &name, "about"));
        assert_ne!(id, of_record("indicator", &other, ""));
        assert_eq!(key_of(Uuid::new_v5(&SHARED_NAMESPACE, b"")), None);
    }

    #[test]
    fn observables_have_the_ids_of_the_standard() {
        // As the library `stix2` of OASIS computes them; non-ASCII letters and escapes in it.
        let url = BTreeMap::from([("value", Value::from("https://a.example/\u{e9}?q=\"x\\"))]);
        assert_eq!(observable("url", &url), "url--98ff042d-97fb-5aec-bf10-4b446f80347d");
        let name = BTreeMap::from([("value", Value::from("news.example"))]);
        assert_eq!(
            observable("domain-name", &name),
            "domain-name--8e143ca3-8da2-5ae7-89a0-a6fd7f12a491"
        );
    }
}
