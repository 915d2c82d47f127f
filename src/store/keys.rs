//! The whole key space. Numbers are big-endian, so that keys sort as numbers do; a prefix is never reused.
//!
//! | prefix | key after the prefix                               | value                          | written when               |
//! |--------|----------------------------------------------------|--------------------------------|----------------------------|
//! | `0x01` | -                                                  | format version, u32            | the store is made          |
//! | `0x03` | -                                                  | cursor key, 32 bytes, sealed   | the store is made          |
//! | `0x04` | -                                                  | writes of state, u64, sealed   | with state that no entry counts |
//! | `0x10` | first sequence, u64                                | block of the log, sealed       | with every group           |
//! | `0x11` | first sequence, u64; piece, u16                    | rest of a block, sealed        | with its block             |
//! | `0x12` | level, u8; index, u64                            | whole tile of the tree, sealed | with its last entry        |
//! | `0x21` | member length, u8; member; record, 16              | sequence of the withdrawal     | with the withdrawal        |
//! | `0x22` | sequence, u64                                      | empty                          | with a roster entry        |
//! | `0x23` | time due, u64; sequence, u64                    | the record's name              | with a demand, until it is met |
//! | `0x24` | -                                                  | first sequence kept, u64       | with a retention           |
//! | `0x25` | member length, u8; member; record, 16; revision, u32 | sequence of the notice       | with the first conflict    |
//! | `0x31` | member; 0; how, u8; digest of the filter, 32       | disk.v1.Delivery, sealed       | every few seconds          |
//! | `0x30` | member length, u8; member; subscription      | disk.v1.Subscription, sealed   | when it changes            |
//! | `0x32` | member                                          | disk.v1.Cosignature, sealed    | when it changes            |
//! | `0x33` | member length, u8; member; key, 32; scope    | disk.v1.PublisherHead, sealed           | when it changes            |
//! | `0x34` | member length, u8; member; digest of the evidence, 32 | disk.v1.MisbehaviorReport, sealed | with the report |
//! | `0x35` | the same; piece, u16                              | piece of the evidence, sealed  | with its report            |
//! | `0x50` | index, u8; 0; level, u8; run, u64; value, u64; sequence, u64 | postings, sealed     | behind the log, index      |
//! | `0x50` | index, u8; 1; long run, u64; part, u8; piece, u8   | filter, sealed                 | with its postings          |
//! | `0x50` | index, u8; 2                                       | runs written, u64              | with each run              |
//! | `0x50` | index, u8; 3; level, u8; run, u64; part, u8; value, u64; sequence, u64 | postings to be swept, sealed | with an erasure, until then |
//!
//! A sealed value begins with the CRC-32 of the rest.

use crate::model::head::HeadName;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::SubscriptionName;
use crate::model::report::ReportName;
use crate::transparency::TileId;

pub(super) const FORMAT: [u8; 1] = [0x01];
pub(super) const CURSOR_KEY: [u8; 1] = [0x03];
pub(super) const WRITES: [u8; 1] = [0x04];
pub(super) const BLOCK: u8 = 0x10;
const PIECE: u8 = 0x11;
pub(super) const TILE: u8 = 0x12;
const WITHDRAWN: u8 = 0x21;
pub(super) const ROSTER: u8 = 0x22;
pub(super) const DEMAND: u8 = 0x23;
pub(super) const FLOOR: [u8; 1] = [0x24];
const CONFLICT: u8 = 0x25;
pub(super) const SUBSCRIPTION: u8 = 0x30;
pub(super) const DELIVERY: u8 = 0x31;
pub(super) const COSIGNATURE: u8 = 0x32;
pub(super) const HEAD: u8 = 0x33;
pub(super) const REPORT: u8 = 0x34;
pub(super) const EVIDENCE: u8 = 0x35;
pub(super) const INDEX: u8 = 0x50;
const STALE: u8 = 3;

pub(super) fn block(first: u64) -> Vec<u8> {
    prefixed(BLOCK, &[&first.to_be_bytes()])
}

pub(super) fn piece(first: u64, piece: u16) -> Vec<u8> {
    prefixed(PIECE, &[&first.to_be_bytes(), &piece.to_be_bytes()])
}

