//! Defects that a test plants in what runs on its thread, and points at which it looks: see the driver.

use std::cell::Cell;
use std::cell::RefCell;

/// What is made wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// Callers are answered before their group is on the disk.
    AnswerBeforeSync,
    /// A cursor leads one entry further than was sent.
    CursorOffByOne,
    /// A stream is sent what its reader may not see.
    PolicySkipped,
}

/// Where a group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    /// It is judged, and nothing of it is written.
    BeforeSync,
    /// It is on the disk, and nobody knows.
    AfterSync,
}

type Look = Box<dyn FnMut(Point)>;

thread_local! {
    static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
}

/// Plants a defect on this thread, or takes it out again.
pub(super) fn plant(defect: Option<Defect>) {
    PLANTED.set(defect);
}

pub(super) fn is_planted(defect: Defect) -> bool {
    PLANTED.get() == Some(defect)
}

/// Looks at each point that this thread comes to.
pub(super) fn look(look: Option<Look>) {
    LOOK.replace(look);
}

pub(super) fn reach(point: Point) {
    LOOK.with_borrow_mut(|look| {
        if let Some(look) = look {
            look(point);
        }
    });
}
