//! What holds for every sink, whatever it is made of.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::client::Draft;
use crate::client::VerificationError;
use crate::client::VerifiedEntry;
use crate::client::batch::Batch;
use crate::client::batch::Fact;
use crate::client::batch::Item;
use crate::client::batch::Payload;
use crate::client::batch::Run;
use crate::client::cursor::cursor;
use crate::client::founding;
use crate::client::origin::sample;
use crate::client::tests::World;
use crate::client::tests::domain;
use crate::wire::pb;

/// Makes entries of one member.
pub(in crate::client) struct Maker {
    pub(in crate::client) world: World,
}

impl Maker {
    pub(in crate::client) fn new() -> Self {
        Self { world: World::new() }
    }

    pub(in crate::client) fn record(&self) -> RecordName {
        self.world.draft(&self.world.acme, domain("x")).name
    }

    pub(in crate::client) fn verify(
        &self,
        sequence: u64,
        envelope: pb::Envelope,
    ) -> Result<VerifiedEntry, VerificationError> {
        self.world.verifier().verify(World::entry(sequence, envelope))
    }

    pub(in crate::client) fn entry(&self, sequence: u64, draft: Draft) -> VerifiedEntry {
        let envelope = self.world.acme.sign(draft, self.world.now).unwrap();
        self.verify(sequence, envelope).unwrap()
    }

    pub(in crate::client) fn indicator(
        &self,
        sequence: u64,
        name: &RecordName,
        revision: u32,
    ) -> VerifiedEntry {
        let content = domain(&format!("r{revision}.example"));
        let previous = (revision > 1).then(|| (revision - 1, [7; 32]));
        let draft = self.world.draft(&self.world.acme, content);
        self.entry(sequence, Draft { name: name.clone(), previous, ..draft })
    }

    pub(in crate::client) fn revision(
        &self,
        sequence: u64,
        name: &RecordName,
        revision: u32,
    ) -> Item {
        Item::new(&self.indicator(sequence, name, revision))
    }

    pub(in crate::client) fn withdrawal(
        &self,
        sequence: u64,
        of: &RecordName,
        demand_deletion: bool,
    ) -> Item {
        let content = pb::body::Content::Withdrawal(pb::Withdrawal {
            of: of.to_string(),
            reason: pb::WithdrawalReason::Error.into(),
            demand_deletion,
            ..pb::Withdrawal::default()
        });
        let draft = self.world.draft(&self.world.acme, content);
        let handling = founding::unaddressed();
        Item::new(&self.entry(sequence, Draft { handling, ..draft }))
    }
}

/// The same entry after the hub erased its body.
fn erased(item: &Item) -> Item {
    Item { payload: Payload::Erased { cause_sequence: 99 }, ..item.clone() }
}

fn batch(items: Vec<Item>, run: Run, sequence: Option<u64>) -> Batch {
    let place = Place { cursor: Some(cursor(&[1], 0)), epoch: 1, sequence };
    Batch { items, run, place }
}

/// What a batch of these entries does.
pub(in crate::client) fn step(items: Vec<Item>) -> Step {
    let last = items.last().map(|item| item.sequence);
    Step::of(batch(items, Run::Forward, last))
}

const KINDS: [&str; 3] = ["", "sqlite:", "jsonl:"];

fn open(kind: &str, folder: &Path, filter: &str) -> Result<Box<dyn Sink>, SinkError> {
    let path = folder.join(format!("sink{}", kind.replace(':', "-")));
    let target: Target = format!("{kind}{}", path.display()).parse().unwrap();
    target.open(&sample(filter))
}

/// What a sink holds of an entry: whether its payload is there, whether its record is marked as withdrawn, and the
/// body that can still be read.
type Held = BTreeMap<(u32, u64), (bool, String)>;

