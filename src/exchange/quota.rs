//! Quotas: how much each member has used of what the roster lets it ask of the hub.
//!
//! One rule for all of them, the generic cell rate algorithm (ITU-T I.371): what was used is a debt of time that is
//! worked off as time goes by, and more is refused while the debt would exceed the window. It is kept in memory: a
//! restart forgives it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::Quota;
use crate::model::time::Clock;

/// Over which records and look-ups are averaged.
const SHORT_WINDOW: Duration = Duration::from_secs(10);
const SHORT_WINDOW_SECONDS: u64 = 10;
/// What every member may publish, whatever its quota: postings beyond those of each record that are easy. They are written
/// while everyone waits.
const POSTINGS: Rate =
    Rate { capacity: limits::POSTINGS_BURST, window: limits::POSTINGS_BURST_WINDOW };
/// How many records of each member may be refused, whatever its quota. To find out that a record is to be refused takes longer
/// than to send it.
const REFUSALS: Rate =
    Rate { capacity: limits::REFUSALS_BURST, window: limits::REFUSALS_BURST_WINDOW };
/// Over which bytes are counted.
const DAY: Duration = Duration::from_hours(24);

/// What every member has used.
pub(super) struct Quotas {
    clock: Arc<dyn Clock>,
    used: Mutex<HashMap<MemberId, Used>>,
}

/// What a member owes.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    records: Debt,
    bytes: Debt,
    lookups: Debt,
    postings: Debt,
    refusals: Debt,
    /// How often each limit refused something.
    refused: [u64; QuotaLimit::ALL.len()],
}

/// What a quota limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaLimit {
    /// Records published.
    Records,
    /// Bytes published.
    Bytes,
    /// Values looked up and pages read.
    Lookups,
    /// Streams open at once.
    Streams,
    /// Postings of records, beyond those that are easy. The same for every member.
    Postings,
    /// Records that were refused, for whatever reason. The same for every member.
    Refusals,
}

impl QuotaLimit {
    /// Every limit.
    pub(crate) const ALL: [Self; 6] =
        [Self::Records, Self::Bytes, Self::Lookups, Self::Streams, Self::Postings, Self::Refusals];

    /// Its name: in the roster, if it is there.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records_per_second",
            Self::Bytes => "bytes_per_day",
            Self::Lookups => "lookups_per_second",
            Self::Streams => "streams",
            Self::Postings => "postings",
            Self::Refusals => "refusals",
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Records => 0,
            Self::Bytes => 1,
            Self::Lookups => 2,
            Self::Streams => 3,
            Self::Postings => 4,
            Self::Refusals => 5,
        }
    }
}

/// How a member stands with one of its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct QuotaUse {
    /// Which.
    pub(crate) limit: QuotaLimit,
    /// How much of it is used, from 0 to 1; `None` where there is no limit.
    pub(crate) used: Option<f64>,
    /// How often it refused something since the start.
    pub(crate) refused: u64,
}

/// What a record takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    /// Bytes that quotas and groups count for it: its own, or those of its postings if they are more.
    pub(super) bytes: usize,
    /// How often it lies in the indexes.
    pub(super) postings: usize,
}

/// When a debt will be worked off, by the monotonic clock, and the capacity of the rate at which it was made: under
/// another quota it takes longer or shorter.
#[derive(Clone, Copy, Debug, Default)]
struct Debt {
    until: Duration,
    capacity: u64,
}

/// What is left to a member now; `None` where there is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaLeft {
    /// Records that may be published.
    pub records: Option<u64>,
    /// Bytes that may be published.
    pub bytes: Option<u64>,
    /// Values that may be looked up and pages that may be read.
    pub lookups: Option<u64>,
}

