use super::*;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::reason::Reason;

#[test]
fn a_member_has_so_many_streams_and_no_more_and_takes_none_from_others() {
    let streams = Streams::default();
    let open = |member: &MemberId, quota| streams.open(member, Carries::Records, quota);
    let greedy = "greedy".parse().unwrap();
    let mut slots: Vec<StreamSlot> = (0..limits::STREAMS_PER_MEMBER_MAX)
        .map(|_index| open(&greedy, usize::MAX).unwrap())
        .collect();
    assert_eq!(open(&greedy, usize::MAX).unwrap_err().reason, Reason::TooManyStreams);
    let modest = "modest".parse().unwrap();
    let one = open(&modest, 1).unwrap();
    assert_eq!(open(&modest, 1).unwrap_err().reason, Reason::TooManyStreams, "quota");
    slots.pop();
    assert!(open(&greedy, usize::MAX).is_ok());
    drop((slots, one));
    assert_eq!(streams.known(), 0, "a closed stream is not counted on");
}

#[test]
fn streams_of_the_roster_are_no_part_of_the_quota_and_have_a_limit_all_the_same() {
    let streams = Streams::default();
    let member = "modest".parse().unwrap();
    let _live = streams.open(&member, Carries::Records, 1).unwrap();
    let roster = || streams.open(&member, Carries::Roster, 1);
    let slots: Vec<StreamSlot> =
        (0..limits::STREAMS_PER_MEMBER_MAX).map(|_index| roster().unwrap()).collect();
    assert_eq!(roster().unwrap_err().reason, Reason::TooManyStreams);
    let counts = [Carries::Records, Carries::Roster].map(|it| streams.count(&member, it));
    assert_eq!(counts, [1, limits::STREAMS_PER_MEMBER_MAX]);
    drop(slots);
    assert!(roster().is_ok());
    assert!(streams.open(&member, Carries::Records, 1).is_err(), "its room is its own");
}