pub(super) fn tile(id: TileId) -> Vec<u8> {
    prefixed(TILE, &[&[id.level], &id.index.to_be_bytes()])
}

pub(super) fn withdrawn(name: &RecordName) -> Vec<u8> {
    record(WITHDRAWN, name)
}

pub(super) fn conflict(name: &RecordName, revision: u32) -> Vec<u8> {
    let mut key = record(CONFLICT, name);
    key.extend_from_slice(&revision.to_be_bytes());
    key
}

fn record(prefix: u8, name: &RecordName) -> Vec<u8> {
    prefixed(
        prefix,
        &[&[member_length(&name.member)], name.member.as_str().as_bytes(), name.record.as_bytes()],
    )
}

pub(super) fn roster(sequence: u64) -> Vec<u8> {
    prefixed(ROSTER, &[&sequence.to_be_bytes()])
}

pub(super) fn demand(due_us: u64, sequence: u64) -> Vec<u8> {
    prefixed(DEMAND, &[&due_us.to_be_bytes(), &sequence.to_be_bytes()])
}

/// The time and the sequence in the key of a demand.
pub(super) fn demand_of(key: &[u8]) -> Option<(u64, u64)> {
    Some((first_number(key)?, number(key.get(9..)?)?))
}

pub(super) fn delivery(key: &[u8]) -> Vec<u8> {
    prefixed(DELIVERY, &[key])
}

pub(super) fn subscription(name: &SubscriptionName) -> Vec<u8> {
    let member = name.member.as_str().as_bytes();
    prefixed(SUBSCRIPTION, &[&[member_length(&name.member)], member, name.id().as_bytes()])
}

pub(super) fn cosignature(member: &MemberId) -> Vec<u8> {
    prefixed(COSIGNATURE, &[member.as_str().as_bytes()])
}

/// The member in the key of a cosignature.
pub(super) fn cosigner(key: &[u8]) -> Option<MemberId> {
    std::str::from_utf8(key.get(1..)?).ok()?.parse().ok()
}

pub(super) fn head(name: &HeadName) -> Vec<u8> {
    let HeadName { publisher, key, scope } = name;
    let (member, scope) = (publisher.as_str().as_bytes(), scope.to_string());
    prefixed(HEAD, &[&[member_length(publisher)], member, key.as_bytes(), scope.as_bytes()])
}

pub(super) fn report(name: &ReportName) -> Vec<u8> {
    reported(REPORT, name)
}

/// All pieces of a report's evidence begin with this.
pub(super) fn evidence(name: &ReportName) -> Vec<u8> {
    reported(EVIDENCE, name)
}

