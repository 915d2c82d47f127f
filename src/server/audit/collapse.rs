//! So that one member cannot fill the disk: of each sort of line, each member has a few in a time; what comes beyond is
//! counted, and told in one line when that time is over. The time doubles while there is too much.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::time::Duration;

use crate::model::names::MemberId;
use crate::server::audit::event::Event;
use crate::server::audit::event::Outcome;
use crate::server::audit::event::Sort;
use crate::server::audit::event::Who;

/// Lines of one sort that a member has in a window.
const LINES_PER_WINDOW: u32 = 4;
/// The window of a member of which little is to be told.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// The window of one of which much is to be told, again and again.
const WINDOW_MAX: Duration = Duration::from_secs(64);

/// Words that are counted apart in a window: more than there are calls to be refused. So that a line stays short, whatever
/// the words are and wherever they come from.
const WORDS_MAX: usize = 64;
/// Under which word those beyond are counted.
const OTHER: &str = "other";

/// What was written of whom lately, and what was only counted.
#[derive(Debug, Default)]
pub(super) struct Collapse {
    windows: HashMap<(MemberId, Sort), Window>,
}

#[derive(Debug)]
struct Window {
    /// When it is over, by the monotonic clock.
    end: Duration,
    length: Duration,
    lines: u32,
    /// The last event that was only counted, and how often each was.
    held: Option<(Event, BTreeMap<String, u64>)>,
}

impl Window {
    fn new(now: Duration, length: Duration) -> Self {
        Self { end: now.saturating_add(length), length, lines: 0, held: None }
    }
}

impl Collapse {
    /// The event, if it is to be written for itself. A window lasts until what is due is taken: whoever takes that must
    /// be the one who writes, so that a member has its few lines once while nothing can be written.
    pub(super) fn take(&mut self, now: Duration, event: Event) -> Option<Event> {
        let sort = event.sort();
        let Who::Member { member, .. } = &event.who else { return Some(event) };
        if sort == Sort::Change {
            return Some(event);
        }
        let window = self.windows.entry((member.clone(), sort));
        let window = window.or_insert_with(|| Window::new(now, WINDOW_MIN));
        if window.lines < LINES_PER_WINDOW {
            window.lines = window.lines.saturating_add(1);
            return Some(event);
        }
        let mut counts = window.held.take().map(|(_event, counts)| counts).unwrap_or_default();
        count(&mut counts, event.word());
        window.held = Some((event, counts));
        None
    }

    /// One line for each window that is over and in which something was only counted.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Event> {
        let mut due = Vec::new();
        self.windows.retain(|_whose, window| {
            if now < window.end {
                return true;
            }
            let Some(held) = window.held.take() else { return false };
            due.push(told(held));
            *window = Window::new(now, window.length.saturating_mul(2).min(WINDOW_MAX));
            true
        });
        due
    }

    /// Everything that was only counted: nothing comes any more.
    pub(super) fn rest(&mut self) -> Vec<Event> {
        let windows = std::mem::take(&mut self.windows);
        windows.into_values().filter_map(|window| window.held).map(told).collect()
    }
}

fn count(counts: &mut BTreeMap<String, u64>, word: String) {
    let has_place = counts.len() < WORDS_MAX || counts.contains_key(&word);
    let count = counts.entry(if has_place { word } else { OTHER.to_owned() }).or_default();
    *count = count.saturating_add(1);
}