impl Quotas {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, used: Mutex::default() }
    }

    /// Takes one record of such a weight from what is left; nothing is taken if it is refused.
    pub(super) fn take_record(
        &self,
        member: &MemberId,
        quota: &Quota,
        weight: Weight,
    ) -> Result<(), Refusal> {
        let postings = hard(weight.postings);
        if quota.records_per_second == 0 && quota.bytes_per_day == 0 && postings == 0 {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(member.clone()).or_default();
        let bytes = u64::try_from(weight.bytes).unwrap_or(u64::MAX);
        let records = used.records.and(records_of(quota), now, 1);
        let records =
            records.map_err(|delay| used.refuse(member, QuotaLimit::Records, RECORD, delay))?;
        let bytes = used.bytes.and(bytes_of(quota), now, bytes);
        let bytes = bytes.map_err(|delay| used.refuse(member, QuotaLimit::Bytes, RECORD, delay))?;
        let postings = used.postings.and(POSTINGS, now, postings);
        let postings =
            postings.map_err(|delay| used.refuse(member, QuotaLimit::Postings, RECORD, delay))?;
        (used.records, used.bytes, used.postings) = (records, bytes, postings);
        Ok(())
    }

    /// Takes the look that it costs to find what is sent again. Who has none left comes back when it has all that it may
    /// have: whoever sends many again would ask for each by itself.
    pub(super) fn take_repeat(&self, member: &MemberId, quota: &Quota) -> Result<(), Refusal> {
        self.take_looks(member, quota, 1, REPEAT).map_err(|refusal| {
            let delay = refusal.retry_after.unwrap_or_default().max(SHORT_WINDOW);
            refusal.retry_after(delay)
        })
    }

    /// Refuses a record that comes behind so many postings of its own batch that it has to come with the next.
    pub(super) fn refuse_postings(&self, member: &MemberId) -> Refusal {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(member.clone()).or_default();
        used.refuse(member, QuotaLimit::Postings, RECORD, limits::BATCH_POSTINGS_DELAY)
    }

    /// Counts records of a member that were refused.
    pub(super) fn note_refusals(&self, member: &MemberId, count: usize) {
        if count == 0 {
            return;
        }
        let now = self.clock.monotonic();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.entry(member.clone()).or_default().refusals.grow(REFUSALS, now, count);
    }

    /// Whether anything of a batch of a member may be looked at, or too many of its records were refused already.
    pub(super) fn demand_patience(&self, member: &MemberId) -> Result<(), Refusal> {
        let now = self.clock.monotonic();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(used) = used.get_mut(member) else { return Ok(()) };
        let patience = used.refusals.and(REFUSALS, now, 0).map(drop);
        patience.map_err(|delay| used.refuse(member, QuotaLimit::Refusals, BATCH, delay))
    }

    /// Gives back what was just taken for a record.
    pub(super) fn give_back(&self, member: &MemberId, quota: &Quota, weight: Weight) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(used) = used.get_mut(member) else { return };
        let bytes = u64::try_from(weight.bytes).unwrap_or(u64::MAX);
        used.records.give_back(records_of(quota), 1);
        used.bytes.give_back(bytes_of(quota), bytes);
        used.postings.give_back(POSTINGS, hard(weight.postings));
    }

    /// Takes so many values or pages from what is left.
    pub(super) fn take_lookups(
        &self,
        member: &MemberId,
        quota: &Quota,
        count: usize,
    ) -> Result<(), Refusal> {
        self.take_looks(member, quota, count, LOOKUP)
    }

    fn take_looks(
        &self,
        member: &MemberId,
        quota: &Quota,
        count: usize,
        done: &'static str,
    ) -> Result<(), Refusal> {
        if quota.lookups_per_second == 0 {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.entry(member.clone()).or_default();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let lookups = used.lookups.and(lookups_of(quota), now, count);
        used.lookups =
            lookups.map_err(|delay| used.refuse(member, QuotaLimit::Lookups, done, delay))?;
        Ok(())
    }

    /// Counts a record that comes behind one that a limit refused, and is refused like it.
    pub(super) fn note_held_up(&self, member: &MemberId, like: &Refusal) {
        let is_of =
            |limit: &QuotaLimit| like.metadata.contains(&("limit", limit.as_str().to_owned()));
        if let Some(limit) = QuotaLimit::ALL.into_iter().find(is_of) {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.entry(member.clone()).or_default().note(limit);
        }
    }

    /// Counts a stream that was refused.
    pub(super) fn note_refused_stream(&self, member: &MemberId) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.entry(member.clone()).or_default().note(QuotaLimit::Streams);
    }

    /// How a member stands with each of its limits, with so many of so many streams open.
    pub(super) fn standing(
        &self,
        member: &MemberId,
        quota: &Quota,
        streams_open: usize,
    ) -> [QuotaUse; QuotaLimit::ALL.len()] {
        let now = self.clock.monotonic();
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.get(member).copied().unwrap_or_default();
        let streams = u32::try_from(streams_open).unwrap_or(u32::MAX);
        QuotaLimit::ALL.map(|limit| QuotaUse {
            limit,
            used: match limit {
                QuotaLimit::Records => used.records.share(records_of(quota), now),
                QuotaLimit::Bytes => used.bytes.share(bytes_of(quota), now),
                QuotaLimit::Lookups => used.lookups.share(lookups_of(quota), now),
                QuotaLimit::Streams => (quota.streams > 0)
                    .then(|| (f64::from(streams) / f64::from(quota.streams)).min(1.0)),
                // Hardly anybody ever has any.
                QuotaLimit::Postings => {
                    used.postings.share(POSTINGS, now).filter(|share| *share > 0.0)
                }
                QuotaLimit::Refusals => {
                    used.refusals.share(REFUSALS, now).filter(|share| *share > 0.0)
                }
            },
            refused: used.refused.get(limit.place()).copied().unwrap_or_default(),
        })
    }

    /// What is left.
    pub(super) fn left(&self, member: &MemberId, quota: &Quota) -> QuotaLeft {
        let now = self.clock.monotonic();
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = used.get(member).copied().unwrap_or_default();
        QuotaLeft {
            records: used.records.left(records_of(quota), now),
            bytes: used.bytes.left(bytes_of(quota), now),
            lookups: used.lookups.left(lookups_of(quota), now),
        }
    }
}

