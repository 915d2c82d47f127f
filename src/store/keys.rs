//! The whole key space. Numbers are big-endian, so that keys sort as numbers do; a prefix is never reused.
//!
//! | prefix | key after the prefix                               | value                          | written when               |
//! |--------|----------------------------------------------------|--------------------------------|----------------------------|
//! | `0x01` | -                                                  | format version, u32            | the store is made          |
//! | `0x02` | -                                                  | head (`disk.v1.Head`), sealed  | with every group           |
//! | `0x03` | -                                                  | cursor key, 32 bytes, sealed   | the store is made          |
//! | `0x10` | first sequence, u64                                | block of the log, sealed       | with every group           |
//! | `0x11` | sequence, u64; piece, u16                          | piece of a large entry, sealed | with its block             |
//! | `0x20` | member length, u8; member; record, 16; revision, u32 | sequence, u64                | with its entry             |
//! | `0x21` | member length, u8; member; record, 16              | sequence of the withdrawal     | with the withdrawal        |
//! | `0x22` | sequence, u64                                      | empty                          | with a roster entry        |
//! | `0x40` | level, u8; run, u64; value prefix, u64; sequence, u64 | postings, sealed            | behind the log, view       |
//! | `0x41` | -                                                  | runs written, u64              | with each run of the view  |
//!
//! A sealed value begins with the CRC-32 of the rest.

use crate::model::names::MemberId;
use crate::model::names::RecordName;

pub(super) const FORMAT: [u8; 1] = [0x01];
pub(super) const HEAD: [u8; 1] = [0x02];
pub(super) const CURSOR_KEY: [u8; 1] = [0x03];
pub(super) const BLOCK: u8 = 0x10;
const PIECE: u8 = 0x11;
const NAME: u8 = 0x20;
const WITHDRAWN: u8 = 0x21;
pub(super) const ROSTER: u8 = 0x22;
pub(super) const POSTINGS: u8 = 0x40;
pub(super) const RUNS: [u8; 1] = [0x41];

pub(super) fn block(first: u64) -> Vec<u8> {
    prefixed(BLOCK, &[&first.to_be_bytes()])
}

pub(super) fn piece(sequence: u64, piece: u16) -> Vec<u8> {
    prefixed(PIECE, &[&sequence.to_be_bytes(), &piece.to_be_bytes()])
}

/// All revisions of a record begin with this.
pub(super) fn name(name: &RecordName) -> Vec<u8> {
    prefixed(
        NAME,
        &[&[member_length(&name.member)], name.member.as_str().as_bytes(), name.record.as_bytes()],
    )
}

pub(super) fn revision(name: &RecordName, revision: u32) -> Vec<u8> {
    let mut key = self::name(name);
    key.extend_from_slice(&revision.to_be_bytes());
    key
}

pub(super) fn withdrawn(name: &RecordName) -> Vec<u8> {
    let mut key = self::name(name);
    if let Some(first) = key.first_mut() {
        *first = WITHDRAWN;
    }
    key
}

pub(super) fn roster(sequence: u64) -> Vec<u8> {
    prefixed(ROSTER, &[&sequence.to_be_bytes()])
}

pub(super) fn run(level: u8, run: u64) -> Vec<u8> {
    prefixed(POSTINGS, &[&[level], &run.to_be_bytes()])
}

pub(super) fn postings(level: u8, run: u64, value: u64, sequence: u64) -> Vec<u8> {
    let mut key = self::run(level, run);
    key.extend_from_slice(&value.to_be_bytes());
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The u64 that follows the prefix byte.
pub(super) fn first_number(key: &[u8]) -> Option<u64> {
    number(key.get(1..9)?)
}

/// A u64 of exactly eight bytes.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn member_length(member: &MemberId) -> u8 {
    // Invariant of MemberId: at most 40 bytes.
    u8::try_from(member.as_str().len()).unwrap_or(u8::MAX)
}

fn prefixed(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![prefix];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> RecordName {
        "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
    }

    #[test]
    fn the_keys_are_golden() {
        let name = "2000".to_owned() + "0a";
        let name = name.replace("2000", "20");
        let record_hex = "61636d652d766964656f01890a5dac96774bbcceb302099a8057";
        assert_eq!(hex::encode(block(1)), "100000000000000001");
        assert_eq!(hex::encode(piece(1, 2)), "1100000000000000010002");
        assert_eq!(hex::encode(revision(&record(), 3)), format!("{name}{record_hex}00000003"));
        assert_eq!(hex::encode(withdrawn(&record())), format!("210a{record_hex}"));
        assert_eq!(hex::encode(roster(7)), "220000000000000007");
        assert_eq!(
            hex::encode(postings(1, 2, 3, 4)),
            "4001000000000000000200000000000000030000000000000004"
        );
    }

    #[test]
    fn keys_sort_as_their_numbers_do() {
        assert!(block(255) < block(256));
        assert!(revision(&record(), 9) < revision(&record(), 10));
        assert!(postings(0, 1, u64::MAX, 0) < postings(0, 2, 0, 0));
    }
}
