//! Recalls: what was taken back and who has answered, as the hub lists it; and answers that follow from what a sink
//! holds.
//!
//! A recall is answered once. At the start the hub lists what this member has not answered; each of these is carried
//! out in the sink and answered by what the sink says that it held, which it says again after a crash. From then on
//! only recalls behind that head are new. An answer's name is derived from the recall's, so that a second one is
//! refused by the log itself, whoever sends it.

use uuid::Uuid;

use crate::client::batch::BATCH_ENTRIES_MAX;
use crate::client::batch::Batch;
use crate::client::batch::Item;
use crate::client::batch::Run;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::founding::unaddressed;
use crate::client::publish::Outcome;
use crate::client::signer::Draft;
use crate::client::sink::Holding;
use crate::client::sink::Recall;
use crate::client::subscribe::Place;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::pb;

/// Whose recalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recalls {
    /// Of one's own records, with everyone who could see them.
    Own,
    /// Of records that this member could see, and has not answered.
    ToAnswer,
}

/// A record that was taken back.
#[derive(Clone, Debug)]
pub struct ListedRecall {
    /// The record.
    pub record: RecordName,
    /// The withdrawal or takedown, verified.
    pub withdrawal: VerifiedEntry,
    /// Whether holders were asked to delete their copies.
    pub demand_deletion: bool,
    /// Until when holders were asked to answer.
    pub due: Option<Timestamp>,
    /// The hub's notice that it erased the bodies, as it says.
    pub erased_sequence: Option<u64>,
    /// For the publisher: who could see the record, as the hub says.
    pub holders: Vec<RecallHolder>,
}

/// A member who could see a record that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecallHolder {
    /// Who.
    pub member: MemberId,
    /// What it answered; `None` if it has not.
    pub answer: Option<pb::AcknowledgementAnswer>,
    /// Where its answer is.
    pub answer_sequence: Option<u64>,
    /// Whether the withdrawal was sent to it. The hub's claim.
    pub delivered: bool,
}

impl Client {
    /// Every recall, oldest first.
    pub async fn recalls(&self, which: Recalls) -> Result<Vec<ListedRecall>, ClientError> {
        let mut all: Vec<ListedRecall> = Vec::new();
        let mut page_token = String::new();
        loop {
            let to_answer = which == Recalls::ToAnswer;
            let request = pb::ListRecallsRequest { to_answer, page_size: 0, page_token };
            let response = self.query_service().list_recalls(request).await?.into_inner();
            let pb::ListRecallsResponse { recalls, next_page_token } = response;
            let missing = || VerificationError::answer("a recall has no withdrawal");
            let entries = recalls.iter().map(|recall| recall.withdrawal.clone());
            let entries = entries.collect::<Option<Vec<_>>>().ok_or_else(missing)?;
            for (recall, withdrawal) in recalls.into_iter().zip(self.believe(entries).await?) {
                all.push(listed(recall, withdrawal)?);
            }
            if !all.is_sorted_by(|a, b| a.withdrawal.sequence() < b.withdrawal.sequence()) {
                return Err(VerificationError::answer("recalls are not in order").into());
            }
            if next_page_token.is_empty() {
                return Ok(all);
            }
            page_token = next_page_token;
        }
    }
}

/// What the hub lists must be what the withdrawal says; only then is the rest of it of any worth.
fn listed(
    recall: pb::Recall,
    withdrawal: VerifiedEntry,
) -> Result<ListedRecall, VerificationError> {
    let pb::Recall {
        record, withdrawal: _taken, demand_deletion, erased_sequence, holders, ..
    } = recall;
    let malformed = |why: String| VerificationError::answer(format!("a recall: {why}"));
    let of = withdrawal.record().content.withdraws().filter(|of| of.to_string() == record);
    let of =
        of.ok_or_else(|| malformed("it is of another record than its withdrawal".to_owned()))?;
    let demand = withdrawal.record().content.demand();
    if demand.is_some() != demand_deletion {
        return Err(malformed("it demands something else than its withdrawal".to_owned()));
    }
    let due = match &withdrawal.body().content {
        Some(pb::body::Content::Withdrawal(said)) => said.acknowledge_by_time.as_ref(),
        _ => None,
    };
    let due = due.map(|due| wire::time::timestamp(due, "acknowledge_by_time")).transpose();
    Ok(ListedRecall {
        record: of.clone(),
        demand_deletion,
        due: due.map_err(|refusal| malformed(refusal.to_string()))?,
        erased_sequence,
        holders: holders.into_iter().map(holder).collect::<Result<_, _>>()?,
        withdrawal,
    })
}