impl Used {
    fn note(&mut self, limit: QuotaLimit) {
        if let Some(count) = self.refused.get_mut(limit.place()) {
            *count = count.saturating_add(1);
        }
    }

    fn refuse(
        &mut self,
        member: &MemberId,
        limit: QuotaLimit,
        done: &'static str,
        delay: Duration,
    ) -> Refusal {
        self.note(limit);
        refusal(member, limit.as_str(), done, delay)
    }
}

impl Debt {
    /// The debt when so many units are taken now; or how long to wait before they may be.
    fn and(&mut self, rate: Rate, now: Duration, units: u64) -> Result<Self, Duration> {
        if rate.capacity == 0 {
            return Ok(*self);
        }
        self.settle(rate, now);
        let until = rate.take(self.until, now, units)?;
        Ok(Self { until, capacity: rate.capacity })
    }

    /// So many units more, whatever is owed already.
    fn grow(&mut self, rate: Rate, now: Duration, units: u64) {
        self.settle(rate, now);
        let until = self.until.max(now).saturating_add(rate.cost(units));
        *self = Self { until, capacity: rate.capacity };
    }

    /// The debt without so many units that were taken at this rate.
    fn give_back(&mut self, rate: Rate, units: u64) {
        if rate.capacity > 0 {
            self.until = self.until.saturating_sub(rate.cost(units));
        }
    }

    fn left(mut self, rate: Rate, now: Duration) -> Option<u64> {
        self.settle(rate, now);
        rate.left(self.until, now)
    }

    /// How much of the window is owed, from 0 to 1; `None` where there is no limit.
    fn share(mut self, rate: Rate, now: Duration) -> Option<f64> {
        self.settle(rate, now);
        let owed = self.until.saturating_sub(now).as_secs_f64() / rate.window.as_secs_f64();
        (rate.capacity > 0).then(|| owed.min(1.0))
    }

