//! The ledger: what the hub answers, and the same computed again from the entries that it sends.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::pin::Pin;
use crate::client::subscribe::Delivery;
use crate::client::subscribe::From;
use crate::client::subscribe::Patience;
use crate::client::subscribe::SubscribeOptions;
use crate::client::verifier::Fault;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::ledger::Fold;
use crate::ledger::Ledger;
use crate::ledger::LedgerEntry;
use crate::ledger::Window;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::wire;
use crate::wire::envelope::Record;
use crate::wire::pb;

/// How long a replay waits for a hub that it lost.
const REPLAY_PATIENCE: Duration = Duration::from_mins(1);

impl Client {
    /// Who gave and received what in a time, as the hub says; the window's head is not looked at. Only the form of the
    /// answer is checked, and that it is not of a shorter log than was seen: [`Client::recompute_ledger`] checks the
    /// numbers.
    pub async fn ledger(&self, window: &Window) -> Result<pb::GetLedgerResponse, ClientError> {
        let answer = self.query_service().get_ledger(window.to_request()).await?.into_inner();
        check_form(&answer, self.welcome().checkpoint.size).map_err(VerificationError::answer)?;
        Ok(answer)
    }

    /// The same without a word of the hub's: everything that this member may see below the window's head is streamed
    /// from the first entry on, verified, and folded. Refused if the log ends before that head.
    pub async fn recompute_ledger(&self, window: Window) -> Result<Ledger, ClientError> {
        let mut replay = Replay::new(self.pin(), &self.profile().settings().member, window);
        let mut subscription = self
            .subscribe(SubscribeOptions {
                from: From::Start,
                filter: Filter::default(),
                until_head: true,
                patience: Patience::Limited(REPLAY_PATIENCE),
            })
            .await?;
        let mut position = 0;
        while position < window.head() {
            match subscription.next().await? {
                Some(Delivery::Entries { entries, .. }) => {
                    entries.iter().try_for_each(|entry| replay.take(entry))?;
                }
                Some(Delivery::Mark(mark)) => position = mark.position,
                Some(
                    Delivery::Snapshot | Delivery::AccessChanged(_) | Delivery::Interrupted(_),
                ) => {}
                None => {
                    let why = "its ledger counts entries that its log does not have";
                    return Err(VerificationError::answer(why).into());
                }
            }
        }
        let counted = tokio::task::spawn_blocking(move || replay.finish()).await;
        counted.map_err(|_ended| VerificationError::answer("the count did not end"))?
    }
}

/// What comes of a replay. The roster and the audiences that count are those at the window's head.
struct Replay {
    pin: Pin,
    head: u64,
    /// By place: when access is gained, earlier ones may come later.
    changes: BTreeMap<u64, Record>,
    fold: Fold,
}

impl Replay {
    fn new(pin: &Pin, caller: &MemberId, window: Window) -> Self {
        Self {
            pin: pin.clone(),
            head: window.head(),
            changes: BTreeMap::new(),
            fold: Fold::new(caller, window),
        }
    }

    fn take(&mut self, entry: &VerifiedEntry) -> Result<(), ClientError> {
        let header = entry.header();
        let kind = header.body_kind;
        // The founding record is what was pinned.
        let changes = kind.is_roster() || kind == BodyKind::AudienceChange;
        if changes && (1..self.head).contains(&entry.sequence()) {
            self.changes.insert(entry.sequence(), entry.record().clone());
        }
        let body = Some(entry.body());
        let entry = LedgerEntry::new(entry.sequence(), entry.accept_time(), header, body);
        self.fold.take(&entry).map_err(ClientError::Invalid)
    }

    fn finish(self) -> Result<Ledger, ClientError> {
        let Self { pin, head: _passed, changes, fold } = self;
        let mut roster = pin.roster().clone();
        for (sequence, record) in changes {
            let changed = wire::roster::apply(&roster, pin.exchange(), &record, Sequence(sequence))
                .map_err(|refusal| VerificationError::at(sequence, Fault::Roster(refusal)))?;
            roster = changed.unwrap_or(roster);
        }
        Ok(fold.finish(&roster, None))
    }
}

