//! The store against its promises: what was written is read, at every size; damage is named; views are folds.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use prost::Message as _;
use tempfile::TempDir;

use super::*;
use crate::model::facts::Facts;
use crate::model::facts::Scope;
use crate::model::facts::Shape;
use crate::model::handling::Handling;
use crate::model::handling::Reach;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::header::HEADER_PAYLOAD_TYPE;
use crate::model::header::HUB_PAYLOAD_TYPE;
use crate::model::header::Header;
use crate::model::index_keys::Term;
use crate::model::limits::ENVELOPE_BYTES_MAX;
use crate::model::limits::STORED_VALUE_BYTES_MAX;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::report::ReportName;
use crate::model::time::Timestamp;
use crate::signing;
use crate::signing::Claim;
use crate::signing::SecretKey;
use crate::signing::Verified;
use crate::signing::VerifyingKey;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// Bytes of an entry above which it travels in pieces, give or take its facts.
const NEAR_THE_LIMIT: usize = STORED_VALUE_BYTES_MAX;

struct Disk {
    folder: TempDir,
    record: Verified<Box<Record>>,
}

impl Disk {
    fn new() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("watchfire-store-").tempdir_in(base).unwrap();
        Self { folder, record: signed_record() }
    }

    fn open(&self) -> Store {
        Store::open(self.folder.path(), 0).unwrap()
    }

    /// Entries of these lengths, as the next group.
    fn append(&self, store: &Store, lengths: &[usize]) -> Result<(), StoreError> {
        let group = self.group(store, lengths)?;
        let count = u64::try_from(lengths.len()).unwrap();
        store.append(&group)?;
        store.apply_views(group.head.frontier.size() - count, &group.entries)
    }

    /// The same, not yet appended.
    fn group(&self, store: &Store, lengths: &[usize]) -> Result<Group, StoreError> {
        let mut head = store.head()?;
        let first = head.frontier.size();
        let entries = (first..).zip(lengths).map(|(sequence, length)| NewEntry {
            record: self.record.clone(),
            facts: facts(sequence),
            framed: framed(sequence, *length),
            terms: Vec::new(),
            leaf_hash: leaf(&entry(sequence, *length)).unwrap().hash(),
        });
        let entries: Vec<NewEntry> = entries.collect();
        for entry in &entries {
            head.frontier.push(entry.leaf_hash);
        }
        Ok(Group { entries, head, ..Group::default() })
    }
}

/// A record with a real signature: the store takes no other. What it stores of an entry is the frame beside it.
fn signed_record() -> Verified<Box<Record>> {
    let content = pb::body::Content::Operation(pb::Operation {
        title: "Winter garden".to_owned(),
        ..pb::Operation::default()
    });
    signed(Reach::default(), content)
}

pub(crate) fn signed(reach: Reach, content: pb::body::Content) -> Verified<Box<Record>> {
    let secret = SecretKey::generate().unwrap();
    let member: crate::model::names::MemberId = "acme-video".parse().unwrap();
    let exchange =
        crate::model::names::ExchangeName::derive("spring", &secret.spki(), b"log").unwrap();
    let signer = crate::client::Signer::new(exchange, member.clone(), secret.clone());
    let draft = crate::client::Draft {
        name: RecordName { member, record: uuid::Uuid::now_v7() },
        previous: None,
        handling: Handling { tlp: Tlp::Green, reach, onward_uses: Vec::new(), use_until: None },
        content,
    };
    let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
    let record = crate::wire::envelope::record(signer.sign(draft, now).unwrap()).unwrap();
    let signature = record.envelope.signatures[0].sig.clone();
    let payload = record.envelope.payload.clone();
    signing::verify(Claim {
        payload_type: HEADER_PAYLOAD_TYPE,
        payload: &payload,
        signature: &signature,
        key: &VerifyingKey::from_spki(&secret.spki()).unwrap(),
        value: Box::new(record),
    })
    .unwrap()
}

fn facts(sequence: u64) -> Facts {
    Facts {
        scope: Arc::new(Scope {
            publisher: "acme-video".parse().unwrap(),
            body_kind: BodyKind::Indicator,
            reach: Reach::default(),
            publisher_is_reached: false,
            shapes: vec![Shape::default()],
        }),
        // Records of ten revisions, so that the last one is searched for.
        record: uuid::Uuid::from_u128(u128::from(sequence / 10)),
        revision: u32::try_from(sequence % 10).unwrap() + 1,
        // Every value is seen five times.
        value_digest: Some(sha256(&(sequence / 5).to_be_bytes())),
        withdraws: None,
    }
}

fn framed(sequence: u64, length: usize) -> Vec<u8> {
    // An entry whose body is gone is found by no words.
    crate::wire::entry::frame(&entry(sequence, length))
}

fn entry(sequence: u64, length: usize) -> pb::Entry {
    let header = Header {
        exchange: crate::model::names::ExchangeName::from_name("exchanges/spring-0123456789abcdef")
            .unwrap(),
        name: "members/acme-video/records/01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        revision: 1,
        previous_digest: None,
        create_time: Timestamp::default(),
        nonce: [7; 16],
        handling: Handling {
            tlp: Tlp::Green,
            reach: Reach::default(),
            onward_uses: Vec::new(),
            use_until: None,
        },
        body_kind: BodyKind::Operation,
        body_digest: [7; 32],
    };
    let payload = crate::wire::header::header_bytes(&header);
    let body = sequence.to_be_bytes().into_iter().cycle();
    let body: Vec<u8> = body.take(length.saturating_sub(payload.len())).collect();
    pb::Entry {
        sequence,
        accept_time: Some(crate::wire::time::timestamp_to_wire(Timestamp::default())),
        envelope: Some(pb::Envelope {
            payload: payload.into(),
            body: body.into(),
            ..pb::Envelope::default()
        }),
        erased: Some(pb::Erasure::default()),
        ..pb::Entry::default()
    }
}