fn holder(wire: pb::RecallHolder) -> Result<RecallHolder, VerificationError> {
    let answer = wire.answer();
    let pb::RecallHolder { member, answer_sequence, delivered, .. } = wire;
    let malformed = |error| VerificationError::answer(format!("a holder: {error}"));
    let is_answer = answer != pb::AcknowledgementAnswer::Unspecified;
    Ok(RecallHolder {
        member: MemberId::from_name(&member).map_err(malformed)?,
        answer: is_answer.then_some(answer),
        answer_sequence,
        delivered,
    })
}

/// What became of answers.
#[derive(Debug, Default)]
pub struct Answered {
    /// How many were published.
    pub published: usize,
    /// Those that the hub refused, but for what was answered before.
    pub refused: Vec<Refused>,
    /// Why they wait in the outbox, if they do. They are sent with the next ones.
    pub waits: Option<ClientError>,
}

/// Answers recalls by what a sink holds.
pub struct Answering {
    client: Client,
    /// Recalls of this epoch below this sequence were listed: what is not on the list was answered.
    epoch: u32,
    listed_below: u64,
    /// Draws the names of answers.
    namespace: Uuid,
    waits: bool,
}

impl Answering {
    /// Sends what waits in the outbox, and lists what is to be answered: what a sink that stands at `place` must
    /// carry out, in batches that leave it there. `None` for members that read no records: they hold none.
    pub async fn start(
        client: &Client,
        place: Option<&Place>,
    ) -> Result<Option<(Self, Vec<Batch>)>, ClientError> {
        if !client.profile().settings().role.reads_bodies() {
            return Ok(None);
        }
        client.resend().await?;
        let answering = Self {
            client: client.clone(),
            epoch: client.welcome().epoch,
            listed_below: client.welcome().checkpoint.size,
            namespace: client.profile().namespace()?,
            waits: false,
        };
        // After the head was said: a recall in between is on both sides, and answered once all the same.
        let open = client.recalls(Recalls::ToAnswer).await?;
        let items = open.iter().filter(|recall| recall.is_to_be_answered());
        let items: Vec<Item> = items.map(|recall| Item::new(&recall.withdrawal)).collect();
        let place = place.cloned().unwrap_or_default();
        let batch = |items: &[Item]| Batch {
            items: items.to_vec(),
            run: Run::Backfill,
            place: place.clone(),
        };
        let epochs = items.chunk_by(|one, next| one.epoch == next.epoch);
        let batches = epochs.flat_map(|items| items.chunks(BATCH_ENTRIES_MAX)).map(batch);
        Ok(Some((answering, batches.collect())))
    }

    /// Answers recalls that were listed at the start and are carried out now.
    pub async fn answer_listed(&mut self, recalls: &[Recall]) -> Result<Answered, ClientError> {
        self.publish(recalls.iter()).await
    }

    /// Answers recalls that came on the stream and are carried out, if they are new.
    pub async fn answer(&mut self, recalls: &[Recall]) -> Result<Answered, ClientError> {
        let (epoch, listed_below) = (self.epoch, self.listed_below);
        let is_new = |recall: &&Recall| {
            let at = &recall.withdrawal;
            at.epoch != epoch || at.sequence >= listed_below
        };
        self.publish(recalls.iter().filter(is_new)).await
    }

    async fn publish(
        &mut self,
        recalls: impl Iterator<Item = &Recall>,
    ) -> Result<Answered, ClientError> {
        let own = self.client.profile().settings().member.clone();
        let (signer, now) = (self.client.signer()?, self.client.now());
        let drafts = recalls.filter_map(|recall| answer(recall, &own, &self.namespace));
        let envelopes =
            drafts.map(|draft| signer.sign(draft, now)).collect::<Result<Vec<_>, _>>()?;
        let mut outcomes = Vec::new();
        let sent = async {
            if std::mem::take(&mut self.waits) {
                outcomes.extend(self.client.resend().await?);
            }
            outcomes.extend(self.client.publish(envelopes).await?);
            Ok::<(), ClientError>(())
        };
        let failed = sent.await.err();
        let mut answered = tally(outcomes);
        match failed {
            Some(error) if error.is_transient() => {
                self.waits = true;
                answered.waits = Some(error);
            }
            Some(error) => return Err(error),
            None => {}
        }
        Ok(answered)
    }
}

impl ListedRecall {
    /// Whether a member answers it without being asked by its own people.
    fn is_to_be_answered(&self) -> bool {
        self.demand_deletion || self.due.is_some()
    }
}

fn tally(outcomes: Vec<Outcome>) -> Answered {
    let mut answered = Answered::default();
    for outcome in outcomes {
        match outcome {
            Outcome::Taken(_receipt) => answered.published += 1,
            // This very answer is there.
            Outcome::Refused(refused) if refused.is(Reason::RevisionConflict) => {}
            Outcome::Refused(refused) => answered.refused.push(*refused),
        }
    }
    answered
}

