//! The readers' turns: who reads the disk next, and until when a read goes on.
//!
//! So many reads run at once. One member has never all of those places, however much it asks, and where several wait the
//! one with the fewest is next; so nobody waits for more than what each of the others has under way.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::model::names::MemberId;
use crate::store::StoreError;

/// For whom something is read; `None` is the hub itself.
pub(super) type Whose = Option<MemberId>;

/// The places, and who waits for them.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    own_max: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    /// Rises with each turn that is given, and with each member that comes.
    clock: u64,
    /// Those who read or wait.
    callers: BTreeMap<Whose, Caller>,
}

#[derive(Debug, Default)]
struct Caller {
    held: usize,
    /// When it came, or was last given a turn.
    since: u64,
    /// Calls that wait, each at the other end; a caller that went away has dropped that.
    waiting: VecDeque<oneshot::Sender<Turn>>,
}

/// The right to read now; it ends with its owner.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    whose: Whose,
}

impl Turns {
    /// So many turns for one member, and one more that it never has.
    pub(super) fn new(own_max: usize) -> Self {
        let free = own_max.saturating_add(1);
        Self { own_max, state: Arc::new(Mutex::new(State { free, ..State::default() })) }
    }

    /// Waits for a turn. Who stops waiting gives up its place.
    pub(super) async fn take(&self, whose: Whose) -> Turn {
        loop {
            let (give, given) = oneshot::channel();
            self.with(|state| state.caller(whose.clone()).waiting.push_back(give));
            self.give();
            // It is never dropped without an answer while somebody waits; if it were, the caller would ask again.
            if let Ok(turn) = given.await {
                return turn;
            }
        }
    }

    /// A turn, if one is free that nobody waits for.
    pub(super) fn try_take(&self, whose: Whose) -> Option<Turn> {
        let given = self.with(|state| {
            let is_asked_for = state.callers.values().any(|caller| !caller.waiting.is_empty());
            let held = state.callers.get(&whose).map_or(0, |caller| caller.held);
            let given = !is_asked_for && state.free > 0 && held < self.own_max;
            if given {
                state.hold(whose.clone());
            }
            given
        });
        given.then(|| Turn { turns: self.clone(), whose })
    }

    /// How many read now, and how many calls wait.
    pub(super) fn count(&self) -> (usize, usize) {
        self.with(|state| {
            let held = state.callers.values().map(|caller| caller.held).sum();
            let waits = |wait: &&oneshot::Sender<Turn>| !wait.is_closed();
            let waiting = state.callers.values();
            (held, waiting.map(|caller| caller.waiting.iter().filter(waits).count()).sum())
        })
    }