#[track_caller]
fn demand_all(store: &Store, lengths: &[usize]) {
    let mut read = Vec::new();
    let mut next = 0;
    loop {
        let blocks = store.blocks_from(next, 100_000).unwrap();
        let Some(last) = blocks.last() else { break };
        assert_eq!(blocks[0].first, next);
        next = last.end();
        for (block, (sequence, entry)) in
            blocks.iter().flat_map(|block| block.entries_from(0).map(move |each| (block, each)))
        {
            assert_eq!(entry.facts, facts(sequence));
            read.push(block.framed(entry).to_vec());
        }
    }
    assert_eq!(store.head().unwrap().frontier.size(), next);
    let expected: Vec<Vec<u8>> =
        (0..).zip(lengths).map(|(at, length)| framed(at, *length)).collect();
    assert!(read == expected, "{} entries read, {} written", read.len(), expected.len());
    for sequence in 0..next {
        let block = store.block_at(sequence).unwrap().unwrap();
        assert_eq!(block.at(sequence).unwrap().facts, facts(sequence));
        let facts = facts(sequence);
        assert_eq!(store.revision(&facts.name(), facts.revision).unwrap(), Some(sequence));
        let last = (sequence - sequence % 10 + 9).min(next - 1);
        let latest = (self::facts(last).revision, last);
        assert_eq!(store.latest(&facts.name()).unwrap(), Some(latest));
    }
    assert!(store.block_at(next).unwrap().is_none());
}

#[test]
fn each_group_is_noted_in_the_anchor_before_its_append_returns() {
    let disk = Disk::new();
    let store = disk.open();
    for round in 1..=3_u64 {
        disk.append(&store, &[100, 200]).unwrap();
        let known = anchor::read(disk.folder.path()).unwrap().unwrap();
        let frontier = store.head().unwrap().frontier;
        assert_eq!((known.size, known.root), (frontier.size(), frontier.root()), "group {round}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn groups_of_any_sizes_are_read_back_before_and_after_a_restart(
        groups in prop::collection::vec(prop::collection::vec(prop_oneof![
            8 => 200..1500_usize,
            2 => 1500..9000_usize,
            1 => 9000..ENVELOPE_BYTES_MAX,
        ], 1..40), 1..6),
    ) {
        let groups: Vec<&[usize]> = groups.iter().map(Vec::as_slice).collect();
        check_groups(&groups);
    }
}

/// What random sizes once found.
#[test]
fn groups_whose_pieces_end_where_values_do_are_read_back() {
    check_groups(&[
        &[268, 1295, 311, 50754, 60314, 394, 1089, 1322],
        &[
            258, 28070, 726, 365, 499, 746, 36435, 401, 857, 4039, 614, 51963, 1141, 7977, 1131,
            5050, 595, 7545, 963, 453, 8955, 991, 620, 1070, 1281, 580, 1473,
        ],
        &[
            473, 1219, 538, 1005, 771, 689, 1403, 1739, 1329, 1451, 6616, 1472, 1377, 559, 1459,
            1292, 1358, 6534, 2326, 771,
        ],
        &[
            54883, 1277, 834, 3247, 1152, 1415, 5195, 1392, 24475, 23945, 471, 306, 8821, 1356,
            467, 51466, 940, 1100, 1156, 11264, 975, 1605, 58719, 1065, 1120, 1378, 1294, 14941,
            642, 520, 1226, 907, 271, 28322,
        ],
        &[1275, 7868],
    ]);
    check_groups(&[
        &[
            268, 4012, 1379, 365, 487, 23460, 981, 5341, 5379, 3771, 4185, 515, 574, 733, 802,
            1179, 319, 959, 1014, 8628, 3163, 447, 244, 1375,
        ],
        &[
            222, 6130, 202, 863, 688, 1421, 682, 793, 1449, 766, 3237, 1092, 693, 1232, 7865, 202,
            24182, 60699, 923, 5130, 563, 44069, 900, 1339, 2425, 797, 7649, 3512, 32283, 340, 599,
            645, 998, 6975, 1401, 28019, 874, 551,
        ],
        &[
            36759, 787, 501, 43409, 1028, 750, 5154, 1210, 810, 7526, 610, 925, 970, 387, 605,
            1413, 1734, 575, 669, 1218, 1418, 7117, 407, 1165, 1420, 1090,
        ],
    ]);
}

#[track_caller]
fn check_groups(groups: &[&[usize]]) {
    let disk = Disk::new();
    let store = disk.open();
    for group in groups {
        disk.append(&store, group).unwrap();
    }
    demand_all(&store, &groups.concat());
    drop(store);
    demand_all(&disk.open(), &groups.concat());
}

#[test]
fn entries_of_every_length_around_the_limit_of_a_value_are_read_back() {
    let disk = Disk::new();
    let store = disk.open();
    let alone: Vec<usize> = (NEAR_THE_LIMIT - 160..NEAR_THE_LIMIT + 20).collect();
    for length in &alone {
        disk.append(&store, &[*length]).unwrap();
    }
    let together: Vec<usize> = (NEAR_THE_LIMIT / 3 - 60..NEAR_THE_LIMIT / 3 + 20).collect();
    disk.append(&store, &together).unwrap();
    disk.append(&store, &[ENVELOPE_BYTES_MAX, 1, 2 * NEAR_THE_LIMIT - 8, 3 * NEAR_THE_LIMIT])
        .unwrap();
    let all =
        [alone, together, vec![ENVELOPE_BYTES_MAX, 1, 2 * NEAR_THE_LIMIT - 8, 3 * NEAR_THE_LIMIT]];
    demand_all(&store, &all.concat());
}

#[test]
fn a_block_that_is_rewritten_while_it_is_read_is_read_whole() {
    let disk = Disk::new();
    let store = disk.open();
    let rounds = 300;
    for _round in 0..rounds {
        disk.append(&store, &[4 * NEAR_THE_LIMIT]).unwrap();
    }
    let rewritten = AtomicU64::new(0);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            // Always the one that is being rewritten.
            while let sequence @ 0..300 = rewritten.load(Ordering::SeqCst) {
                let block = store.block_at(sequence).unwrap().unwrap();
                let bytes = block.framed(&block.entries[0]);
                assert!(
                    [4 * NEAR_THE_LIMIT, 3]
                        .map(|length| framed(sequence, length))
                        .contains(&bytes.to_vec())
                );
            }
        });
        for round in 0..rounds {
            let erasing =
                Erasing { entries: vec![(round, framed(round, 3))], ..Erasing::default() };
            let head = store.head().unwrap();
            store.append(&Group { head, erasing: Some(erasing), ..Group::default() }).unwrap();
            rewritten.fetch_add(1, Ordering::SeqCst);
        }
    });
}