    /// From now on the debt is worked off at this rate.
    fn settle(&mut self, rate: Rate, now: Duration) {
        if self.capacity == rate.capacity {
            return;
        }
        let owed = self.until.saturating_sub(now).as_nanos();
        let owed = owed * u128::from(self.capacity) / u128::from(rate.capacity.max(1));
        let owed = Duration::from_nanos(u64::try_from(owed).unwrap_or(u64::MAX));
        *self = Self { until: now.saturating_add(owed), capacity: rate.capacity };
    }
}

fn records_of(quota: &Quota) -> Rate {
    let capacity = u64::from(quota.records_per_second) * SHORT_WINDOW_SECONDS;
    Rate { capacity, window: SHORT_WINDOW }
}

fn lookups_of(quota: &Quota) -> Rate {
    let capacity = u64::from(quota.lookups_per_second) * SHORT_WINDOW_SECONDS;
    Rate { capacity, window: SHORT_WINDOW }
}

const fn bytes_of(quota: &Quota) -> Rate {
    Rate { capacity: quota.bytes_per_day, window: DAY }
}

/// Postings of a record beyond those that are easy.
fn hard(postings: usize) -> u64 {
    u64::try_from(postings.saturating_sub(limits::RECORD_POSTINGS_EASY)).unwrap_or(u64::MAX)
}

/// So many units in a window; a capacity of 0 is no limit.
#[derive(Clone, Copy, Debug)]
struct Rate {
    capacity: u64,
    window: Duration,
}

impl Rate {
    /// When the debt will be worked off if so many units are taken now; or how long to wait before they may be. More
    /// units than the capacity may be taken when nothing is owed, and all of them are owed then.
    fn take(self, owed_until: Duration, now: Duration, units: u64) -> Result<Duration, Duration> {
        if self.capacity == 0 {
            return Ok(owed_until);
        }
        let (owed, cost) = (owed_until.saturating_sub(now), self.cost(units));
        let delay = owed.saturating_add(cost).saturating_sub(self.window).min(owed);
        if delay.is_zero() { Ok(owed_until.max(now).saturating_add(cost)) } else { Err(delay) }
    }

