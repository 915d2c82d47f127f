//! What a member reads bit by bit: pages and look-ups that are too small to be told each for itself are added up, by the
//! kind of read, and told together once they come to much. Whoever goes on then has a line an hour for each kind.
//!
//! By member, whichever of its agents reads: several that share a reading out must not stay unseen.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::limits;
use crate::model::names::MemberId;
use crate::server::audit::event::Event;
use crate::server::audit::event::Who;

/// At least so long lies between two lines of one member for one kind of read.
const LINE_INTERVAL: Duration = Duration::from_hours(1);
/// But what has grown to so many times the last line is told at once: a few lines more, and none is an hour late.
const AT_ONCE: usize = 10;
/// So long after the first of some reads, if they have not come to much, they count no more.
const COUNTED_FOR: Duration = Duration::from_hours(24);
/// Sums at most, about 300 bytes of memory each. A member has one for each kind of read, of which there are a few, so that it
/// takes thousands of members to fill them.
const SUMS_MAX: usize = 16 * 1024;

/// What was read and is not told.
#[derive(Debug, Default)]
pub(super) struct Reads {
    sums: HashMap<(MemberId, String), Sum>,
}

#[derive(Debug)]
struct Sum {
    /// The last read. It names an agent and a certificate only if all reads that count are theirs.
    event: Event,
    entries: usize,
    /// In so many answers.
    reads: usize,
    /// When the first of them was, by the monotonic clock.
    begun: Duration,
    /// There is no line before then, unless it is many times as much as the last told.
    quiet_until: Duration,
    /// How many entries that was.
    told: usize,
}

impl Reads {
    /// Adds a read of so many entries to those of its member of the same kind; the line, if there is to be one now.
    pub(super) fn take(&mut self, now: Duration, event: Event, entries: usize) -> Option<Event> {
        let Who::Member { member, .. } = &event.who else { return Some(event) };
        let whose = (member.clone(), event.what.clone());
        let before = self.sums.remove(&whose).filter(|sum| !sum.is_over(now));
        let mut sum = if let Some(before) = before {
            before.with(now, event, entries)
        } else {
            self.make_room();
            Sum::new(now, event, entries)
        };
        let line = sum.line(now);
        self.sums.insert(whose, sum);
        line
    }

    /// The lines that had to wait, and do so no longer.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Event> {
        let mut due = Vec::new();
        self.sums.retain(|_whose, sum| {
            due.extend(sum.line(now));
            !sum.is_over(now)
        });
        due
    }

    /// All lines that wait: nothing comes any more.
    pub(super) fn rest(&mut self) -> Vec<Event> {
        let sums = std::mem::take(&mut self.sums);
        sums.into_values().filter(Sum::is_much).map(|sum| sum.told()).collect()
    }

    /// Lets go of the least, if there is no place for one more.
    fn make_room(&mut self) {
        if self.sums.len() < SUMS_MAX {
            return;
        }
        let least = self.sums.iter().min_by_key(|(_whose, sum)| sum.entries);
        if let Some(whose) = least.map(|(whose, _sum)| whose.clone()) {
            self.sums.remove(&whose);
        }
    }
}

impl Sum {
    fn new(now: Duration, event: Event, entries: usize) -> Self {
        Self { event, entries, reads: 1, begun: now, quiet_until: Duration::ZERO, told: 0 }
    }

    /// The same with one more read.
    fn with(self, now: Duration, mut event: Event, entries: usize) -> Self {
        if self.reads == 0 {
            let Self { quiet_until, told, .. } = self;
            return Self { quiet_until, told, ..Self::new(now, event, entries) };
        }
        keep_common(&mut event.who, &self.event.who);
        Self {
            event,
            entries: self.entries.saturating_add(entries),
            reads: self.reads.saturating_add(1),
            ..self
        }
    }

    const fn is_much(&self) -> bool {
        self.entries >= limits::BULK_ENTRIES
    }

    /// Whether nothing of it counts any more.
    fn is_over(&self, now: Duration) -> bool {
        let is_counted = self.reads > 0 && now < self.begun.saturating_add(COUNTED_FOR);
        now >= self.quiet_until && !is_counted && !self.is_much()
    }

    /// The line, if it is much and need not wait; what it tells counts no more.
    fn line(&mut self, now: Duration) -> Option<Event> {
        let waits = now < self.quiet_until && self.entries < self.told.saturating_mul(AT_ONCE);
        if !self.is_much() || waits {
            return None;
        }
        let told = self.told();
        self.told = self.entries;
        (self.entries, self.reads) = (0, 0);
        self.quiet_until = now.saturating_add(LINE_INTERVAL);
        Some(told)
    }

    fn told(&self) -> Event {
        let (entries, reads) = (self.entries, self.reads);
        let target = if reads == 1 {
            format!("{entries} entries")
        } else {
            format!("{entries} entries in {reads} reads")
        };
        Event { target, ..self.event.clone() }
    }
}