/// The line for what was only counted: by whom, and how often what.
fn told((event, counts): (Event, BTreeMap<String, u64>)) -> Event {
    let outcome = match event.outcome {
        Outcome::Refused(_) => Outcome::Refused("several".to_owned()),
        Outcome::Done(_) | Outcome::Failed(_) => Outcome::Done(None),
    };
    Event { what: "further".to_owned(), target: String::new(), outcome, counts, ..event }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::Digest;
    use crate::model::time::Timestamp;
    use crate::server::audit::file::LINE_BYTES_MAX;

    fn refused(member: &str, what: &str) -> Event {
        let member = member.parse().unwrap();
        let who = Who::Member { member, agent: None, serial: None, key: None };
        let event = Event::done(Timestamp::default(), who, what, "");
        Event { outcome: Outcome::Refused("ROLE_FORBIDS".to_owned()), ..event }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_few_are_written_and_the_rest_is_counted() {
        let mut collapse = Collapse::default();
        let written = (0..100)
            .filter(|_| collapse.take(at(0), refused("acme-video", "roster.admit")).is_some());
        assert_eq!(written.count(), 4);
        assert!(collapse.take(at(0), refused("birch-social", "roster.admit")).is_some());
        assert!(collapse.take(at(0), refused("acme-video", "publish.note")).is_some());
        assert!(collapse.due(Duration::from_millis(999)).is_empty());
        let [told] = &collapse.due(at(1))[..] else { panic!("one line") };
        let counts: Vec<_> = told.counts.iter().map(|(what, n)| (what.as_str(), *n)).collect();
        assert_eq!(counts, [("roster.admit ROLE_FORBIDS", 96)]);
    }

    #[test]
    fn however_many_words_there_are_the_line_stays_short_and_nothing_is_forgotten() {
        let words = u64::try_from(WORDS_MAX).unwrap();
        for made_up in [words, words + 1, 20_000] {
            let mut collapse = Collapse::default();
            let longest = "x".repeat(100);
            // The first few of a window are written for themselves.
            for word in 0..u64::from(LINES_PER_WINDOW) + made_up {
                collapse.take(at(0), refused("acme-video", &format!("call {longest}{word}")));
            }
            // A word that has its place keeps it.
            let last = LINES_PER_WINDOW;
            collapse.take(at(0), refused("acme-video", &format!("call {longest}{last}")));
            let [told] = &collapse.due(at(1))[..] else { panic!("one line") };
            assert_eq!(told.counts.values().sum::<u64>(), made_up + 1, "{made_up}");
            assert_eq!(told.counts.values().filter(|count| **count == 2).count(), 1, "{made_up}");
            let beyond = made_up - words;
            assert_eq!(told.counts.get(OTHER).copied().unwrap_or_default(), beyond, "{made_up}");
            let line = u64::try_from(told.line(1, &Digest::default()).len()).unwrap();
            assert!(line < LINE_BYTES_MAX / 4, "{line} bytes for {made_up} words");
        }
    }

    #[test]
    fn nobody_has_more_than_a_few_thousand_lines_a_day() {
        let (mut collapse, mut lines) = (Collapse::default(), 0);
        for tick in 0..86_400_u64 {
            lines += collapse.due(at(tick)).len();
            for _event in 0..20 {
                lines += usize::from(collapse.take(at(tick), refused("acme-video", "x")).is_some());
            }
        }
        assert!((5_000..8_000).contains(&lines), "{lines}");
    }

    #[test]
    fn who_stops_is_told_at_once_again_and_forgotten() {
        let mut collapse = Collapse::default();
        let all = |collapse: &mut Collapse, now| {
            (0..10).filter(|_| collapse.take(now, refused("acme-video", "x")).is_some()).count()
        };
        assert_eq!(all(&mut collapse, at(0)), 4);
        assert_eq!(collapse.due(at(1)).len(), 1);
        assert!(collapse.due(at(3)).is_empty());
        assert!(collapse.windows.is_empty());
        assert_eq!(all(&mut collapse, at(3)), 4);
        assert_eq!(collapse.rest().len(), 1);
    }

    #[test]
    fn what_was_done_is_always_written() {
        let mut collapse = Collapse::default();
        let done = |_| {
            let event = refused("acme-video", "roster.admit");
            Event { outcome: Outcome::Done(Some(7)), ..event }
        };
        assert_eq!((0..100).map(done).filter_map(|it| collapse.take(at(0), it)).count(), 100);
    }
}