    /// Gives what is free to those who wait.
    fn give(&self) {
        while let Some((whose, waiting)) = self.with(|state| state.next(self.own_max)) {
            // Sent without the lock: if nobody waits there any more it comes back and is given on by its end.
            let _gone = waiting.send(Turn { turns: self.clone(), whose });
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock = self.clock.saturating_add(1);
        self.clock
    }

    fn caller(&mut self, whose: Whose) -> &mut Caller {
        let since = self.tick();
        self.callers.entry(whose).or_insert_with(|| Caller { since, ..Caller::default() })
    }

    /// Who is next: of those with the fewest turns the one that was given none for longest.
    fn next(&mut self, own_max: usize) -> Option<(Whose, oneshot::Sender<Turn>)> {
        if self.free == 0 {
            return None;
        }
        for caller in self.callers.values_mut() {
            while caller.waiting.front().is_some_and(oneshot::Sender::is_closed) {
                caller.waiting.pop_front();
            }
        }
        self.callers.retain(|_whose, caller| caller.held > 0 || !caller.waiting.is_empty());
        let may = |caller: &&Caller| !caller.waiting.is_empty() && caller.held < own_max;
        let ready = self.callers.iter().filter(|(_whose, caller)| may(caller));
        let next = ready.min_by_key(|(_whose, caller)| (caller.held, caller.since));
        let whose = next.map(|(whose, _caller)| whose.clone())?;
        let waiting = self.callers.get_mut(&whose)?.waiting.pop_front()?;
        self.hold(whose.clone());
        Some((whose, waiting))
    }

    fn hold(&mut self, whose: Whose) {
        let now = self.tick();
        self.free = self.free.saturating_sub(1);
        let caller = self.caller(whose);
        caller.held = caller.held.saturating_add(1);
        caller.since = now;
    }

    fn release(&mut self, whose: &Whose) {
        self.free = self.free.saturating_add(1);
        if let Some(caller) = self.callers.get_mut(whose) {
            caller.held = caller.held.saturating_sub(1);
            if caller.held == 0 && caller.waiting.is_empty() {
                self.callers.remove(whose);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.with(|state| state.release(&self.whose));
        self.turns.give();
    }
}

/// Says to a read whether somebody still waits for it. A read asks in every loop that a member can make long.
#[derive(Clone, Debug, Default)]
pub(super) struct Halt {
    halted: Arc<AtomicBool>,
}

/// Halts a read when it is dropped: its caller went away, or has its answer.
#[derive(Debug)]
pub(super) struct HaltOnDrop(Halt);

impl Halt {
    /// Whether nobody waits any more.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// An error once nobody waits any more, which ends the read.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.is_halted() {
            let cause = "nobody waits for it any more".to_owned();
            return Err(StoreError::Io { action: "reading", cause });
        }
        Ok(())
    }

    pub(super) fn on_drop(&self) -> HaltOnDrop {
        HaltOnDrop(self.clone())
    }
}

impl Drop for HaltOnDrop {
    fn drop(&mut self) {
        self.0.halted.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;
    use std::task::Poll;
    use std::task::Waker;

    use super::*;

    fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    /// What a future has come to without waiting.
    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_asks_for_a_thousand_leaves_one_for_others_and_each_of_these_is_next_but_one() {
        let turns = Turns::new(2);
        let mut greedy: Vec<_> =
            (0..1000).map(|_call| Box::pin(turns.take(Some(member("greedy"))))).collect();
        let mut held: Vec<Turn> =
            greedy.iter_mut().filter_map(|call| poll(call.as_mut())).collect();
        assert_eq!(held.len(), 2, "never all");
        assert!(turns.try_take(Some(member("greedy"))).is_none());

        let mut modest = pin!(turns.take(Some(member("modest"))));
        let first = poll(modest.as_mut()).expect("the place that is left");
        let mut third = pin!(turns.take(Some(member("third"))));
        assert!(poll(third.as_mut()).is_none(), "all are taken");
        held.pop();
        assert!(poll(third.as_mut()).is_some(), "before the 998 that came earlier");
        drop(first);
        assert!(greedy.iter_mut().skip(2).any(|call| poll(call.as_mut()).is_some()));
    }

    #[test]
    fn who_went_away_holds_no_place_and_nothing_is_kept_of_it() {
        let turns = Turns::new(1);
        let (own, other) =
            (turns.try_take(Some(member("own"))).unwrap(), turns.try_take(None).unwrap());
        assert!(turns.try_take(Some(member("third"))).is_none());
        {
            let mut gone = pin!(turns.take(Some(member("gone"))));
            assert!(poll(gone.as_mut()).is_none());
        }
        let mut given = Box::pin(turns.take(Some(member("given"))));
        assert!(poll(given.as_mut()).is_none());
        drop(own);
        // It was given a turn and went away without taking it.
        drop(given);
        assert!(turns.try_take(Some(member("third"))).is_some());
        drop(other);
        assert_eq!(turns.with(|state| (state.free, state.callers.len())), (2, 0));
    }

    #[test]
    fn a_read_is_halted_by_the_end_of_its_caller() {
        let halt = Halt::default();
        let caller = halt.on_drop();
        assert!(halt.check().is_ok());
        drop(caller);
        assert!(halt.check().is_err());
    }
}
