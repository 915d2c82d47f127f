//! Streams: never one more than a member may have, and none is counted once it is closed.

use std::sync::Arc;

use loom::sync::Mutex;
use loom::thread;
use watchfire::model::names::MemberId;
use watchfire::model::names::SubscriptionName;

use crate::exchange::count::Carries;
use crate::exchange::count::Streams;

#[test]
fn of_two_streams_at_once_a_member_that_may_have_one_gets_one() {
    loom::model(|| {
        let streams = Streams::default();
        let open_now = Arc::new(Mutex::new(0));
        let open = |streams: Streams, open_now: Arc<Mutex<u32>>| {
            let member: MemberId = "greedy".parse().expect("a name");
            let Ok(slot) = streams.open(&member, Carries::Records, 1) else { return 0 };
            let slot = slot.on(SubscriptionName::new(member, "one").expect("a name"));
            let count = |more: u32, fewer: u32| {
                let mut open_now = open_now.lock().expect("no panic");
                *open_now = *open_now + more - fewer;
                assert!(*open_now <= 1, "two streams");
            };
            count(1, 0);
            count(0, 1);
            drop(slot);
            1
        };
        let other = {
            let (streams, open_now) = (streams.clone(), Arc::clone(&open_now));
            thread::spawn(move || open(streams, open_now))
        };
        let opened = open(streams.clone(), open_now) + other.join().expect("it ends");
        assert!(opened >= 1, "neither was let in");
        assert_eq!(streams.known(), 0, "a closed stream is counted on");
    });
}