#[test]
fn no_value_is_larger_than_the_limit() {
    let disk = Disk::new();
    let store = disk.open();
    let lengths: Vec<usize> = (0..600).map(|index| 150 + index * 97).collect();
    for group in lengths.chunks(50) {
        disk.append(&store, group).unwrap();
    }
    for row in store.db.iter() {
        let (key, value) = row.unwrap();
        assert!(value.len() <= STORED_VALUE_BYTES_MAX, "{key:?} has {} bytes", value.len());
    }
}

#[test]
fn values_as_large_as_they_may_be_leave_sleds_blobs_empty() {
    let disk = Disk::new();
    let store = disk.open();
    // Every block is one row of nearly the limit, every large record fifteen of exactly the limit.
    for round in 0..12 {
        let single = vec![NEAR_THE_LIMIT - 120; 256];
        disk.append(&store, &single).unwrap();
        disk.append(&store, &[ENVELOPE_BYTES_MAX; 24]).unwrap();
        assert!(store.blobs_are_empty(), "round {round}");
    }
    drop(store);
    assert!(disk.open().blobs_are_empty());
}

#[test]
fn tiles_that_are_lost_are_worked_out_anew_and_ones_that_are_wrong_are_found() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..5 {
        disk.append(&store, &[20; 1000]).unwrap();
    }
    let views = store.views_digest().unwrap();
    let tiles = |store: &Store| store.db.scan_prefix([0x12]).count();
    assert_eq!(tiles(&store), 5000 / 64 + 5000 / 4096);
    store.clear_tree().unwrap();
    assert_eq!(tiles(&store), 0);
    drop(store);
    let store = disk.open();
    assert_eq!(store.views_digest().unwrap(), views);
    // The last one below the edge: what is put together from it is not what the head says.
    let id = crate::transparency::TileId { level: 1, index: 0 };
    let mut row = tree::row(id, &store.tile(id).unwrap().unwrap()).1.unwrap().to_vec();
    let last = row.len() - 1;
    row[last] ^= 1;
    let payload = row[4..].to_vec();
    store.db.insert(keys::tile(id), block::seal(&payload)).unwrap();
    store.db.flush().unwrap();
    drop(store);
    let error = Store::open(disk.folder.path(), 0).unwrap_err();
    assert!(error.to_string().contains("the tree"), "{error}");
    let store = Store::open_log(disk.folder.path(), 0).unwrap();
    assert!(!store.rebuild().unwrap().unchanged);
    drop(store);
    assert_eq!(disk.open().views_digest().unwrap(), views);
}

#[test]
fn a_rebuild_gives_the_bytes_that_were_there() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..9 {
        disk.append(&store, &[20; 1000]).unwrap();
    }
    let before = store.views_digest().unwrap();
    assert_eq!(store.rebuild().unwrap(), Rebuilt { entries: 9000, unchanged: true });
    assert_eq!(store.views_digest().unwrap(), before);
    let publisher = publisher();
    for value in [0_u64, 1, 819, 820, 1799] {
        let places = store.find_value(&sha256(&value.to_be_bytes()), publisher, 100).unwrap();
        assert_eq!(places, (value * 5..value * 5 + 5).collect::<Vec<_>>());
    }
    drop(store);
    assert_eq!(disk.open().views_digest().unwrap(), before, "a restart folds what was lost");
}

/// The group of readers that every entry reaches.
fn publisher() -> crate::model::index_keys::Group {
    crate::model::index_keys::Group::of_reader(&crate::model::policy::Reader {
        member: "acme-video".parse().unwrap(),
        role: crate::model::roster::Role::Company,
        suspended: false,
        audiences: Vec::new(),
    })[0]
}

/// Lets the bodies of some entries go, as a group of its own.
fn erase(store: &Store, sequences: impl Iterator<Item = u64>) {
    let without_body = |sequence| {
        let block = store.block_at(sequence).unwrap().unwrap();
        let mut entry =
            crate::wire::entry::decode(block.framed(block.at(sequence).unwrap())).unwrap();
        entry.envelope.as_mut().unwrap().body.clear();
        entry.erased = Some(pb::Erasure::default());
        (sequence, crate::wire::entry::frame(&entry))
    };
    let entries = sequences.map(without_body).collect();
    let erasing = Some(Erasing { entries, ..Erasing::default() });
    let head = store.head().unwrap();
    store.append(&Group { head, erasing, ..Group::default() }).unwrap();
}

#[test]
fn what_was_erased_is_not_found_and_leaves_the_disk_place_by_place() {
    let disk = Disk::new();
    let mut store = disk.open();
    for _group in 0..9 {
        disk.append(&store, &[20; 1000]).unwrap();
    }
    // In the first short run, in the second, and in the open one.
    let erased = [3, 820, 5000, 8500_u64];
    erase(&store, erased.into_iter());
    let stale = |store: &Store| store.db.scan_prefix([keys::INDEX, 2, 3]).count();
    let demand = |store: &Store| {
        for sequence in erased {
            let all = sequence / 5 * 5..sequence / 5 * 5 + 5;
            let digest = sha256(&(sequence / 5).to_be_bytes());
            let found = store.find_value(&digest, publisher(), 100).unwrap();
            assert_eq!(found, all.filter(|at| *at != sequence).collect::<Vec<_>>());
        }
    };
    demand(&store);
    assert_eq!(stale(&store), 2, "one place for each run on the disk");
    drop(store);
    store = disk.open();
    demand(&store);
    assert!(store.sweep().unwrap());
    assert_eq!(stale(&store), 1);
    drop(store);
    store = disk.open();
    demand(&store);
    assert!(store.rebuild().unwrap().unchanged, "what is left is swept first");
    assert_eq!(stale(&store), 0);
    demand(&store);
    assert!(!store.sweep().unwrap(), "nothing is left");

    erase(&store, std::iter::once(4001));
    drop(store);
    let store = Store::open(disk.folder.path(), u64::MAX).unwrap();
    assert!(!store.sweep().unwrap(), "not while the disk is full");
    assert_eq!(stale(&store), 1);
}