pub(super) fn evidence_piece(name: &ReportName, piece: u16) -> Vec<u8> {
    let mut key = evidence(name);
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

fn reported(prefix: u8, name: &ReportName) -> Vec<u8> {
    let ReportName { reporter, digest } = name;
    prefixed(prefix, &[&[member_length(reporter)], reporter.as_str().as_bytes(), digest])
}

/// The name in the key of a report.
pub(super) fn report_name(key: &[u8]) -> Option<ReportName> {
    let (length, rest) = key.get(1..)?.split_first()?;
    let (member, digest) = rest.split_at_checked(usize::from(*length))?;
    let reporter = std::str::from_utf8(member).ok()?.parse().ok()?;
    Some(ReportName { reporter, digest: digest.try_into().ok()? })
}

/// The name in the key of a subscription.
pub(super) fn subscription_name(key: &[u8]) -> Option<SubscriptionName> {
    let (length, rest) = key.get(1..)?.split_first()?;
    let (member, id) = rest.split_at_checked(usize::from(*length))?;
    let member = std::str::from_utf8(member).ok()?.parse().ok()?;
    SubscriptionName::new(member, std::str::from_utf8(id).ok()?).ok()
}

/// All postings of the runs of a level begin with this.
pub(super) const fn level(index: u8, level: u8) -> [u8; 4] {
    [INDEX, index, 0, level]
}

/// All postings of a run begin with this.
pub(super) fn run(index: u8, level: u8, run: u64) -> Vec<u8> {
    prefixed(INDEX, &[&[index, 0, level], &run.to_be_bytes()])
}

pub(super) fn postings(index: u8, level: u8, run: u64, value: u64, sequence: u64) -> Vec<u8> {
    let mut key = self::run(index, level, run);
    key.extend_from_slice(&value.to_be_bytes());
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

pub(super) fn filter(index: u8, run: u64, part: u8, piece: u8) -> Vec<u8> {
    prefixed(INDEX, &[&[index, 1], &run.to_be_bytes(), &[part, piece]])
}

/// Everything that is to be swept out of an index begins with this.
pub(super) const fn all_stale(index: u8) -> [u8; 3] {
    [INDEX, index, STALE]
}

/// What is to be swept out of a short run, whose part is 0, or out of a part of a long one begins with this.
pub(super) fn stale(index: u8, level: u8, run: u64, part: u8) -> Vec<u8> {
    prefixed(INDEX, &[&[index, STALE, level], &run.to_be_bytes(), &[part]])
}

pub(super) const fn runs(index: u8) -> [u8; 3] {
    [INDEX, index, 2]
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
    use crate::model::names::KeyId;

    #[test]
    fn the_keys_are_golden() {
        let record =
            "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let record_hex = "61636d652d766964656f01890a5dac96774bbcceb302099a8057";
        assert_eq!(hex::encode(block(1)), "100000000000000001");
        assert_eq!(hex::encode(piece(1, 2)), "1100000000000000010002");
        assert_eq!(hex::encode(tile(TileId { level: 1, index: 2 })), "12010000000000000002");
        assert_eq!(hex::encode(withdrawn(&record)), format!("210a{record_hex}"));
        assert_eq!(hex::encode(conflict(&record, 2)), format!("250a{record_hex}00000002"));
        assert_eq!(hex::encode(roster(7)), "220000000000000007");
        assert_eq!(hex::encode(demand(1, 2)), "2300000000000000010000000000000002");
        assert_eq!(demand_of(&demand(1, 2)), Some((1, 2)));
        let name = SubscriptionName::new("acme-video".parse().unwrap(), "main").unwrap();
        assert_eq!(hex::encode(subscription(&name)), "300a61636d652d766964656f6d61696e");
        assert_eq!(subscription_name(&subscription(&name)), Some(name));
        let member: MemberId = "acme-video".parse().unwrap();
        assert_eq!(hex::encode(cosignature(&member)), "3261636d652d766964656f");
        assert_eq!(cosigner(&cosignature(&member)), Some(member.clone()));
        let key = KeyId::of_spki(b"");
        let scope = "audiences/all".parse().unwrap();
        let report = ReportName { reporter: member.clone(), digest: [0xcd; 32] };
        let report_hex = format!("0a61636d652d766964656f{}", "cd".repeat(32));
        assert_eq!(hex::encode(super::report(&report)), format!("34{report_hex}"));
        assert_eq!(report_name(&super::report(&report)), Some(report.clone()));
        assert_eq!(hex::encode(evidence(&report)), format!("35{report_hex}"));
        assert_eq!(hex::encode(evidence_piece(&report, 258)), format!("35{report_hex}0102"));
        let name = HeadName { publisher: member, key, scope };
        let scope_hex = "61756469656e6365732f616c6c";
        assert_eq!(hex::encode(head(&name)), format!("330a61636d652d766964656f{key}{scope_hex}"));
        assert_eq!(
            hex::encode(postings(5, 1, 2, 3, 4)),
            "50050001000000000000000200000000000000030000000000000004"
        );
        assert_eq!(hex::encode(level(5, 2)), "50050002");
        assert_eq!(hex::encode(filter(5, 2, 3, 4)), "50050100000000000000020304");
        assert_eq!(hex::encode(runs(5)), "500502");
        assert_eq!(hex::encode(all_stale(5)), "500503");
        assert_eq!(hex::encode(stale(5, 1, 2, 3)), "50050301000000000000000203");
    }

    #[test]
    fn keys_sort_as_their_numbers_do() {
        assert!(block(255) < block(256));
        assert!(piece(1, 255) < piece(1, 256));
        assert!(postings(0, 0, 1, u64::MAX, 0) < postings(0, 0, 2, 0, 0));
    }
}
