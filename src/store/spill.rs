//! What of the run that is being filled is written ahead, when it has more postings than may be in memory.
//!
//! A run is 4,096 sequences whatever they have: runs at other places would need a list of them, and would lie elsewhere
//! once something was erased. So a run of many postings goes to the disk in sorted pieces, eight of which become one,
//! so that a question has few to look into. When it is full they are merged into its rows, as if they had never been.
//! Pieces are gone at the next start: the log has what they are made of.

use std::sync::PoisonError;

use crate::store::StoreError;
use crate::store::disk::Disk;
use crate::store::disk::Writer;
use crate::store::index::Index;
use crate::store::index::SPILLED;
use crate::store::index::State;
use crate::store::keys;
use crate::store::merge::Merged;
use crate::store::sweep::Place;

/// Pieces of one tier that become one of the next.
const JOINED: usize = 8;

/// A piece of the open run on the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spilled {
    pub(super) number: u64,
    /// How often it was joined with others.
    tier: u32,
}

impl Spilled {
    pub(super) const fn place(self) -> Place {
        Place { level: SPILLED, run: self.number, part: 0 }
    }
}

impl Index {
    /// Writes ahead what is in memory of the open run.
    pub(super) fn spill(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let (postings, piece) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            (state.open_sorted(), state.next_piece(0))
        };
        let mut writer = Writer::new(disk);
        self.write(&mut writer, (SPILLED, piece.number), postings.into_iter().map(Ok))?;
        writer.finish()?;
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.open.clear();
            state.spilled.push(piece);
        }
        while self.join_pieces(disk)? {}
        Ok(())
    }

    /// Makes one piece of the last eight, if they are of one tier; whether they were.
    fn join_pieces(&self, disk: &dyn Disk) -> Result<bool, StoreError> {
        let (pieces, joined) = {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            let Some(pieces) = state.last_tier() else { return Ok(false) };
            let tier = pieces.iter().map(|piece| piece.tier).max().unwrap_or_default();
            (pieces.to_vec(), state.next_piece(tier + 1))
        };
        let sources = pieces.iter().map(|piece| self.rising(disk.tree(), piece.place()));
        let mut writer = Writer::new(disk);
        self.write(&mut writer, (SPILLED, joined.number), Merged::new(sources.collect()))?;
        writer.finish()?;
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let before = state.spilled.len().saturating_sub(JOINED);
            state.spilled.truncate(before);
            state.spilled.push(joined);
        }
        disk.wait_for_readers();
        let mut writer = Writer::new(disk);
        for piece in pieces {
            writer.remove_all(keys::run(self.id, SPILLED, piece.number))?;
        }
        writer.finish()?;
        Ok(true)
    }

    /// Removes all pieces. What a crash leaves of them is nothing that anybody reads.
    pub(super) fn remove_spilled(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        let mut writer = Writer::new(disk);
        writer.remove_all(keys::level(self.id, SPILLED).to_vec())?;
        writer.finish()
    }
}

impl State {
    /// The last eight pieces, if they are of one tier.
    fn last_tier(&self) -> Option<&[Spilled]> {
        let first = self.spilled.len().checked_sub(JOINED)?;
        let last = self.spilled.get(first..)?;
        let tier = last.first()?.tier;
        last.iter().all(|piece| piece.tier == tier).then_some(last)
    }