/// A reach as wide as one may be, and an indicator for it with more words than it is found by.
fn for_everyone_by_name() -> (Reach, pb::body::Content) {
    let audience = |number: u32| format!("{number:020x}").parse().unwrap();
    let member = |number: u32| format!("member-{number:02}").parse().unwrap();
    let reach = Reach {
        audiences: (0..32).map(audience).collect(),
        recipients: (0..64).map(member).collect(),
    };
    let content = pb::body::Content::Indicator(pb::Indicator {
        observable: Some(pb::Observable {
            kind: pb::ObservableKind::Domain.into(),
            value: "lantern.example".to_owned(),
            ..pb::Observable::default()
        }),
        description: (0..256).map(|number| format!("word{number}")).collect::<Vec<_>>().join(" "),
        ..pb::Indicator::default()
    });
    (reach, content)
}

/// Entries for every reader by name, of many words, of one operation.
fn append_hostile(disk: &Disk, store: &Store, count: usize) {
    let (reach, content) = for_everyone_by_name();
    let record = signed(reach.clone(), content);
    let parsed = record.get();
    let terms = crate::wire::terms(&parsed.content, &parsed.body, &reach);
    let mut group = disk.group(store, &vec![20; count]).unwrap();
    group.head = store.head().unwrap();
    let first = group.head.frontier.size();
    for (sequence, entry) in (first..).zip(&mut group.entries) {
        let operation = Some(facts(10).name());
        let scope = Scope {
            reach: reach.clone(),
            shapes: vec![Shape { operation, ..Shape::default() }],
            ..Scope::clone(&entry.facts.scope)
        };
        entry.facts.scope = Arc::new(scope);
        entry.facts.value_digest = Some(sha256(b"lantern.example"));
        let mut told = self::entry(sequence, 20);
        (told.envelope, told.erased) = (Some(parsed.envelope.clone()), None);
        entry.framed = crate::wire::entry::frame(&told);
        entry.leaf_hash = leaf(&told).unwrap().hash();
        group.head.frontier.push(entry.leaf_hash);
        entry.terms.clone_from(&terms);
    }
    store.append(&group).unwrap();
    store.apply_views(first, &group.entries).unwrap();
}

#[test]
fn entries_of_many_words_for_many_readers_are_found_and_memory_has_its_bound() {
    let disk = Disk::new();
    let mut store = disk.open();
    let spilled = |store: &Store| store.db.scan_prefix(keys::level(3, 2)).count() > 0;
    let demand = |store: &Store, end: u64| {
        let (reach, _content) = for_everyone_by_name();
        let of_audience = crate::model::index_keys::Group::of_audience(&reach.audiences[31]);
        let of_member = crate::model::index_keys::Group::of_member(&reach.recipients[63]);
        for group in [of_audience, of_member, publisher()] {
            let find = |term| store.find_term(term, group, 0, usize::MAX).unwrap();
            let all: Vec<u64> = (0..end).collect();
            assert_eq!(find(Term::about(&facts(10).name())), all, "the operation");
            assert_eq!(find(Term::word("word0")), all);
            assert_eq!(find(Term::word("word255")), Vec::<u64>::new(), "beyond the bound");
            assert_eq!(store.find_value(&sha256(b"lantern.example"), group, 9999).unwrap(), all);
            let kinds = find(Term::body_kind(BodyKind::Indicator));
            assert_eq!(kinds, (0..end).step_by(64).collect::<Vec<_>>());
            let few = store.find_term(Term::word("word1"), group, 70, 3).unwrap();
            assert_eq!(few, [70, 71, 72]);
        }
    };
    append_hostile(&disk, &store, 80);
    demand(&store, 80);
    assert!(!spilled(&store), "the control: there is room for eighty");
    append_hostile(&disk, &store, 60);
    demand(&store, 140);
    assert!(spilled(&store));
    let in_memory: usize = store.views_in_memory().iter().map(Vec::len).sum();
    assert!(in_memory < 100 * 1024, "{in_memory} of {}", 140 * 42 * 97);
    drop(store);
    store = disk.open();
    demand(&store, 140);
    assert!(store.rebuild().unwrap().unchanged);
    demand(&store, 140);
}

#[test]
fn an_erased_entry_is_found_by_none_of_its_words_and_still_by_its_operation() {
    let disk = Disk::new();
    let mut store = disk.open();
    append_hostile(&disk, &store, 40);
    erase(&store, [7, 20].into_iter());
    let all: Vec<u64> = (0..40).collect();
    let left: Vec<u64> = all.iter().copied().filter(|at| ![7, 20].contains(at)).collect();
    for _restart in 0..2 {
        let find = |term| store.find_term(term, publisher(), 0, usize::MAX).unwrap();
        assert_eq!(find(Term::word("word0")), left);
        assert_eq!(find(Term::about(&facts(10).name())), all, "what the scope says stays");
        assert_eq!(store.find_value(&sha256(b"lantern.example"), publisher(), 99).unwrap(), left);
        drop(store);
        store = disk.open();
    }
}

#[test]
fn entries_are_let_go_together_as_far_as_their_postings_fit() {
    let disk = Disk::new();
    let store = disk.open();
    append_hostile(&disk, &store, 40);
    // The words that are kept, the value, and the groups.
    let each = (42 + 1) * (32 + 64 + 1);
    for (postings, end) in
        [(10 * each, 13), (10 * each - 1, 12), (each, 4), (0, 4), (37 * each, 40)]
    {
        assert_eq!(store.end_within(3..40, postings).unwrap(), end, "{postings}");
    }
    assert_eq!(store.end_within(3..20, usize::MAX).unwrap(), 20);
    assert_eq!(store.end_within(3..8, 9 * each).unwrap(), 8);
}