fn held(kind: &str, folder: &Path) -> Held {
    let path = folder.join(format!("sink{}", kind.replace(':', "-")));
    match kind {
        "sqlite:" => held_by_database(&path),
        "jsonl:" => held_by_lines(&std::fs::read_to_string(path).unwrap()),
        _ => {
            let mut lines = String::new();
            lines_below(&path.join("records"), &mut lines);
            held_by_lines(&lines)
        }
    }
}

fn lines_below(folder: &Path, lines: &mut String) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            lines_below(&path, lines);
        } else if path.file_name().unwrap() != "withdrawn.json" {
            lines.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

fn held_by_lines(text: &str) -> Held {
    let mut held = Held::new();
    for line in text.lines() {
        let fact: Fact = serde_json::from_str(line).unwrap();
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let is_whole = value.get("envelope").is_some();
        assert_eq!(is_whole, fact.deleted.is_none() && fact.erased.is_none(), "{line}");
        let before = held.insert((fact.epoch, fact.sequence), (is_whole, fact.header_digest));
        assert_eq!(before, None, "nothing is there twice");
    }
    held
}

fn held_by_database(path: &Path) -> Held {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut statement = connection
        .prepare("SELECT epoch, sequence, envelope, header_digest, body FROM records")
        .unwrap();
    let rows = statement.query_map([], |row| {
        let envelope: Option<Vec<u8>> = row.get(2)?;
        let body: Option<String> = row.get(4)?;
        assert_eq!(envelope.is_some(), body.is_some());
        let sequence: i64 = row.get(1)?;
        let place = (row.get(0)?, u64::try_from(sequence).unwrap());
        let whole = envelope.map(|bytes| pb::Envelope::decode(bytes.as_slice()).unwrap());
        Ok((place, (whole.is_some(), row.get(3)?)))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_sink_goes_on_where_it_stood() {
    let maker = Maker::new();
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let items =
            vec![maker.revision(3, &maker.record(), 1), maker.revision(5, &maker.record(), 1)];
        let mut sink = open(kind, folder.path(), "00").unwrap();
        assert_eq!(sink.place(), None, "{kind}");
        let first = step(items.clone());
        let applied = sink.apply(&first).unwrap();
        assert_eq!((applied.stored, applied.repeated), (2, 0), "{kind}");
        assert_eq!(sink.place(), Some(&first.place), "{kind}");
        drop(sink);
        let mut sink = open(kind, folder.path(), "00").unwrap();
        assert_eq!(sink.place(), Some(&first.place), "{kind}");
        let applied = sink.apply(&first).unwrap();
        assert_eq!((applied.stored, applied.repeated), (0, 2), "{kind}");
        let place = Place { cursor: Some(cursor(&[9], 0)), ..first.place };
        sink.apply(&Step { effects: Vec::new(), place: place.clone() }).unwrap();
        drop(sink);
        assert_eq!(open(kind, folder.path(), "00").unwrap().place(), Some(&place), "{kind}");
        assert_eq!(held(kind, folder.path()).len(), 2, "{kind}");
    }
}

#[test]
fn a_sink_serves_only_what_it_was_made_for() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        // Even before anything took effect.
        drop(open(kind, folder.path(), "00").unwrap());
        let error = open(kind, folder.path(), "01").err().unwrap();
        assert!(matches!(error, SinkError::Foreign { .. }), "{kind} {error}");
        assert!(error.to_string().contains("another filter"), "{kind} {error}");
        open(kind, folder.path(), "00").unwrap();
    }
}

#[test]
fn a_backfill_is_stored_once_and_moves_nothing() {
    let maker = Maker::new();
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = open(kind, folder.path(), "00").unwrap();
        let forward = step(vec![maker.revision(9, &maker.record(), 1)]);
        sink.apply(&forward).unwrap();
        let early =
            vec![maker.revision(3, &maker.record(), 1), maker.revision(4, &maker.record(), 1)];
        let backfill = Step::of(batch(early, Run::Backfill, Some(9)));
        for (stored, repeated) in [(2, 0), (0, 2)] {
            let applied = sink.apply(&backfill).unwrap();
            assert_eq!((applied.stored, applied.repeated), (stored, repeated), "{kind}");
            drop(sink);
            sink = open(kind, folder.path(), "00").unwrap();
        }
        assert_eq!(sink.place().unwrap().sequence, Some(9), "{kind}");
        assert_eq!(held(kind, folder.path()).len(), 3, "{kind}");
    }
}

