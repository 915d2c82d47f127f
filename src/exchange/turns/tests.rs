use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use super::*;
use crate::model::names::MemberId;

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
    let mut held: Vec<Turn> = greedy.iter_mut().filter_map(|call| poll(call.as_mut())).collect();
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
    assert_eq!(turns.counts(), (2, 0));
}

#[test]
fn a_read_is_halted_by_the_end_of_its_caller() {
    let halt = Halt::default();
    let caller = halt.on_drop();
    assert!(halt.check().is_ok());
    drop(caller);
    assert!(halt.check().is_err());
}
