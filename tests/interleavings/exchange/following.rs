//! Who follows the log: it hears of nothing that it cannot read, misses nothing, and is woken.

use std::sync::Arc;

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::Mutex;
use loom::thread;
use watchfire::model::roster::Roster;
use watchfire::model::time::Timestamp;

use crate::exchange::PREEMPTIONS_MAX;
use crate::exchange::tail::DurableHead;
use crate::exchange::tail::Tail;
use crate::exchange::tail::TailWriter;
use crate::store::LogBlock;
use crate::transparency::Checkpoint;

/// What is on the disk, in order.
pub(super) type Disk = Arc<Mutex<Vec<LogBlock>>>;

pub(super) fn head(size: u64) -> DurableHead {
    let summary = Checkpoint { epoch: 1, size, root: [0; 32], roster: [0; 32] };
    DurableHead {
        size,
        bytes: 0,
        epoch: 1,
        accept_time: Timestamp::default(),
        summary,
        checkpoint: "".into(),
        roster: Arc::new(Roster::default()),
    }
}

pub(super) fn block(first: u64, letter: u8) -> LogBlock {
    LogBlock { first, bytes: vec![letter] }
}

/// What the sequencer does with a group.
fn commit(disk: &Disk, writer: &mut TailWriter, first: u64) {
    disk.lock().expect("no panic").push(block(first, b'x'));
    writer.advance(vec![block(first, b'x')], head(first + 1));
}

/// What a subscription does: the head, what lies before it, and a wait for the next; until it has so many entries.
async fn follow(tail: &Tail, disk: &Disk, end: u64) {
    let (mut position, mut watch) = (0, tail.watch());
    while position < end {
        let (head, _read) = tail.read_head(&mut watch, Timestamp::default);
        if position >= head.size {
            watch.changed().await;
            continue;
        }
        for (first, block_end) in blocks(tail, disk, position) {
            if first >= head.size {
                break;
            }
            assert_eq!(first, position, "a gap");
            position = block_end;
        }
        assert!(position >= head.size, "it heard of a sequence that is not there");
    }
}

/// The blocks from a sequence on, from memory or from the disk.
fn blocks(tail: &Tail, disk: &Disk, sequence: u64) -> Vec<(u64, u64)> {
    if let Some(blocks) = tail.blocks_from(sequence, usize::MAX) {
        return blocks.iter().map(|block| (block.first, block.end())).collect();
    }
    let disk = disk.lock().expect("no panic");
    let behind = disk.iter().filter(|block| block.end() > sequence);
    behind.map(|block| (block.first, block.end())).collect()
}

#[test]
fn a_reader_hears_of_what_it_can_read_and_misses_nothing_and_is_woken() {
    loom::model(|| {
        let (tail, mut writer) = Tail::new(head(0));
        let disk = Disk::default();
        let reader = {
            let disk = Arc::clone(&disk);
            thread::spawn(move || block_on(follow(&tail, &disk, 2)))
        };
        commit(&disk, &mut writer, 0);
        // The ring holds one block: this one lets the first go.
        commit(&disk, &mut writer, 1);
        reader.join().expect("the reader ends");
    });
}

#[test]
fn two_readers_are_both_woken() {
    let mut model = Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(|| {
        let (tail, mut writer) = Tail::new(head(0));
        let disk = Disk::default();
        let readers = [(); 2].map(|()| {
            let (tail, disk) = (Arc::clone(&tail), Arc::clone(&disk));
            thread::spawn(move || block_on(follow(&tail, &disk, 1)))
        });
        commit(&disk, &mut writer, 0);
        for reader in readers {
            reader.join().expect("the reader ends");
        }
    });
}

#[test]
fn a_head_that_is_read_later_is_never_of_a_smaller_log() {
    loom::model(|| {
        let (tail, mut writer) = Tail::new(head(0));
        let clock = Arc::new(Mutex::new(0_u64));
        let read = |tail: Arc<Tail>, clock: Arc<Mutex<u64>>| {
            let mut watch = tail.watch();
            let now = || {
                let mut clock = clock.lock().expect("no panic");
                *clock += 1;
                Timestamp::from_micros(*clock).expect("a time")
            };
            let (head, time) = tail.read_head(&mut watch, now);
            (time, head.size)
        };
        let other = {
            let (tail, clock) = (Arc::clone(&tail), Arc::clone(&clock));
            thread::spawn(move || read(tail, clock))
        };
        let writing = thread::spawn(move || writer.advance(vec![block(0, b'x')], head(1)));
        let mut heads = [read(tail, clock), other.join().expect("a head")];
        heads.sort_unstable();
        assert!(heads[0].1 <= heads[1].1, "{heads:?}");
        writing.join().expect("the writer ends");
    });
}

#[test]
#[should_panic(expected = "it heard of a sequence that is not there")]
fn a_head_that_moves_before_the_ring_is_found() {
    loom::model(|| {
        let (tail, mut writer) = Tail::new(head(0));
        let disk = Disk::default();
        let reader = {
            let disk = Arc::clone(&disk);
            thread::spawn(move || block_on(follow(&tail, &disk, 1)))
        };
        writer.advance(Vec::new(), head(1));
        commit(&disk, &mut writer, 0);
        reader.join().expect("the reader ends");
    });
}

/// A test of this program whose panic ends it: loom cannot unwind a thread that nobody will wake.
fn run_alone(test: &str) -> std::process::Output {
    let program = std::env::current_exe().expect("this program");
    let arguments = ["--ignored", "--exact", test, "--nocapture"];
    std::process::Command::new(program).args(arguments).output().expect("it ran")
}

#[test]
fn a_wait_that_begins_after_the_look_is_found() {
    let run = run_alone("exchange::following::a_wait_that_begins_after_the_look");
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && said.contains("deadlock"), "{said}");
}

#[test]
#[ignore = "it ends its process, and is run by the one above"]
fn a_wait_that_begins_after_the_look() {
    loom::model(|| {
        let (tail, mut writer) = Tail::new(head(0));
        let reader = thread::spawn(move || {
            if tail.head().size == 0 {
                // What moves the head here wakes nobody.
                let mut watch = tail.watch();
                block_on(watch.changed());
            }
        });
        writer.advance(vec![block(0, b'x')], head(1));
        reader.join().expect("the reader ends");
    });
}