    fn next_piece(&self, tier: u32) -> Spilled {
        let number = self.spilled.last().map_or(0, |last| last.number + 1);
        Spilled { number, tier }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;
    use std::collections::HashSet;

    use sled::Batch;
    use sled::Db;
    use sled::Tree;

    use super::*;
    use crate::model::index_keys::first_bits;
    use crate::model::names::sha256;
    use crate::store::index::COARSE_SEQUENCES;
    use crate::store::index::Keys;
    use crate::store::index::LONG;
    use crate::store::index::PARTS;
    use crate::store::index::RUN_SEQUENCES;
    use crate::store::index::Room;
    use crate::store::index::SHORT;

    /// Keys of an entry of a dense run: a run has more than one step of them, and more than one slice.
    const DENSE: u64 = 18;
    /// Dense runs: the first two, which a merge takes, one of its middle, one beside it.
    const DENSE_RUNS: [u64; 4] = [0, 1, 40, PARTS + 1];
    const ROOM: Room = Room { open: 3000, short: 20_000, filters: 4000 };

    fn database() -> (tempfile::TempDir, Db) {
        let folder = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(folder.path()).flush_every_ms(None).open().unwrap();
        (folder, db)
    }

    /// The keys of an entry: many if its run is dense, one for some others. Those of the first run lie in one part.
    fn keys_of(sequence: u64) -> Vec<u64> {
        let run = sequence / RUN_SEQUENCES;
        let count = if DENSE_RUNS.contains(&run) { DENSE } else { u64::from(sequence % 16 == 3) };
        let key = |number: u64| {
            // One in seven has been there before.
            let root =
                if number.is_multiple_of(7) { number } else { sequence * DENSE + number + 7 };
            first_bits(&sha256(&root.to_be_bytes())) >> if run == 0 { 6 } else { 0 }
        };
        (0..count).map(key).collect()
    }

    fn coarse(sequence: u64) -> impl Iterator<Item = u64> {
        [1, 2 + sequence / COARSE_SEQUENCES % 3].into_iter()
    }

    fn apply(
        index: &Index,
        disk: &dyn Disk,
        sequence: u64,
        gone: &HashSet<u64>,
    ) -> Result<(), StoreError> {
        let keys = keys_of(sequence).into_iter().filter(|_key| !gone.contains(&sequence));
        index.apply(disk, sequence, keys, coarse(sequence))
    }

    fn grow(index: &Index, db: &Db, sequences: std::ops::Range<u64>) {
        sequences.for_each(|at| apply(index, db, at, &HashSet::new()).unwrap());
    }

    /// What lies on the disk, but for what was written ahead.
    fn rows(db: &Db) -> Vec<(sled::IVec, sled::IVec)> {
        let rows = db.iter().map(Result::unwrap);
        rows.filter(|(key, _row)| !key.starts_with(&keys::level(9, SPILLED))).collect()
    }

    fn pieces(db: &Db) -> usize {
        db.scan_prefix(keys::level(9, SPILLED)).count()
    }

    #[track_caller]
    fn demand_alike(one: (&Index, &Tree), other: (&Index, &Tree), end: u64) {
        let entries = (0..end).step_by(1009).chain(DENSE_RUNS.map(|run| run * RUN_SEQUENCES + 9));
        let keys = entries.flat_map(|at| keys_of(at.min(end - 1))).chain(1..5);
        for key in keys.collect::<BTreeSet<u64>>() {
            for (from, limit) in [(0, usize::MAX), (0, 3), (end / 2, 5), (end - 200, 2)] {
                let [found, expected] =
                    [one, other].map(|(index, tree)| index.find(tree, key, from, limit).unwrap());
                assert_eq!(found, expected, "{key} from {from}, {limit} of them");
                assert!(found.is_sorted());
            }
            assert!(!one.0.find(one.1, key, 0, 1).unwrap().is_empty(), "{key}");
        }
    }

    /// Takes in an entry; the most that was in memory so far, as of every 64th.
    fn fold_one(index: &Index, db: &Db, sequence: u64, most: (usize, usize)) -> (usize, usize) {
        apply(index, db, sequence, &HashSet::new()).unwrap();
        if sequence % 64 != 63 {
            return most;
        }
        let held = index.state.read().unwrap().held();
        (most.0.max(held.0), most.1.max(held.1))
    }

    #[test]
    fn memory_has_its_bound_and_what_lies_on_the_disk_does_not_depend_on_it() {
        let ((_folder, db), (_other, wide_db)) = (database(), database());
        let small = Index::with_room(9, Keys::Few, ROOM);
        let wide = Index::new(9, Keys::Few);
        let (mut most, mut most_wide) = ((0, 0), (0, 0));
        let mut end = 0;
        for runs in [1, PARTS - 1, PARTS + 1, 2 * PARTS, 2 * PARTS + 2] {
            for index in [(&small, &db), (&wide, &wide_db)] {
                assert_eq!(index.0.start(index.1).unwrap(), end / RUN_SEQUENCES * RUN_SEQUENCES);
            }
            let start = end / RUN_SEQUENCES * RUN_SEQUENCES;
            end = runs * RUN_SEQUENCES + RUN_SEQUENCES / 2;
            for sequence in start..end {
                most = fold_one(&small, &db, sequence, most);
                most_wide = fold_one(&wide, &wide_db, sequence, most_wide);
            }
            demand_alike((&small, &db), (&wide, &wide_db), end);
            assert!(rows(&db) == rows(&wide_db), "behind {runs} runs");
            let is_dense = DENSE_RUNS.contains(&runs);
            assert_eq!(pieces(&db) > 0, is_dense, "a run that is full has none, {runs}");
        }
        let entry = usize::try_from(DENSE + 2).unwrap();
        assert!(most.0 <= ROOM.open + entry + ROOM.short && most.1 <= ROOM.filters, "{most:?}");
        assert!(most_wide.0 > 3 * (ROOM.open + ROOM.short), "the control: {most_wide:?}");
        assert!(most_wide.1 > ROOM.filters, "the control: {most_wide:?}");
    }

    #[test]
    fn few_pieces_are_to_be_looked_into() {
        let (_folder, db) = database();
        let index = Index::with_room(9, Keys::Few, Room { open: 200, ..ROOM });
        index.start(&db).unwrap();
        let mut most = 0;
        for sequence in 0..RUN_SEQUENCES - 1 {
            apply(&index, &db, sequence, &HashSet::new()).unwrap();
            most = most.max(index.state.read().unwrap().spilled.len());
        }
        // Some 350 of them, in three tiers.
        assert!(most > JOINED && most < 3 * JOINED, "{most}");
    }

    /// Ends at a step.
    struct Ends<'a> {
        db: &'a Db,
        left: Cell<u32>,
    }