/// What is answered to a recall; `None` if there is nothing to answer, or it is for people to say.
fn answer(recall: &Recall, own: &MemberId, namespace: &Uuid) -> Option<Draft> {
    let Recall { withdrawal, holding } = recall;
    let answer = match holding {
        Holding::Deleted => pb::AcknowledgementAnswer::Deleted,
        Holding::NotHeld => pb::AcknowledgementAnswer::NotHeld,
        Holding::Held => return None,
    };
    if withdrawal.of.member == *own || !withdrawal.wants_answer {
        return None;
    }
    let record = Uuid::new_v5(namespace, format!("acknowledgement {}", withdrawal.name).as_bytes());
    let of = withdrawal.of.to_string();
    let said = pb::Acknowledgement { of, answer: answer.into(), text: String::new() };
    Some(Draft {
        name: RecordName { member: own.clone(), record },
        previous: None,
        handling: unaddressed(),
        content: pb::body::Content::Acknowledgement(said),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::sink::Withdrawal;
    use crate::client::sink::tests::Maker;
    use crate::client::tests::World;

    fn recall(holding: Holding, wants_answer: bool) -> Recall {
        let name = |id: u128| {
            let member = "acme-video".parse().unwrap();
            RecordName { member, record: Uuid::from_u128(id) }
        };
        let withdrawal = Withdrawal {
            name: name(1),
            epoch: 1,
            sequence: 9,
            of: name(2),
            demand_deletion: wants_answer,
            wants_answer,
        };
        Recall { withdrawal, holding }
    }

    #[track_caller]
    fn check(recall: &Recall, own: &str, expected: Option<pb::AcknowledgementAnswer>) {
        let draft = answer(recall, &own.parse().unwrap(), &Uuid::nil());
        let said = draft.map(|draft| {
            let pb::body::Content::Acknowledgement(said) = draft.content else {
                panic!("{:?}", draft.content);
            };
            said.answer()
        });
        assert_eq!(said, expected, "{recall:?}");
    }

    #[test]
    fn an_answer_follows_from_what_was_held() {
        use pb::AcknowledgementAnswer::Deleted;
        use pb::AcknowledgementAnswer::NotHeld;

        check(&recall(Holding::Deleted, true), "birch-social", Some(Deleted));
        check(&recall(Holding::NotHeld, true), "birch-social", Some(NotHeld));
        check(&recall(Holding::Held, true), "birch-social", None);
        check(&recall(Holding::NotHeld, false), "birch-social", None);
        check(&recall(Holding::Deleted, true), "acme-video", None);
    }

    #[test]
    fn one_recall_has_one_answer_for_each_member() {
        let name = |own: &str, seed: u128, sequence| {
            let mut recall = recall(Holding::Deleted, true);
            recall.withdrawal.sequence = sequence;
            answer(&recall, &own.parse().unwrap(), &Uuid::from_u128(seed)).unwrap().name
        };
        let first = name("birch-social", 1, 9);
        assert_eq!(first, name("birch-social", 1, 12), "at its place of another epoch");
        assert_ne!(first.record, name("birch-social", 2, 9).record);
    }

    fn wire(maker: &Maker, record: &RecordName, demand_deletion: bool) -> (pb::Recall, pb::Entry) {
        let said = pb::Withdrawal {
            of: record.to_string(),
            reason: pb::WithdrawalReason::Error.into(),
            demand_deletion,
            ..pb::Withdrawal::default()
        };
        let content = pb::body::Content::Withdrawal(said);
        let draft = maker.world.draft(&maker.world.acme, content);
        let draft = Draft { handling: unaddressed(), ..draft };
        let entry = World::entry(6, maker.world.acme.sign(draft, maker.world.now).unwrap());
        let holders = vec![pb::RecallHolder {
            member: "members/bravo-net".to_owned(),
            delivered: true,
            ..pb::RecallHolder::default()
        }];
        let recall = pb::Recall {
            record: record.to_string(),
            demand_deletion,
            holders,
            ..pb::Recall::default()
        };
        (recall, entry)
    }

    #[test]
    fn what_is_listed_is_what_the_withdrawal_says() {
        let maker = Maker::new();
        let verifier = maker.world.verifier();
        let record = maker.record();
        let (recall, entry) = wire(&maker, &record, true);
        let withdrawal = verifier.verify(entry).unwrap();
        let good = listed(recall.clone(), withdrawal.clone()).unwrap();
        assert_eq!((&good.record, good.demand_deletion, good.due), (&record, true, None));
        assert_eq!(good.holders[0].answer, None);
        let fails =
            |recall: pb::Recall| listed(recall, withdrawal.clone()).unwrap_err().to_string();
        let other = pb::Recall { record: maker.record().to_string(), ..recall.clone() };
        assert!(fails(other).contains("another record"));
        let milder = pb::Recall { demand_deletion: false, ..recall.clone() };
        assert!(fails(milder).contains("something else"));
        let mut nobody = recall;
        nobody.holders[0].member = "nobody".to_owned();
        assert!(fails(nobody).contains("a holder"));
    }
}