#[test]
fn a_recall_says_whether_the_record_was_held() {
    let maker = Maker::new();
    for kind in KINDS {
        for (stores, demands, expected) in [
            (true, true, Holding::Deleted),
            (true, false, Holding::Held),
            (false, true, Holding::NotHeld),
            (false, false, Holding::NotHeld),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut sink = open(kind, folder.path(), "00").unwrap();
            let record = maker.record();
            if stores {
                let both = vec![maker.revision(3, &record, 1), maker.revision(4, &record, 2)];
                sink.apply(&step(both)).unwrap();
            }
            let recall = step(vec![maker.withdrawal(6, &record, demands)]);
            for _again in 0..2 {
                let applied = sink.apply(&recall).unwrap();
                let said = &applied.recalls[0];
                assert_eq!((said.holding, &said.withdrawal.of), (expected, &record), "{kind}");
                drop(sink);
                sink = open(kind, folder.path(), "00").unwrap();
            }
            // What comes later of the record does not come back to life, nor change what was said.
            sink.apply(&step(vec![maker.revision(5, &record, 3)])).unwrap();
            assert_eq!(sink.apply(&recall).unwrap().recalls[0].holding, expected, "{kind}");
            let held = held(kind, folder.path());
            assert_eq!(held[&(1, 5)].0, !demands, "{kind}");
            assert!(held[&(1, 6)].0, "{kind}: the withdrawal itself is kept");
        }
    }
}

#[test]
fn every_recall_of_a_record_is_answered_by_what_was_held_when_it_came() {
    use Holding::Deleted;
    use Holding::Held;
    use Holding::NotHeld;

    let maker = Maker::new();
    let cases = [
        (true, true, [Deleted, NotHeld]),
        (true, false, [Held, Deleted]),
        (false, true, [NotHeld, NotHeld]),
        (false, false, [NotHeld, NotHeld]),
    ];
    for (kind, (stores, demands, expected)) in
        KINDS.into_iter().flat_map(|kind| cases.map(|case| (kind, case)))
    {
        for at_once in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut sink = open(kind, folder.path(), "00").unwrap();
            let record = maker.record();
            if stores {
                sink.apply(&step(vec![maker.revision(3, &record, 1)])).unwrap();
            }
            let both = [maker.withdrawal(6, &record, demands), maker.withdrawal(8, &record, true)];
            let steps: Vec<Step> = if at_once {
                vec![step(both.to_vec())]
            } else {
                both.iter().map(|item| step(vec![item.clone()])).collect()
            };
            // What comes again, whatever came of the record in between, is answered as before.
            for again in 0..3 {
                let said: Vec<Holding> = steps
                    .iter()
                    .flat_map(|step| sink.apply(step).unwrap().recalls)
                    .map(|recall| recall.holding)
                    .collect();
                assert_eq!(said, expected, "{kind} {stores} {demands} {at_once} {again}");
                drop(sink);
                sink = open(kind, folder.path(), "00").unwrap();
                sink.apply(&step(vec![maker.revision(10 + again, &record, 2)])).unwrap();
            }
            let held = held(kind, folder.path());
            assert!(
                held.iter().all(|((_, at), (whole, _))| *whole == [6, 8].contains(at)),
                "{held:?}"
            );
        }
    }
}

