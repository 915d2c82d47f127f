//! The places, and who has them.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::PoisonError;

use crate::exchange::sync::Mutex;
use crate::exchange::sync::oneshot;
use crate::model::names::MemberId;

/// For whom something is read; `None` is the hub itself.
pub(in crate::exchange) type Whose = Option<MemberId>;

/// The places, and who waits for them.
#[derive(Clone, Debug)]
pub(in crate::exchange) struct Turns {
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
pub(in crate::exchange) struct Turn {
    turns: Turns,
    whose: Whose,
}

impl Turns {
    /// So many turns for one member, and one more that it never has.
    pub(in crate::exchange) fn new(own_max: usize) -> Self {
        let free = own_max.saturating_add(1);
        Self { own_max, state: Arc::new(Mutex::new(State { free, ..State::default() })) }
    }

    /// Waits for a turn. Who stops waiting gives up its place.
    pub(in crate::exchange) async fn take(&self, whose: Whose) -> Turn {
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
    pub(in crate::exchange) fn try_take(&self, whose: Whose) -> Option<Turn> {
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
    pub(in crate::exchange) fn count(&self) -> (usize, usize) {
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

    /// How many places are free, and how many callers are known.
    #[cfg(test)]
    pub(in crate::exchange) fn counts(&self) -> (usize, usize) {
        self.with(|state| (state.free, state.callers.len()))
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