#[test]
fn a_damaged_index_is_named_and_a_rebuild_mends_it() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..9 {
        disk.append(&store, &[20; 1000]).unwrap();
    }
    let before = store.views_digest().unwrap();
    let rows: Vec<_> = store.db.scan_prefix([keys::INDEX]).map(Result::unwrap).collect();
    drop(store);
    // The first and the last row of each index: postings, and the counter of runs.
    let of = |index: u8| rows.iter().filter(move |(key, _value)| key[1] == index);
    for (key, value) in
        [1, 2].into_iter().flat_map(|index| of(index).take(1).chain(of(index).next_back()))
    {
        let store = disk.open();
        store.db.insert(key, &value[1..]).unwrap();
        drop(store);
        let opened = Store::open(disk.folder.path(), 0);
        assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{key:?}: {opened:?}");
        drop(opened);
        let store = Store::open_log(disk.folder.path(), 0).unwrap();
        assert_eq!(store.rebuild().unwrap(), Rebuilt { entries: 9000, unchanged: false });
        assert_eq!(store.views_digest().unwrap(), before);
        demand_all(&store, &vec![20; 9000]);
    }
}

#[test]
fn a_full_volume_leaves_everything_as_it_was() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[300; 3]).unwrap();
    let before = store.head().unwrap();
    drop(store);
    let store = Store::open(disk.folder.path(), u64::MAX).unwrap();
    let refused = disk.append(&store, &[300; 3]);
    assert!(matches!(refused, Err(StoreError::Full { minimum: u64::MAX, .. })), "{refused:?}");
    assert_eq!(store.head().unwrap(), before);
    demand_all(&store, &[300; 3]);
    drop(store);
    let store = disk.open();
    disk.append(&store, &[300; 3]).unwrap();
    demand_all(&store, &[300; 6]);
}

#[test]
fn one_flipped_bit_in_any_row_is_damage_that_is_named() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[300, 30_000, 40]).unwrap();
    let rows: Vec<_> = store.db.iter().map(Result::unwrap).collect();
    let mut judged = 0;
    for (key, value) in rows.iter().filter(|(_key, value)| value.len() > 8) {
        for at in [0, value.len() / 2, value.len() - 1] {
            let mut damaged = value.to_vec();
            damaged[at] ^= 0x10;
            store.db.insert(key, damaged).unwrap();
            let found = match key[0] {
                keys::BLOCK | 0x11 => store.blocks_from(0, usize::MAX).map(drop),
                _ => prepare_again(&store),
            };
            assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{key:?} at {at}: {found:?}");
            judged += 1;
        }
        store.db.insert(key, value).unwrap();
    }
    assert!(judged > 30, "{judged} flips were judged");
    demand_all(&store, &[300, 30_000, 40]);
}

fn prepare_again(store: &Store) -> Result<(), StoreError> {
    log::prepare(&store.db).map(drop)
}

#[test]
fn evidence_is_read_back_at_every_size_and_damage_to_it_is_named() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[300]).unwrap();
    let full = STATE_BYTES_MAX;
    let mut names = Vec::new();
    for length in [0, 1, full - 1, full, full + 1, 9 * full + 7] {
        let evidence: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let name =
            ReportName { reporter: "acme-video".parse().unwrap(), digest: sha256(&evidence) };
        let change = |key, bytes: &[u8]| StateChange { key, bytes: Some(bytes.to_vec()) };
        let mut state = vec![change(StateKey::Report(name.clone()), b"row")];
        state.extend(
            (0..)
                .zip(evidence.chunks(full))
                .map(|(number, piece)| change(StateKey::Evidence(name.clone(), number), piece)),
        );
        let group = Group { head: store.head().unwrap(), state, ..Group::default() };
        store.append(&group).unwrap();
        names.push((name, evidence));
    }
    drop(store);
    let store = disk.open();
    assert!(store.blobs_are_empty());
    for (name, evidence) in &names {
        assert_eq!(store.evidence(name).unwrap(), *evidence);
    }
    let reports = store.reports().unwrap();
    assert_eq!(reports.len(), names.len());
    assert!(reports.iter().all(|(_name, row)| row == b"row"));
    let (name, _evidence) = names.last().unwrap();
    let piece = keys::evidence_piece(name, 3);
    let value = store.db.remove(&piece).unwrap().unwrap();
    let missing = store.evidence(name);
    assert!(matches!(missing, Err(StoreError::Corrupt { .. })), "{missing:?}");
    let mut flipped = value.to_vec();
    flipped[100] ^= 1;
    store.db.insert(&piece, flipped).unwrap();
    let damaged = store.evidence(name);
    assert!(matches!(damaged, Err(StoreError::Corrupt { .. })), "{damaged:?}");
    store.db.insert(&piece, value).unwrap();
    store.evidence(name).unwrap();
}

#[test]
fn a_missing_row_is_damage_and_never_a_hole() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..3 {
        disk.append(&store, &[300]).unwrap();
    }
    store.db.remove(keys::block(1)).unwrap();
    let found = store.blocks_from(0, usize::MAX);
    assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{found:?}");
}

#[test]
fn a_directory_of_another_format_is_refused() {
    let disk = Disk::new();
    let store = disk.open();
    store.db.insert(keys::FORMAT, &1_u32.to_be_bytes()).unwrap();
    drop(store);
    let opened = Store::open(disk.folder.path(), 0);
    assert!(matches!(opened, Err(StoreError::Format { found: 1, expected: 4 })), "{opened:?}");
}

#[test]
fn there_is_one_tree() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[300; 40]).unwrap();
    assert_eq!(store.db.tree_names().len(), 1, "a group in two trees is not atomic");
}

#[test]
fn a_directory_that_is_open_is_not_opened_again() {
    let disk = Disk::new();
    let _open = disk.open();
    let second = Store::open(disk.folder.path(), 0);
    assert!(matches!(second, Err(StoreError::InUse)), "{second:?}");
}

/// The folder as a killed process leaves it: with its reserve.
fn copied(disk: &Disk) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("blobs")).unwrap();
    for name in ["conf", "db"] {
        std::fs::copy(disk.folder.path().join(name), copy.path().join(name)).unwrap();
    }
    copy
}