    impl Disk for Ends<'_> {
        fn tree(&self) -> &Tree {
            self.db
        }

        fn wrote(&self, _bytes: usize) -> Result<(), StoreError> {
            let left = self.left.get().checked_sub(1);
            self.left.set(left.ok_or_else(|| StoreError::missing(0))?);
            Ok(())
        }

        fn wait_for_readers(&self) {}
    }

    /// Folds until a step, at which it ends; how many there were if it did not.
    fn steps(db: &Db, limit: u32, end: u64) -> Option<u32> {
        let disk = Ends { db, left: Cell::new(limit) };
        let index = Index::with_room(9, Keys::Few, Room { open: 9000, ..ROOM });
        let start = index.start(&disk).ok()?;
        let fold = |at| apply(&index, &disk, at, &HashSet::new());
        (start..end).try_for_each(fold).ok().map(|()| limit - disk.left.get())
    }

    fn copy(from: &Db) -> (tempfile::TempDir, Db) {
        let (folder, db) = database();
        for row in from.iter() {
            let (key, value) = row.unwrap();
            db.insert(key, value).unwrap();
        }
        (folder, db)
    }

    /// Ends at each step from what is there to the end of a fold; how often a run was there in part, and not counted.
    fn demand_repeated(before: &Db, level: u8, end: u64) -> usize {
        let (_folder, whole) = copy(before);
        let all = steps(&whole, u32::MAX, end).unwrap();
        let counted = |db: &Db| db.get(keys::runs(9)).unwrap();
        let own = |db: &Db| db.scan_prefix(keys::run(9, level, 0)).count();
        let mut partly = 0;
        for step in 0..all {
            let (_folder, db) = copy(before);
            assert_eq!(steps(&db, step, end), None, "{step} of {all}");
            let is_there = own(&db) > own(before) && counted(&db) == counted(before);
            partly += usize::from(is_there);
            assert_eq!(steps(&db, u32::MAX, end).map(|_all| pieces(&db)), Some(0));
            assert!(rows(&db) == rows(&whole), "behind step {step} of {all}");
        }
        partly
    }

    #[test]
    fn a_run_that_ended_between_two_of_its_steps_is_written_again() {
        assert!(demand_repeated(&database().1, SHORT, RUN_SEQUENCES + 100) > 0);
        // The part that goes with this run has all that the first run has, in two steps.
        let end = (PARTS + 1) * RUN_SEQUENCES;
        let (_folder, before) = database();
        steps(&before, u32::MAX, end - 10).unwrap();
        assert!(demand_repeated(&before, LONG, end + 100) > 0);
    }

    fn sweep(index: &Index, db: &Db) -> u32 {
        let mut slices = 0;
        while let Some(swept) = index.sweep(db).unwrap() {
            index.replace(db, swept).unwrap();
            slices += 1;
        }
        slices
    }

    fn forget(index: &Index, db: &Db, gone: &HashSet<u64>) {
        let own = |at: &u64| keys_of(*at).into_iter().map(|key| (key, *at)).collect::<Vec<_>>();
        let mut batch = Batch::default();
        index.forget(&gone.iter().flat_map(own).collect(), &mut batch);
        db.apply_batch(batch).unwrap();
    }

    /// Erased while it is written ahead, while it lies on the disk only, before, while and after it is merged, with and
    /// without a restart, and swept then or at the end.
    fn demand_gone(sweeps_at_once: bool) {
        let ends = [3000, 9000, 40 * RUN_SEQUENCES + 3900, 65 * RUN_SEQUENCES + 4000];
        let ends = ends.into_iter().chain([(PARTS + 3) * RUN_SEQUENCES, 130 * RUN_SEQUENCES + 5]);
        let ((_folder, db), (_other, fresh_db)) = (database(), database());
        let mut index = Index::with_room(9, Keys::Few, ROOM);
        let (mut start, mut gone) = (index.start(&db).unwrap(), HashSet::new());
        for (step, end) in (1_u64..).zip(ends) {
            (start..end).for_each(|at| apply(&index, &db, at, &gone).unwrap());
            let some = (0..60).map(|at| (at * at * 7919 + step * 104_729) % end);
            let some = some.chain((0..90).map(|at| end - 1 - at * 17));
            let new: HashSet<u64> = some.filter(|at| !gone.contains(at)).collect();
            forget(&index, &db, &new);
            gone.extend(new);
            start = end;
            if sweeps_at_once {
                sweep(&index, &db);
            }
            if step % 2 == 0 {
                index = Index::with_room(9, Keys::Few, ROOM);
                start = index.start(&db).unwrap();
            }
        }
        let end = 130 * RUN_SEQUENCES + 5;
        (start..end).for_each(|at| apply(&index, &db, at, &gone).unwrap());
        assert!(
            rows(&db).iter().any(|(key, _row)| key.starts_with(&keys::all_stale(9)))
                != sweeps_at_once
        );
        sweep(&index, &db);
        let fresh = Index::with_room(9, Keys::Few, ROOM);
        fresh.start(&fresh_db).unwrap();
        (0..end).for_each(|at| apply(&fresh, &fresh_db, at, &gone).unwrap());
        assert!(rows(&db) == rows(&fresh_db));
        let [held, expected] = [&index, &fresh].map(Index::open_postings);
        assert_eq!(held, expected);
    }

    #[test]
    fn what_is_forgotten_of_runs_that_are_not_in_memory_is_gone_at_once() {
        demand_gone(true);
    }

    #[test]
    fn what_is_forgotten_of_runs_that_are_not_in_memory_is_gone_once_it_is_swept() {
        demand_gone(false);
    }

    #[test]
    fn a_place_that_is_erased_from_while_it_is_swept_is_clean_in_the_end() {
        let ((_folder, db), (_other, fresh_db)) = (database(), database());
        let index = Index::with_room(9, Keys::Few, ROOM);
        index.start(&db).unwrap();
        grow(&index, &db, 0..RUN_SEQUENCES + 5);
        forget(&index, &db, &(5..60).collect());
        let first = index.sweep(&db).unwrap().unwrap();
        index.replace(&db, first).unwrap();
        let sweeping = index.state.read().unwrap().sweeping.unwrap();
        assert_eq!(sweeping.0, Place::short(0));
        forget(&index, &db, &(70..90).collect());
        assert!(index.state.read().unwrap().sweeping.is_none(), "it begins anew");
        assert!(sweep(&index, &db) > 1, "in slices");
        assert_eq!(db.scan_prefix(keys::all_stale(9)).count(), 0);
        let fresh = Index::with_room(9, Keys::Few, ROOM);
        fresh.start(&fresh_db).unwrap();
        let gone: HashSet<u64> = (5..60).chain(70..90).collect();
        (0..RUN_SEQUENCES + 5).for_each(|at| apply(&fresh, &fresh_db, at, &gone).unwrap());
        assert!(rows(&db) == rows(&fresh_db));
    }
}
