//! Turns to read: never more than there are places, never all for one, and nobody waits for a place that is free.

use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Waker;

use loom::future::block_on;
use loom::model::Builder;
use loom::sync::Mutex;
use loom::thread;
use watchfire::model::names::MemberId;

use crate::exchange::PREEMPTIONS_MAX;
use crate::exchange::places::Turns;

fn member(name: &str) -> MemberId {
    name.parse().expect("a name")
}

/// Readings under way: of all, and of the one that asks twice.
type UnderWay = Arc<Mutex<(usize, usize)>>;

fn read(turns: &Turns, whose: &str, under_way: &UnderWay) {
    let own = usize::from(whose == "greedy");
    let turn = block_on(turns.take(Some(member(whose))));
    {
        let mut count = under_way.lock().expect("no panic");
        *count = (count.0 + 1, count.1 + own);
        assert!(count.0 <= 2 && count.1 <= 1, "{count:?} read at once");
    }
    {
        let mut count = under_way.lock().expect("no panic");
        *count = (count.0 - 1, count.1 - own);
    }
    drop(turn);
}

#[test]
fn everyone_comes_to_read_and_never_too_many_at_once() {
    let mut model = Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(|| {
        // Two places, of which one member has one.
        let turns = Turns::new(1);
        let under_way = UnderWay::default();
        let others = ["greedy", "modest"].map(|whose| {
            let (turns, under_way) = (turns.clone(), Arc::clone(&under_way));
            thread::spawn(move || read(&turns, whose, &under_way))
        });
        read(&turns, "greedy", &under_way);
        for other in others {
            other.join().expect("it came to read");
        }
        assert_eq!(turns.counts(), (2, 0), "nothing is kept of who is gone");
        assert_eq!(turns.count(), (0, 0), "nobody reads or waits any more");
    });
}

#[test]
fn who_goes_away_while_it_is_given_a_turn_takes_none_with_it() {
    loom::model(|| {
        let turns = Turns::new(1);
        let first = turns.try_take(Some(member("greedy"))).expect("a place");
        let gone = {
            let turns = turns.clone();
            thread::spawn(move || {
                let mut call = pin!(turns.take(Some(member("greedy"))));
                let _waits = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            })
        };
        drop(first);
        gone.join().expect("it is gone");
        assert_eq!(turns.counts(), (2, 0), "a place is lost");
    });
}

#[test]
fn who_waits_behind_one_that_goes_away_is_next() {
    let mut model = Builder::new();
    model.preemption_bound = Some(PREEMPTIONS_MAX);
    model.check(|| {
        let turns = Turns::new(1);
        let first = turns.try_take(Some(member("greedy"))).expect("a place");
        let waits = {
            let turns = turns.clone();
            thread::spawn(move || drop(block_on(turns.take(Some(member("greedy"))))))
        };
        {
            let mut call = pin!(turns.take(Some(member("greedy"))));
            let _waits = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(first);
        waits.join().expect("it came to read");
        assert_eq!(turns.counts(), (2, 0), "a place is lost");
    });
}