#[test]
fn a_reserve_is_kept_ahead_and_what_a_kill_leaves_of_it_hides_nothing() {
    let disk = Disk::new();
    let store = disk.open();
    let file = disk.folder.path().join("db");
    let mut written = 0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // Blocks of 64 KiB, so that the log is soon longer than a few segments.
    while written < 200 {
        disk.append(&store, &[ENVELOPE_BYTES_MAX]).unwrap();
        written += 1;
    }
    let read = || std::fs::read(&file).unwrap();
    while read().iter().rev().take_while(|byte| **byte == 0).count() < 2 * 1024 * 1024 {
        assert!(std::time::Instant::now() < deadline, "there are no zeroes ahead of the log");
        std::thread::yield_now();
    }
    let killed = copied(&disk);
    let with_reserve = std::fs::metadata(killed.path().join("db")).unwrap().len();
    let lengths = vec![ENVELOPE_BYTES_MAX; written];
    assert!(!reserve::cut(&killed.path().join("db")).unwrap());
    let without = std::fs::metadata(killed.path().join("db")).unwrap().len();
    assert!(without + 1024 * 1024 < with_reserve, "{without} of {with_reserve} bytes are left");
    demand_all(&Store::open(killed.path(), 0).unwrap(), &lengths);
    // Nor does it without the cut: as a version of the hub that knows of no reserve would open it.
    let killed = copied(&disk);
    let opened = sled::Config::new().path(killed.path()).open().unwrap();
    let blocks = opened.scan_prefix([keys::BLOCK]).count();
    assert_eq!(blocks, written);
    drop(opened);
    demand_all(&store, &lengths);
}

#[test]
fn what_fits_in_so_many_bytes_begins_with_a_group_that_may_go_beyond_them() {
    let disk = Disk::new();
    let store = disk.open();
    let mut groups = Vec::new();
    for entries in 1..=5 {
        let mut group = disk.group(&store, &vec![20; entries]).unwrap();
        let start = store.head().unwrap().frontier.size();
        group.head.bytes += 100;
        store.append(&group).unwrap();
        groups.push((start, group.head.frontier.size(), group.head.bytes));
    }
    let head = store.head().unwrap();
    for (start, end, behind) in groups {
        let rest = head.bytes - behind;
        assert_eq!(store.first_within(&head, rest).unwrap(), start, "behind it lies what may");
        if rest > 0 {
            assert_eq!(store.first_within(&head, rest - 1).unwrap(), end, "one too many");
        }
    }
}

#[test]
fn how_long_the_writing_thread_is_at_it_is_told_until_it_is_done() {
    let disk = Disk::new();
    let store = disk.open();
    assert_eq!(store.at_work(), std::time::Duration::ZERO);
    let begun = std::time::Instant::now();
    store.note_work(true);
    while store.at_work().is_zero() {
        assert!(begun.elapsed().as_secs() < 20, "it is never told");
        std::thread::yield_now();
    }
    assert!(store.at_work() <= begun.elapsed() + std::time::Duration::from_millis(2));
    store.note_work(false);
    assert_eq!(store.at_work(), std::time::Duration::ZERO);
}

#[test]
fn a_blob_is_seen_though_the_folder_was_empty_before() {
    let disk = Disk::new();
    let store = disk.open();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !store.trusts_the_time_of_blobs() {
        assert!(std::time::Instant::now() < deadline, "its time is never trusted");
        assert!(store.blobs_are_still_empty());
        std::thread::yield_now();
    }
    assert!(store.blobs_are_still_empty());
    let blobs = disk.folder.path().join("blobs");
    std::fs::write(blobs.join("17"), b"spilled").unwrap();
    assert!(!store.blobs_are_still_empty());
    // Nor is a folder that is not empty taken for one once its time is long ago.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    std::fs::File::open(&blobs).unwrap().set_modified(long_ago).unwrap();
    assert!(!store.blobs_are_still_empty());
    assert!(!store.blobs_are_still_empty(), "it was seen to be old");
}

/// Where what a file holds was changed: from the first byte to behind the last. What only one has counts as zero.
fn changed(before: &[u8], after: &[u8]) -> std::ops::Range<usize> {
    let was = before.iter().copied().chain(std::iter::repeat(0));
    let mut places =
        after.iter().zip(was).enumerate().filter(|(_at, (is, was))| *is != was).map(|(at, _)| at);
    let first = places.next().unwrap();
    first..places.last().unwrap_or(first) + 1
}

#[test]
fn a_group_is_there_whole_or_not_at_all_wherever_its_writes_end() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[300; 3]).unwrap();
    let file = disk.folder.path().join("db");
    let before = std::fs::read(&file).unwrap();
    // More than one block, and what is kept beside the log.
    let member: crate::model::names::MemberId = "acme-video".parse().unwrap();
    let mut group = disk.group(&store, &[200; 20]).unwrap();
    let key = StateKey::Cosignature(member.clone());
    group.state.push(StateChange { key, bytes: Some(b"row".to_vec()) });
    store.append(&group).unwrap();
    let after = std::fs::read(&file).unwrap();
    let mut whole = 0;
    let mut cuts = 0;
    let range = changed(&before, &after);
    for cut in range.clone().step_by(48).chain([range.end]) {
        let torn = copied(&disk);
        let mut bytes = after.clone();
        bytes[cut..].fill(0);
        std::fs::write(torn.path().join("db"), bytes).unwrap();
        let opened = Store::open(torn.path(), 0).unwrap();
        let size = opened.head().unwrap().frontier.size();
        let beside = opened.db.get(keys::cosignature(&member)).unwrap();
        assert!(size == 3 || size == 23, "{size} entries, cut at {cut} of {range:?}");
        assert_eq!(beside.is_some(), size == 23, "half a group, cut at {cut} of {range:?}");
        assert_eq!(opened.blocks_from(0, usize::MAX).unwrap().last().unwrap().end(), size);
        whole += u32::from(size == 23);
        cuts += 1;
    }
    assert!(cuts > 50 && whole >= 1 && whole < cuts, "{whole} of {cuts} were whole");
}

#[test]
fn what_is_kept_beside_the_log_comes_with_the_entries_of_its_group() {
    let disk = Disk::new();
    let store = disk.open();
    let member: crate::model::names::MemberId = "acme-video".parse().unwrap();
    let mut group = disk.group(&store, &[100; 2]).unwrap();
    let key = StateKey::Cosignature(member.clone());
    group.state.push(StateChange { key, bytes: Some(b"row".to_vec()) });
    store.append(&group).unwrap();
    assert_eq!(store.blocks_from(0, usize::MAX).unwrap().last().unwrap().end(), 2);
    assert!(store.db.get(keys::cosignature(&member)).unwrap().is_some());
}