/// Whether an answer has the form that it must have; what is wrong with it if not.
fn check_form(answer: &pb::GetLedgerResponse, size_min: u64) -> Result<(), &'static str> {
    let pb::GetLedgerResponse {
        first_sequence,
        end_sequence,
        rows,
        threshold,
        times,
        head,
        operations_left_out: _any,
    } = answer;
    if first_sequence > end_sequence || end_sequence > head {
        return Err("the ledger's sequences do not rise up to its head");
    }
    if *head < size_min {
        return Err("the ledger is of a shorter log than was seen before");
    }
    if *threshold == 0 {
        return Err("the ledger has no threshold");
    }
    rows.iter().try_for_each(check_row)?;
    times.iter().try_for_each(check_time)
}

fn check_row(row: &pb::LedgerRow) -> Result<(), &'static str> {
    if !row.member.is_empty() && MemberId::from_name(&row.member).is_err() {
        return Err("a row of the ledger is of no member");
    }
    if pb::Role::try_from(row.role).is_err() || row.members == 0 {
        return Err("a row of the ledger has no role, or is of nobody");
    }
    if row.given.iter().any(|count| BodyKind::from_number(count.kind).is_none()) {
        return Err("a row of the ledger counts records of an unknown kind");
    }
    Ok(())
}