    fn left(self, owed_until: Duration, now: Duration) -> Option<u64> {
        let free = self.window.saturating_sub(owed_until.saturating_sub(now));
        let micros = u128::from(self.capacity) * free.as_micros() / self.window.as_micros();
        (self.capacity > 0).then(|| u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn cost(self, units: u64) -> Duration {
        let nanos = self.window.as_nanos() * u128::from(units) / u128::from(self.capacity.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What was done, of a record: others of its batch have answers of their own.
const RECORD: &str = "this record was not taken";
/// What was done, of a whole batch.
const BATCH: &str = "nothing of this batch was looked at";
/// What was done, of a look-up or a page.
const LOOKUP: &str = "nothing was read";
/// What was done, of a record whose name may be taken.
const REPEAT: &str = "whether this record is there, and its receipt, is told later";

fn refusal(member: &MemberId, limit: &'static str, done: &'static str, delay: Duration) -> Refusal {
    let message = format!("{member} has used up its quota, {limit}; {done}");
    Refusal::new(Reason::Quota, message).with("limit", limit).retry_after(delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use proptest::prelude::*;

    const RATE: Rate = Rate { capacity: 100, window: SHORT_WINDOW };

    /// A clock whose hands the test moves.
    struct Hands(Mutex<Duration>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::default().saturating_add(self.monotonic())
        }

        fn monotonic(&self) -> Duration {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_burst_is_taken_and_the_next_is_told_when() {
        let mut owed = Duration::ZERO;
        let start = Duration::from_secs(50);
        for _unit in 0..100 {
            owed = RATE.take(owed, start, 1).unwrap();
        }
        assert_eq!(RATE.left(owed, start), Some(0));
        let delay = RATE.take(owed, start, 1).unwrap_err();
        assert_eq!(delay, Duration::from_millis(100), "a hundredth of the window");
        assert!(RATE.take(owed, start + delay, 1).is_ok());
        assert_eq!(RATE.left(owed, start + Duration::from_secs(5)), Some(50));
    }

    #[test]
    fn more_than_the_capacity_is_taken_at_once_and_owed_in_full() {
        let start = Duration::from_secs(50);
        let owed = RATE.take(Duration::ZERO, start, 1000).unwrap();
        assert_eq!(RATE.left(owed, start), Some(0));
        let later = start + SHORT_WINDOW;
        assert_eq!(RATE.take(owed, later, 1000), Err(Duration::from_secs(90)), "all is owed first");
        assert_eq!(RATE.take(owed, later, 1), Err(Duration::from_millis(80_100)));
        assert!(RATE.take(owed, later + Duration::from_secs(90), 1000).is_ok());
    }

    #[test]
    fn a_debt_is_worked_off_at_the_rate_of_the_quota_that_holds() {
        let now = Duration::from_secs(50);
        let mut owed = Debt::default().and(RATE, now, 1000).unwrap();
        let slower = Rate { capacity: 10, ..RATE };
        assert_eq!(owed.and(slower, now, 1000).unwrap_err(), Duration::from_secs(1000));
        let tenfold = Rate { capacity: 1000, ..RATE };
        let delay = owed.and(tenfold, now, 1000).unwrap_err();
        assert_eq!(delay, Duration::from_secs(10));
        assert_eq!(owed.left(tenfold, now + Duration::from_secs(5)), Some(500));
        assert!(owed.and(tenfold, now + delay, 1000).is_ok(), "as it was told");
    }

    #[test]
    fn what_is_used_and_what_was_refused_is_told_for_each_limit() {
        let quotas = Quotas::new(Arc::new(crate::model::time::SystemClock::default()));
        let member: MemberId = "acme-video".parse().unwrap();
        let quota = Quota { records_per_second: 10, streams: 4, ..Quota::default() };
        let shares = |open| quotas.standing(&member, &quota, open).map(|limit| limit.used);
        assert_eq!(shares(1), [Some(0.0), None, None, Some(0.25), None, None]);
        for _record in 0..100 {
            quotas.take_record(&member, &quota, Weight::default()).unwrap();
        }
        assert!(quotas.take_record(&member, &quota, Weight::default()).is_err());
        quotas.note_refused_stream(&member);
        let [records, _bytes, _lookups, streams, ..] = quotas.standing(&member, &quota, 9);
        assert!(records.used.unwrap() > 0.5, "{records:?}");
        assert_eq!((records.refused, streams.refused, streams.used), (1, 1, Some(1.0)));
    }

    #[test]
    fn who_owes_looks_is_told_when_what_it_sends_again_is_looked_for() {
        let quotas = Quotas::new(Arc::new(crate::model::time::SystemClock::default()));
        let member: MemberId = "acme-video".parse().unwrap();
        let quota = Quota { lookups_per_second: 5, ..Quota::default() };
        let delay = || quotas.take_repeat(&member, &quota).unwrap_err().retry_after.unwrap();
        for _look in 0..50 {
            quotas.take_repeat(&member, &quota).unwrap();
        }
        assert_eq!(delay(), SHORT_WINDOW, "not the fifth of a second of one");
        let other: MemberId = "birch-social".parse().unwrap();
        quotas.take_lookups(&other, &quota, 1000).unwrap();
        let owed = quotas.take_repeat(&other, &quota).unwrap_err().retry_after.unwrap();
        assert!(owed > Duration::from_mins(3), "{owed:?}");
    }

    #[test]
    fn postings_have_a_limit_whatever_the_quota() {
        let quotas = Quotas::new(Arc::new(crate::model::time::SystemClock::default()));
        let member: MemberId = "acme-video".parse().unwrap();
        let free = Quota::default();
        let take = |postings| quotas.take_record(&member, &free, Weight { bytes: 1, postings });
        let heavy = limits::RECORD_POSTINGS_MAX;
        let count = (0..1000).take_while(|_record| take(heavy).is_ok()).count();
        assert_eq!(count, 34);
        let refusal = take(heavy).unwrap_err();
        assert_eq!(refusal.reason, Reason::Quota);
        assert_eq!(refusal.metadata, [("limit", "postings".to_owned())]);
        assert!(refusal.retry_after.unwrap() <= Duration::from_secs(15), "{refusal:?}");
        // Nothing keeps ordinary records out, and what was given back is there again.
        assert!((0..1000).all(|_record| take(limits::RECORD_POSTINGS_EASY).is_ok()));
        quotas.give_back(&member, &free, Weight { bytes: 1, postings: heavy });
        quotas.give_back(&member, &free, Weight { bytes: 1, postings: heavy });
        assert!(take(heavy).is_ok());
        let postings = quotas.standing(&member, &free, 0)[QuotaLimit::Postings.place()];
        assert!(postings.used.unwrap() > 0.9 && postings.refused >= 1, "{postings:?}");
    }

    #[test]
    fn whose_records_are_refused_too_often_is_looked_at_no_more_until_it_waited() {
        let clock = Arc::new(Hands(Mutex::default()));
        let quotas = Quotas::new(Arc::<Hands>::clone(&clock));
        let [member, other]: [MemberId; 2] =
            ["acme-video", "birch-social"].map(|id| id.parse().unwrap());
        let most = usize::try_from(limits::REFUSALS_BURST).unwrap();
        quotas.note_refusals(&member, 0);
        quotas.note_refusals(&member, most);
        assert!(quotas.demand_patience(&member).is_ok(), "so many and no more");
        quotas.note_refusals(&member, 256);
        let refusal = quotas.demand_patience(&member).unwrap_err();
        assert_eq!(
            (refusal.reason, refusal.retry_after),
            (Reason::Quota, Some(Duration::from_secs(1)))
        );
        assert_eq!(refusal.metadata, [("limit", "refusals".to_owned())]);
        assert!(quotas.demand_patience(&other).is_ok(), "it is its own");
        let standing = quotas.standing(&member, &Quota::default(), 0)[QuotaLimit::Refusals.place()];
        assert_eq!((standing.used, standing.refused), (Some(1.0), 1));
        *clock.0.lock().unwrap() = Duration::from_secs(1);
        assert!(quotas.demand_patience(&member).is_ok(), "as it was told");
    }

    #[test]
    fn without_a_limit_nothing_is_owed() {
        let free = Rate { capacity: 0, window: DAY };
        assert_eq!(free.take(Duration::ZERO, DAY, u64::MAX), Ok(Duration::ZERO));
        assert_eq!(free.left(Duration::ZERO, DAY), None);
    }

    proptest! {
        /// Whatever is asked for and when: from no moment on is more taken than was saved, was earned since, and was
        /// asked for at once; and whoever waits as long as it is told is served, and no sooner.
        #[test]
        fn nobody_gets_more_than_was_saved_and_earned(
            asks in prop::collection::vec((0_u64..3_000, 1_u64..400), 1..200)
        ) {
            let (mut owed, mut now, mut taken) = (Duration::ZERO, Duration::ZERO, Vec::new());
            for (wait, units) in asks {
                now += Duration::from_millis(wait);
                match RATE.take(owed, now, units) {
                    Ok(later) => { owed = later; taken.push((now, units)); }
                    Err(delay) => {
                        prop_assert!(RATE.take(owed, now + delay, units).is_ok());
                        prop_assert!(RATE.take(owed, now + delay / 2, units).is_err());
                    }
                }
            }
            for (start, _) in &taken {
                let mut sum = 0;
                for (at, units) in taken.iter().filter(|(at, _)| at >= start) {
                    // A hundred units in ten seconds: one for each 100 ms.
                    let earned = u64::try_from(at.saturating_sub(*start).as_millis()).unwrap() / 100 + 1;
                    sum += units;
                    prop_assert!(sum <= RATE.capacity.max(*units) + earned, "{sum} at {at:?}");
                }
            }
        }
    }
}