#[test]
fn blocks_are_read_until_there_are_so_many_bytes() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..3 {
        disk.append(&store, &[100]).unwrap();
    }
    let one = store.blocks_from(0, 0).unwrap();
    let bytes = one[0].bytes.len();
    assert_eq!(one.len(), 1, "one at least");
    assert_eq!(store.blocks_from(0, bytes).unwrap().len(), 1);
    assert_eq!(store.blocks_from(0, bytes + 1).unwrap().len(), 2);
}

#[test]
fn a_block_that_is_missing_in_a_group_is_named() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[30_000; 6]).unwrap();
    let blocks = store.blocks_from(0, usize::MAX).unwrap();
    assert!(blocks.len() > 2);
    store.db.remove(keys::block(blocks[1].first)).unwrap();
    let head = store.head().unwrap();
    let found = store.first_within(&head, 0).unwrap_err().to_string();
    assert!(found.contains(&format!("sequence {}", blocks[1].first)), "{found}");
}

#[test]
fn a_log_whose_known_rows_are_gone_is_refused() {
    let last = keys::block(1);
    for (row, why) in [
        (last.as_slice(), "its last entries are missing"),
        (keys::WRITES.as_slice(), "the last of it is missing"),
    ] {
        let disk = Disk::new();
        let store = disk.open();
        let key = StateKey::Cosignature("acme-video".parse().unwrap());
        let state = vec![StateChange { key, bytes: Some(b"row".to_vec()) }];
        let head = store.head().unwrap();
        store.append(&Group { head, state, ..Group::default() }).unwrap();
        (0..2).for_each(|_group| disk.append(&store, &[100]).unwrap());
        store.db.remove(row).unwrap();
        store.db.flush().unwrap();
        // What was known of it goes with it.
        let copy = copied(&disk);
        let known = |folder: &TempDir| folder.path().join("anchor");
        std::fs::copy(known(&disk.folder), known(&copy)).unwrap();
        let found = Store::open(copy.path(), 0).err().unwrap().to_string();
        assert!(found.contains(why), "{found}");
    }
}

#[test]
fn how_far_retention_came_is_there_after_a_restart() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[100; 5]).unwrap();
    assert_eq!(store.floor().unwrap(), 0);
    let (head, erasing) = (store.head().unwrap(), Erasing { floor: Some(3), ..Erasing::default() });
    store.append(&Group { head, erasing: Some(erasing), ..Group::default() }).unwrap();
    drop(store);
    assert_eq!(disk.open().floor().unwrap(), 3);
}

#[test]
fn what_is_left_of_a_damaged_log_is_read_by_whoever_asks_for_no_more() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..40 {
        disk.append(&store, &[30_000; 2]).unwrap();
    }
    drop(store);
    let path = disk.folder.path();
    let file = std::fs::File::options().read(true).write(true).open(path.join("db")).unwrap();
    // The newest segment, wherever it lies: a hole in the middle sled itself may not survive.
    let at = inspect::segments(&file).unwrap().last_key_value().unwrap().1 + 5;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    assert!(matches!(Store::open(path, 0), Err(StoreError::Corrupt { .. })));
    let left = Store::open_damaged(path).unwrap();
    let mut blocks = 0;
    left.readable_blocks(|_block| blocks += 1);
    assert!(blocks > 0, "nothing is left");
}

#[test]
fn what_cannot_be_read_is_counted_and_the_rest_is_read() {
    let disk = Disk::new();
    let store = disk.open();
    for _group in 0..4 {
        disk.append(&store, &[100; 2]).unwrap();
    }
    for first in [2, 6] {
        store.db.insert(keys::block(first), b"no block").unwrap();
    }
    let mut firsts = Vec::new();
    assert_eq!(store.readable_blocks(|block| firsts.push(block.first)), 2);
    assert_eq!(firsts, [0, 4]);
}

/// What is known to be on the disk.
fn known(disk: &Disk) -> anchor::Known {
    anchor::read(disk.folder.path()).unwrap().unwrap()
}

#[test]
fn what_was_written_beside_the_log_is_synced_and_what_was_not_is_not() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[100]).unwrap();
    let frontier = store.head().unwrap().frontier;
    let end_after = |bytes: usize| {
        store.db.insert(b"~ beside the log", bytes.to_be_bytes().to_vec()).unwrap();
        disk::Disk::wrote(&store, bytes).unwrap();
        store.raise_anchor(&frontier).unwrap();
        known(&disk).lsn
    };
    let before = known(&disk).lsn;
    assert_eq!(end_after(0), before, "a sync of nothing");
    assert!(end_after(1) > before, "no sync");
}

#[test]
fn a_store_that_is_closed_demands_all_of_it_at_the_next_start() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[100]).unwrap();
    let before = known(&disk).lsn;
    store.db.insert(b"~ beside the log", b"written and not synced").unwrap();
    drop(store);
    assert!(known(&disk).lsn > before, "what was written last is not demanded");
}

#[test]
fn a_write_of_state_that_no_entry_counts_is_counted_by_itself() {
    let disk = Disk::new();
    let store = disk.open();
    disk.append(&store, &[100]).unwrap();
    let before = known(&disk).writes;
    let key = StateKey::Cosignature("acme-video".parse().unwrap());
    let state = vec![StateChange { key, bytes: Some(b"row".to_vec()) }];
    let head = store.head().unwrap();
    store.append(&Group { head, state, ..Group::default() }).unwrap();
    assert_eq!(known(&disk).writes, before + 1);
    disk.append(&store, &[100]).unwrap();
    assert_eq!(known(&disk).writes, before + 1, "the next start demands its entry");
}

#[test]
fn a_log_of_as_many_other_entries_is_another() {
    let disk = Disk::new();
    disk.append(&disk.open(), &[100; 3]).unwrap();
    let path = disk.folder.path();
    drop(Store::open(path, 0).unwrap());
    let known = known(&disk);
    assert_eq!(known.size, 3);
    anchor::Anchor::begin(path, anchor::Known { root: sha256(b"another"), ..known }).unwrap();
    let error = Store::open(path, 0).unwrap_err().to_string();
    assert!(error.contains("it is another than was on the disk"), "{error}");
}