fn check_time(time: &pb::TimeToShare) -> Result<(), &'static str> {
    let member = time.member.is_empty() || MemberId::from_name(&time.member).is_ok();
    let operation = time.operation.is_empty() || time.operation.parse::<RecordName>().is_ok();
    if !member || !operation {
        return Err("a time of the ledger is of no member or operation");
    }
    let known = pb::ShareStage::try_from(time.stage)
        .is_ok_and(|stage| stage != pb::ShareStage::Unspecified)
        && pb::TimeBasis::try_from(time.basis)
            .is_ok_and(|basis| basis != pb::TimeBasis::Unspecified);
    if !known {
        return Err("a time of the ledger is of an unknown stage, or nobody vouches for it");
    }
    let measured = [time.p50.as_ref(), time.p90.as_ref()];
    let is_span = |span: &prost_types::Duration| Duration::try_from(*span).is_ok();
    if measured.iter().flatten().any(|span| !is_span(span))
        || measured.iter().any(|span| span.is_some() != (time.count > 0))
    {
        return Err("a time of the ledger is no span, or was not measured");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Signer;
    use crate::client::tests::World;
    use crate::client::tests::domain;
    use crate::ledger::differences;

    /// What the members of a small exchange said, as it was sent to one of them.
    fn log(world: &World) -> Vec<VerifiedEntry> {
        let mut envelopes = Vec::new();
        let mut say = |signer: &Signer, content| {
            let draft = world.draft(signer, content);
            let name = draft.name.clone();
            envelopes.push(signer.sign(draft, world.now).unwrap());
            name
        };
        let first = say(&world.acme, domain("example.com"));
        let opinion = pb::Opinion {
            of: first.to_string(),
            stance: pb::Stance::Agree.into(),
            ..pb::Opinion::default()
        };
        say(&world.bravo, pb::body::Content::Opinion(opinion));
        say(&world.bravo, domain("example.org"));
        let entries = world
            .entries
            .iter()
            .cloned()
            .chain((3..).zip(envelopes).map(|(place, envelope)| World::entry(place, envelope)));
        world.verifier().verify_all(entries.collect()).unwrap()
    }

    fn replayed(
        world: &World,
        entries: &[VerifiedEntry],
        head: u64,
    ) -> Result<Ledger, ClientError> {
        let window = Window::new(None, None, head);
        let mut replay = Replay::new(&world.pin(), world.bravo.member(), window);
        entries.iter().try_for_each(|entry| replay.take(entry))?;
        replay.finish()
    }

    #[test]
    fn a_replay_in_any_order_gives_what_the_roster_of_the_head_gives() {
        let world = World::new();
        let mut entries = log(&world);
        let window = Window::new(None, None, 6);
        let mut fold = Fold::new(world.bravo.member(), window);
        for entry in &entries {
            let (sequence, time) = (entry.sequence(), entry.accept_time());
            fold.take(&LedgerEntry::new(sequence, time, entry.header(), Some(entry.body())))
                .unwrap();
        }
        let expected = fold.finish(world.verifier().roster(), None);
        assert_eq!(expected.bounds, Some((3, 5)));
        assert_eq!(replayed(&world, &entries, 6).unwrap(), expected);
        entries.reverse();
        assert_eq!(replayed(&world, &entries, 6).unwrap(), expected);
    }

    #[test]
    fn a_member_that_joined_behind_the_head_has_no_row() {
        let world = World::new();
        let entries = log(&world);
        let members = |head| {
            let rows = replayed(&world, &entries, head).unwrap().rows;
            rows.iter().map(|row| row.members).sum::<u32>()
        };
        assert_eq!((members(6), members(3), members(2), members(1)), (2, 2, 1, 0));
    }

    #[test]
    fn a_roster_change_that_does_not_fit_is_not_believed() {
        let world = World::new();
        let mut entries = log(&world);
        let again = world.change(&world.operator, &world.admission(&world.acme));
        entries.push(world.verifier().verify(World::entry(6, again)).unwrap());
        assert_eq!(replayed(&world, &entries, 7).unwrap_err().exit_code(), 5);
        replayed(&world, &entries, 6).unwrap();
    }

    #[test]
    fn a_hub_that_adds_a_confirmation_is_found_out() {
        let world = World::new();
        let ledger = replayed(&world, &log(&world), 6).unwrap();
        let computed = pb::GetLedgerResponse::from(&ledger);
        let mut answered = computed.clone();
        assert_eq!(check_form(&answered, 6), Ok(()));
        assert_eq!(differences(&answered, &computed), []);
        answered.rows[0].confirmed += 1;
        assert_eq!(check_form(&answered, 6), Ok(()), "its form is good");
        assert_eq!(differences(&answered, &computed).len(), 1);
    }

    #[track_caller]
    fn check(good: &pb::GetLedgerResponse, spoil: impl FnOnce(&mut pb::GetLedgerResponse)) {
        let mut answer = good.clone();
        spoil(&mut answer);
        check_form(&answer, 6).unwrap_err();
    }

    #[test]
    fn an_answer_without_form_is_refused() {
        let world = World::new();
        let ledger = replayed(&world, &log(&world), 6).unwrap();
        let good = pb::GetLedgerResponse::from(&ledger);
        let time = pb::TimeToShare {
            stage: pb::ShareStage::PublishedToActed.into(),
            basis: pb::TimeBasis::Log.into(),
            ..pb::TimeToShare::default()
        };
        let span = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        check(&good, |answer| answer.first_sequence = answer.end_sequence + 1);
        check(&good, |answer| answer.end_sequence = answer.head + 1);
        check(&good, |answer| answer.head = 5);
        check(&good, |answer| answer.threshold = 0);
        check(&good, |answer| answer.rows[0].member = "members/\u{1b}[31m".to_owned());
        check(&good, |answer| answer.rows[0].role = 99);
        check(&good, |answer| answer.rows[0].members = 0);
        check(&good, |answer| answer.rows[0].given.push(pb::KindCount { kind: 99, count: 1 }));
        check(&good, |answer| answer.times.push(pb::TimeToShare::default()));
        for spoilt in [
            pb::TimeToShare { member: "nobody".to_owned(), ..time.clone() },
            pb::TimeToShare { operation: "nothing".to_owned(), ..time.clone() },
            pb::TimeToShare { stage: 99, ..time.clone() },
            pb::TimeToShare { basis: 0, ..time.clone() },
            pb::TimeToShare { count: 1, p50: span(-1), p90: span(1), ..time.clone() },
            pb::TimeToShare { count: 1, p50: span(1), ..time.clone() },
            pb::TimeToShare { p50: span(1), p90: span(1), ..time.clone() },
        ] {
            check(&good, |answer| answer.times.push(spoilt));
        }
        let mut fine = good;
        fine.times.push(pb::TimeToShare { count: 1, p50: span(1), p90: span(1), ..time });
        assert_eq!(check_form(&fine, 6), Ok(()));
    }
}