/// Takes away what another read of the same member has otherwise: the agent, the certificate.
fn keep_common(who: &mut Who, other: &Who) {
    let Who::Member { agent: other_agent, serial: other_serial, .. } = other else { return };
    let Who::Member { agent, serial, .. } = who else { return };
    if *agent != *other_agent {
        *agent = None;
    }
    if *serial != *other_serial {
        *serial = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    /// As many as a page may have that is not told for itself.
    const JUST_UNDER: usize = limits::BULK_ENTRIES - 1;

    fn by(member: &str, agent: Option<&str>, what: &str) -> Event {
        let (member, agent) = (member.parse().unwrap(), agent.map(str::to_owned));
        let serial = Some(format!("of {agent:?}"));
        let who = Who::Member { member, agent, serial, key: None };
        Event::done(Timestamp::default(), who, what, "")
    }

    fn read(what: &str) -> Event {
        by("acme-video", None, what)
    }

    fn at(minutes: u64) -> Duration {
        Duration::from_mins(minutes)
    }

    fn target(event: Option<Event>) -> Option<String> {
        event.map(|event| event.target)
    }

    #[test]
    fn pages_just_under_the_bound_are_told_once_they_come_to_much() {
        let mut reads = Reads::default();
        assert_eq!(reads.take(at(0), read("read.list"), JUST_UNDER), None);
        let told = reads.take(at(1), read("read.list"), JUST_UNDER).unwrap();
        assert_eq!(told.what, "read.list");
        assert_eq!(told.target, "998 entries in 2 reads");
        // One that is much by itself is told at once.
        let told = reads.take(at(1), read("read.search"), limits::BULK_ENTRIES);
        assert_eq!(target(told).unwrap(), "500 entries");
    }

    #[test]
    fn what_has_grown_tenfold_waits_for_no_hour() {
        let mut reads = Reads::default();
        let told = |reads: &mut Reads| {
            let lines = (0..10_000).filter_map(|_page| reads.take(at(1), read("read.list"), 1000));
            lines.map(|event| event.target).collect::<Vec<_>>()
        };
        assert_eq!(
            told(&mut reads),
            [
                "1000 entries",
                "10000 entries in 10 reads",
                "100000 entries in 100 reads",
                "1000000 entries in 1000 reads"
            ]
        );
        assert_eq!(told(&mut reads), ["10000000 entries in 10000 reads"], "of both");
    }

    #[test]
    fn each_member_and_each_kind_of_read_counts_for_itself() {
        let mut reads = Reads::default();
        for member in ["acme-video", "birch-social"] {
            for what in ["read.list", "read.search", "read.look-up"] {
                assert_eq!(reads.take(at(0), by(member, None, what), JUST_UNDER), None);
            }
        }
        let told = reads.take(at(0), by("birch-social", None, "read.search"), 1);
        assert_eq!(target(told).unwrap(), "500 entries in 2 reads");
    }

    #[test]
    fn whoever_goes_on_has_a_line_an_hour_with_how_many_and_none_is_forgotten() {
        let (mut reads, mut lines) = (Reads::default(), Vec::new());
        for minute in 0..600 {
            lines.extend(reads.due(at(minute)));
            for _page in 0..100 {
                lines.extend(reads.take(at(minute), read("read.list"), JUST_UNDER));
            }
        }
        lines.extend(reads.rest());
        assert_eq!(lines.len(), 14, "four as they grow, one an hour, and the rest");
        let number =
            |event: &Event| -> usize { event.target.split(' ').next().unwrap().parse().unwrap() };
        assert_eq!(lines.iter().map(number).sum::<usize>(), 600 * 100 * JUST_UNDER);
        assert!(reads.sums.is_empty());
    }

    #[test]
    fn whoever_stops_is_told_when_the_hour_is_over_and_forgotten_then() {
        let mut reads = Reads::default();
        assert!(reads.take(at(0), read("read.list"), 1000).is_some());
        assert_eq!(reads.take(at(1), read("read.list"), 1000), None);
        assert!(reads.due(at(59)).is_empty());
        let [told] = &reads.due(at(60))[..] else { panic!("one line") };
        assert_eq!(told.target, "1000 entries");
        assert!(reads.due(at(119)).is_empty());
        assert_eq!(reads.sums.len(), 1, "the next one waits for the hour");
        assert!(reads.due(at(120)).is_empty());
        assert!(reads.sums.is_empty());
    }

    #[test]
    fn what_comes_to_little_in_a_day_counts_no_more() {
        let day = 24 * 60;
        for (later, expected) in [(day - 1, true), (day, false), (day + 1, false)] {
            let mut reads = Reads::default();
            assert_eq!(reads.take(at(0), read("read.list"), JUST_UNDER), None);
            let told = reads.take(at(later), read("read.list"), 1);
            assert_eq!(told.is_some(), expected, "{later}");
        }
        let mut reads = Reads::default();
        assert_eq!(reads.take(at(0), read("read.list"), JUST_UNDER), None);
        assert!(reads.due(at(day - 1)).is_empty() && reads.sums.len() == 1);
        assert!(reads.due(at(day)).is_empty() && reads.sums.is_empty());
        assert!(reads.rest().is_empty());
    }

    #[test]
    fn agents_of_one_member_that_share_it_out_are_told_as_their_member() {
        let mut reads = Reads::default();
        let one = || by("acme-video", Some("indexer"), "read.list");
        let other = || by("acme-video", Some("analyst"), "read.list");
        assert_eq!(reads.take(at(0), one(), 300), None);
        let told = reads.take(at(0), other(), 300).unwrap();
        let expected = Who::Member {
            member: "acme-video".parse().unwrap(),
            agent: None,
            serial: None,
            key: None,
        };
        assert_eq!(told.who, expected);
        // Only what the line tells counts: the next is of one of them alone.
        assert_eq!(reads.take(at(1), one(), 300), None);
        assert_eq!(reads.take(at(2), one(), 300), None);
        let [told] = &reads.due(at(60))[..] else { panic!("one line") };
        assert_eq!(told.who, one().who);
    }

    #[test]
    fn they_are_bounded_and_the_least_goes_first() {
        let mut reads = Reads::default();
        reads.take(at(0), read("read.list"), JUST_UNDER);
        for number in 0..SUMS_MAX + 10 {
            reads.take(at(0), by(&format!("member-{number}"), None, "read.list"), 1);
        }
        assert_eq!(reads.sums.len(), SUMS_MAX);
        assert!(reads.take(at(0), read("read.list"), 1).is_some(), "the one that matters stays");
    }
}
