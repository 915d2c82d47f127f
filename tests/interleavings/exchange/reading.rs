//! Who reads while bodies are erased: once an erasure is done, no body of it is handed out, however early it was read.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::exchange::following::Disk;
use crate::exchange::following::block;
use crate::exchange::following::head;
use crate::exchange::tail::Tail;
use crate::exchange::tail::TailWriter;

/// What the reader holds, and what it needs to ask whether that is still good.
struct Scene {
    tail: Arc<Tail>,
    disk: Disk,
    /// Whether the erasure was answered.
    done: AtomicBool,
}

/// A log of one entry, in the ring and on the disk.
fn scene() -> (Arc<Scene>, TailWriter) {
    let (tail, mut writer) = Tail::new(head(0));
    let disk = Arc::new(Mutex::new(vec![block(0, b'x')]));
    writer.advance(vec![block(0, b'x')], head(1));
    (Arc::new(Scene { tail, disk, done: AtomicBool::new(false) }), writer)
}

impl Scene {
    fn on_disk(&self) -> u8 {
        let disk = self.disk.lock().expect("no panic");
        disk.first().and_then(|block| block.bytes.first().copied()).expect("a block of one letter")
    }

    /// What the sequencer does: the disk, then what readers have.
    fn erase(&self, writer: &mut TailWriter) {
        *self.disk.lock().expect("no panic") = vec![block(0, b'-')];
        writer.replace(vec![block(0, b'-')]);
        self.done.store(true, Ordering::SeqCst);
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::SeqCst)
    }
}

/// Runs a reader beside an erasure.
fn beside_an_erasure(read: fn(&Scene)) {
    loom::model(move || {
        let (scene, mut writer) = scene();
        let reader = {
            let scene = Arc::clone(&scene);
            thread::spawn(move || read(&scene))
        };
        scene.erase(&mut writer);
        reader.join().expect("the reader ends");
    });
}

#[test]
fn what_was_read_ahead_is_not_used_once_it_was_erased() {
    beside_an_erasure(|scene| {
        let since = scene.tail.begin_reading();
        let letter = scene.on_disk();
        let is_done = scene.is_done();
        if scene.tail.still_holds(since) {
            assert!(letter == b'-' || !is_done, "an erased body is used");
        }
    });
}

#[test]
fn the_ring_has_no_body_once_it_was_erased() {
    beside_an_erasure(|scene| {
        let is_done = scene.is_done();
        let blocks = scene.tail.blocks_from(0, usize::MAX).expect("it is in the ring");
        let letter = blocks.first().expect("a block").bytes[0];
        assert!(letter == b'-' || !is_done, "an erased body is used");
    });
}

#[test]
fn a_reader_sees_a_group_and_an_erasure_in_their_order() {
    loom::model(|| {
        let (scene, mut writer) = scene();
        let reader = {
            let tail = Arc::clone(&scene.tail);
            thread::spawn(move || {
                let size = tail.head().size;
                let blocks = tail.blocks_from(0, usize::MAX).unwrap_or_default();
                let letter = blocks.first().map(|block| block.bytes[0]);
                // The notice of an erasure is announced behind it.
                assert!(size < 2 || letter != Some(b'x'), "the notice came before the erasure");
            })
        };
        writer.replace(vec![block(0, b'-')]);
        writer.advance(vec![block(1, b'n')], head(2));
        reader.join().expect("the reader ends");
    });
}

#[test]
#[should_panic(expected = "an erased body is used")]
fn a_reader_that_asks_when_it_began_only_after_it_read_is_found() {
    beside_an_erasure(|scene| {
        let letter = scene.on_disk();
        let since = scene.tail.begin_reading();
        let is_done = scene.is_done();
        if scene.tail.still_holds(since) {
            assert!(letter == b'-' || !is_done, "an erased body is used");
        }
    });
}

#[test]
#[should_panic(expected = "an erased body is used")]
fn a_reader_that_asks_whether_it_holds_before_it_has_it_is_found() {
    beside_an_erasure(|scene| {
        let since = scene.tail.begin_reading();
        let letter = scene.on_disk();
        let holds = scene.tail.still_holds(since);
        let is_done = scene.is_done();
        if holds {
            assert!(letter == b'-' || !is_done, "an erased body is used");
        }
    });
}