#[test]
fn what_was_erased_leaves_its_fact() {
    let maker = Maker::new();
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = open(kind, folder.path(), "00").unwrap();
        let (record, other) = (maker.record(), maker.record());
        let whole = [maker.revision(3, &record, 1), maker.revision(4, &record, 2)];
        sink.apply(&step(whole.to_vec())).unwrap();
        let never_held = erased(&maker.revision(5, &other, 1));
        let applied = sink.apply(&step(vec![erased(&whole[0]), never_held])).unwrap();
        assert_eq!((applied.stored, applied.repeated), (1, 1), "{kind}");
        drop(sink);
        let mut sink = open(kind, folder.path(), "00").unwrap();
        // It is not brought back, here or at another place.
        let mut elsewhere = whole[0].clone();
        elsewhere.epoch = 2;
        if let Payload::Whole { line, .. } = &mut elsewhere.payload {
            *line = line.replace("{\"epoch\":1", "{\"epoch\":2");
        }
        sink.apply(&step(vec![whole[0].clone(), elsewhere])).unwrap();
        let held = held(kind, folder.path());
        let states: Vec<_> = held.iter().map(|(place, (whole, _))| (*place, *whole)).collect();
        let mut expected = vec![((1, 3), false), ((1, 4), true), ((1, 5), false), ((2, 3), false)];
        if kind.is_empty() {
            // One file for each revision: the place in the last epoch counts.
            expected.remove(0);
        }
        assert_eq!(states, expected, "{kind}");
    }
}

#[test]
fn nobody_withdraws_what_is_not_theirs() {
    let maker = Maker::new();
    let theirs = RecordName { member: maker.world.bravo.member().clone(), ..maker.record() };
    let withdrawal = maker.withdrawal(6, &theirs, true);
    assert_eq!(withdrawal.withdraws, None);
    assert_eq!(step(vec![withdrawal]).effects.len(), 1);
}

#[test]
fn a_withdrawal_of_a_withdrawal_deletes_nothing() {
    let maker = Maker::new();
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = open(kind, folder.path(), "00").unwrap();
        let record = maker.record();
        let first = maker.withdrawal(4, &record, true);
        let name = first.header.name.clone();
        sink.apply(&step(vec![first, maker.withdrawal(5, &name, true)])).unwrap();
        let late = sink.apply(&step(vec![maker.revision(6, &record, 1)])).unwrap();
        assert_eq!(late.stored, 1);
        let held = held(kind, folder.path());
        assert!(held[&(1, 4)].0 && !held[&(1, 6)].0, "{kind}");
    }
}

fn permutation() -> impl Strategy<Value = (Vec<usize>, Vec<bool>)> {
    let order = Just((0..8).collect::<Vec<usize>>()).prop_shuffle();
    (order, proptest::collection::vec(any::<bool>(), 8))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Entries in any order, some twice, with restarts in between: the same is held in the end.
    #[test]
    fn order_and_repeats_make_no_difference((order, marks) in permutation()) {
        let maker = Maker::new();
        let (first, second, third) = (maker.record(), maker.record(), maker.record());
        let items = [
            maker.revision(3, &first, 1),
            maker.revision(4, &second, 1),
            maker.revision(5, &first, 2),
            maker.withdrawal(6, &first, true),
            maker.revision(7, &third, 1),
            maker.withdrawal(8, &second, false),
            erased(&maker.revision(9, &third, 2)),
            maker.revision(10, &third, 3),
        ];
        for kind in KINDS {
            let folder = tempfile::tempdir().unwrap();
            let mut sink = open(kind, folder.path(), "00").unwrap();
            for (index, mark) in order.iter().zip(&marks) {
                let once = step(vec![items[*index].clone()]);
                sink.apply(&once).unwrap();
                if *mark {
                    drop(sink);
                    sink = open(kind, folder.path(), "00").unwrap();
                    sink.apply(&once).unwrap();
                }
            }
            drop(sink);
            let whole: Vec<(u64, bool)> =
                held(kind, folder.path()).iter().map(|((_, at), (whole, _))| (*at, *whole)).collect();
            let expected = [
                (3, false), (4, true), (5, false), (6, true), (7, true), (8, true), (9, false), (10, true),
            ];
            prop_assert_eq!(whole, expected, "{}", kind);
        }
    }
}