#[test]
fn files_that_cannot_be_opened_are_not_said_to_be_in_use() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    let error = log::open_sled(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn whoever_reads_what_lies_in_several_rows_is_waited_for() {
    let disk = Disk::new();
    let store = disk.open();
    let (is_reading, has_read) =
        (std::sync::Barrier::new(2), std::sync::atomic::AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _shared = store.shared();
            is_reading.wait();
            std::thread::park_timeout(std::time::Duration::from_millis(50));
            has_read.store(true, Ordering::SeqCst);
        });
        is_reading.wait();
        disk::Disk::wait_for_readers(&store);
        assert!(has_read.load(Ordering::SeqCst));
    });
}

#[test]
fn a_folder_that_changed_just_now_is_looked_into_again() {
    let begun = std::time::Instant::now();
    loop {
        let changed = std::time::Instant::now();
        let disk = Disk::new();
        let store = disk.open();
        assert!(store.blobs_are_still_empty());
        // A machine that stands still for two seconds has seen nothing.
        if changed.elapsed() < std::time::Duration::from_secs(2) {
            assert!(!store.trusts_the_time_of_blobs());
            break;
        }
        assert!(begun.elapsed() < std::time::Duration::from_mins(1), "never looked at in time");
    }
}

#[test]
fn what_is_to_be_kept_free_is_enough_to_the_byte() {
    let disk = Disk::new();
    let store = Store::open(disk.folder.path(), 4096).unwrap();
    assert!(store.has_space_with(4096).unwrap());
    assert!(!store.has_space_with(4095).unwrap());
}

/// What the hub says that it erased for the demand at a place; signed by nobody, which the store does not look at.
fn notice(like: &Record, demand: u64, sequences: std::ops::Range<u64>) -> pb::Envelope {
    let said = pb::ErasureNotice { demand_sequence: demand, sequences: sequences.collect() };
    let content = Some(pb::body::Content::Erasure(said));
    let body = pb::Body { salt: vec![7; 32], content }.encode_to_vec();
    let header = Header {
        name: RecordName {
            member: crate::model::names::MemberId::hub(),
            record: uuid::Uuid::now_v7(),
        },
        body_kind: BodyKind::Erasure,
        body_digest: sha256(&body),
        ..like.header.clone()
    };
    pb::Envelope {
        payload_type: HUB_PAYLOAD_TYPE.to_owned(),
        payload: crate::wire::header::header_bytes(&header).into(),
        body: body.into(),
        ..like.envelope.clone()
    }
}

/// Which demands are open in a restored log that has ten revisions of a record, the first of which have no body, then the
/// demand to erase it, and notices of bodies that went.
fn open_after_restore(erased: u64, notices: &[std::ops::Range<u64>]) -> Vec<u64> {
    let disk = Disk::new();
    let store = disk.open();
    let name = RecordName { member: "acme-video".parse().unwrap(), record: uuid::Uuid::now_v7() };
    let demand = signed(
        Reach::default(),
        pb::body::Content::Withdrawal(pb::Withdrawal {
            of: name.to_string(),
            reason: pb::WithdrawalReason::Privacy.into(),
            demand_deletion: true,
            ..pb::Withdrawal::default()
        }),
    );
    let revision = disk.record.get();
    let mut said = vec![(BodyKind::Operation, revision.envelope.clone()); 10];
    said.push((BodyKind::Withdrawal, demand.get().envelope.clone()));
    let notices = notices.iter().map(|places| notice(revision, 10, places.clone()));
    said.extend(notices.map(|envelope| (BodyKind::Erasure, envelope)));

    let mut group = disk.group(&store, &vec![20; said.len()]).unwrap();
    group.head = store.head().unwrap();
    for (sequence, (entry, (kind, mut envelope))) in (0..).zip(group.entries.iter_mut().zip(said)) {
        let is_gone = sequence < erased;
        if is_gone {
            envelope.body.clear();
        }
        let told = pb::Entry {
            envelope: Some(envelope),
            erased: is_gone.then_some(pb::Erasure { cause_sequence: 11 }),
            ..self::entry(sequence, 20)
        };
        let is_revision = kind == BodyKind::Operation;
        entry.facts = Facts {
            scope: Arc::new(Scope { body_kind: kind, ..Scope::clone(&entry.facts.scope) }),
            record: if is_revision { name.record } else { uuid::Uuid::now_v7() },
            revision: if is_revision { u32::try_from(sequence).unwrap() + 1 } else { 1 },
            value_digest: None,
            withdraws: None,
        };
        if kind == BodyKind::Withdrawal {
            entry.record = demand.clone();
        }
        entry.framed = crate::wire::entry::frame(&told);
        entry.leaf_hash = leaf(&told).unwrap().hash();
        group.head.frontier.push(entry.leaf_hash);
    }
    let size = group.head.frontier.size();
    store.append(&group).unwrap();
    assert_eq!(store.demands().unwrap().len(), 1, "where it was demanded");
    let mut file = Vec::new();
    export(&store, &mut file, Timestamp::default(), || Some(size), |_entries| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    import(file.as_slice(), folder.path(), |_entries| {}).unwrap();
    let restored = Store::open_log(folder.path(), 0).unwrap();
    let open = restored.demands().unwrap();
    assert!(open.iter().all(|demand| demand.of == name && demand.due == Timestamp::default()));
    open.into_iter().map(|demand| demand.sequence).collect()
}

#[test]
fn a_demand_is_open_after_a_restore_until_every_body_is_gone() {
    assert_eq!(open_after_restore(0, &[]), [10], "nothing was done yet");
    // The hub stops where a notice would let too many postings go, far from as many bodies as one may name.
    let one = 0..4;
    assert_eq!(open_after_restore(4, std::slice::from_ref(&one)), [10], "it was met in part");
    assert_eq!(open_after_restore(9, &[0..4, 4..9]), [10], "it was met but for the last");
    assert_eq!(open_after_restore(10, &[0..4, 4..10]), Vec::<u64>::new(), "it was met");
}
