//! One's own heads: counted from receipts, signed, and put.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::heads::PutHeads;
use crate::client::heads::Seen;
use crate::client::publish::Outcome;
use crate::client::reads::Found;
use crate::client::receipt::Receipt;
use crate::client::subscribe::Delivery;
use crate::client::subscribe::From;
use crate::client::subscribe::Patience;
use crate::client::subscribe::SubscribeOptions;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::handling::Reach;
use crate::model::head::HeadName;
use crate::model::head::HeadScope;
use crate::model::head::PublisherHead;
use crate::model::header::BodyKind;
use crate::model::header::Header;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::KeyId;
use crate::model::names::RecordName;
use crate::model::reason::Reason;
use crate::profile::JournalEntry;
use crate::profile::OwnHead;
use crate::wire;
use crate::wire::head::HEAD_PAYLOAD_TYPE;
use crate::wire::head::Signed;
use crate::wire::head::head_bytes;
use crate::wire::pb;

/// How long a lost hub is waited for while the journal is made anew.
const PATIENCE: Duration = Duration::from_mins(1);

impl Client {
    /// Takes note of receipts, before the outbox lets their records go. A journal that cannot be written is no reason to
    /// say that records were not taken: the hub refuses a head that counts too little, which tells of it. But a hub that takes a
    /// withdrawal must show what it takes back: else the withdrawal would not count, and could be kept from others.
    pub(super) async fn journalise(
        &self,
        batch: &[pb::Envelope],
        outcomes: &[Option<Outcome>],
    ) -> Result<(), ClientError> {
        let (mut taken, mut withdrawn) = (Vec::new(), Vec::new());
        for (envelope, outcome) in batch.iter().zip(outcomes) {
            let Some(Outcome::Taken(receipt)) = outcome else { continue };
            let Some(one) = Counting::of(envelope, receipt) else { continue };
            if one.header.body_kind == BodyKind::Withdrawal {
                withdrawn.extend(withdraws(envelope).map(|of| (one, of)));
            } else {
                taken.extend(one.within_own());
            }
        }
        if !withdrawn.is_empty() {
            let names: Vec<RecordName> = withdrawn.iter().map(|(_one, of)| of.clone()).collect();
            let reaches = Box::pin(self.reaches_of(&names)).await?;
            let counting = withdrawn.into_iter();
            taken.extend(counting.filter_map(|(one, of)| one.within(reaches.get(&of)?)));
            taken.sort_by_key(|one| (one.epoch, one.sequence));
        }
        drop(self.profile().journal().take(&taken));
        Ok(())
    }

    /// Whom the last revisions of one's own records name.
    async fn reaches_of(&self, names: &[RecordName]) -> Result<Reaches, ClientError> {
        let mut reaches = Reaches::new();
        for names in names.chunks(limits::PAGE_ENTRIES_MAX) {
            let found = self.get_all(names.iter().cloned().collect()).await?;
            if let Some(missing) = names.iter().find(|name| !found.contains_key(*name)) {
                let why = format!("it takes the withdrawal of {missing}, and does not show that");
                return Err(VerificationError::answer(why).into());
            }
            let reach = |found: Found| found.entry.header().handling.reach.clone();
            reaches.extend(found.into_iter().map(|(name, found)| (name, reach(found))));
        }
        Ok(reaches)
    }

    /// Signs and puts heads of the profile's signing key: of the scopes in which something has come since the last ones,
    /// or of all. Each says that the next one comes by then.
    pub async fn put_heads(&self, all: bool, due: Duration) -> Result<PutHeads, ClientError> {
        let signer = self.signer()?;
        let key = signer.key().id();
        let journal = self.profile().journal();
        let own = journal.heads(&key)?.into_iter();
        let own: Vec<OwnHead> = own.filter(|head| all || head.counted.count > head.put).collect();
        let seen = if own.is_empty() { Seen::default() } else { self.seen_heads()? };
        let mut outcome = PutHeads::default();
        for own in own {
            let now = self.now();
            let head = PublisherHead {
                exchange: signer.exchange().clone(),
                name: HeadName {
                    publisher: signer.member().clone(),
                    key,
                    scope: own.scope.clone(),
                },
                epoch: own.epoch,
                size: own.size,
                counted: own.counted,
                time: now,
                next_due: now.saturating_add(due),
                seen: seen.in_scope(&own.scope, signer.member()),
            };
            let statement = head_bytes(&head);
            let signature = signer.key().sign(HEAD_PAYLOAD_TYPE, &statement).to_vec();
            let head = Some(Signed { statement, signature }.to_wire());
            let request = pb::PutPublisherHeadRequest { head };
            let put = self.transparency_service().put_publisher_head(request).await;
            match put.map_err(ClientError::from).map_err(about_this_head) {
                Ok(_kept) => outcome.put.push(own),
                Err(Ok(refused)) => outcome.refused.push((own.scope, refused)),
                Err(Err(error)) => {
                    journal.put(&key, &outcome.put)?;
                    return Err(error);
                }
            }
        }
        if !outcome.put.is_empty() {
            journal.put(&key, &outcome.put)?;
        }
        Ok(outcome)
    }

    /// Makes the journal of the signing key anew from the log: what the hub shows of one's own records. What it does not
    /// show is in no receipt any more, so that this is for a journal that is lost, and not for one that the hub disputes.
    /// Tells how many records count.
    pub async fn rebuild_journal(&self) -> Result<usize, ClientError> {
        let key = self.signer()?.key().id();
        let own = self.profile().settings().member.clone();
        let filter = Filter { publishers: std::iter::once(own).collect(), ..Filter::default() };
        let options = SubscribeOptions {
            from: From::Start,
            filter,
            until_head: true,
            patience: Patience::Limited(PATIENCE),
        };
        let mut subscription = self.subscribe(options).await?;
        let (mut entries, mut reaches) = (Vec::new(), Reaches::new());
        while let Some(delivery) = subscription.next().await? {
            if let Delivery::Entries { entries: came, .. } = delivery {
                entries.extend(came.iter().filter_map(|one| of_entry(one, &key, &mut reaches)));
            }
        }
        self.profile().journal().rebuild(&key, &entries)?;
        Ok(entries.len())
    }
}

/// The refusal, if it is about one head, so that those of other scopes may be put all the same.
fn about_this_head(error: ClientError) -> Result<Refused, ClientError> {
    let reasons = [Reason::FieldInvalid, Reason::AudienceForbidden];
    match error {
        ClientError::Refused(refused) if reasons.into_iter().any(|reason| refused.is(reason)) => {
            Ok(*refused)
        }
        ClientError::Refused(_)
        | ClientError::Invalid(_)
        | ClientError::Unverified(_)
        | ClientError::Paper(_)
        | ClientError::Connect(_)
        | ClientError::Unreachable(_)
        | ClientError::Profile(_)
        | ClientError::NewEpoch(_)
        | ClientError::Key(_) => Err(error),
    }
}

/// Whom the last revisions of records name.
type Reaches = BTreeMap<RecordName, Reach>;

fn of_entry(one: &VerifiedEntry, key: &KeyId, reaches: &mut Reaches) -> Option<JournalEntry> {
    let (header, signer) = (one.header(), one.record().key_id);
    let counting = Counting {
        header: header.clone(),
        key: signer,
        epoch: one.epoch(),
        sequence: one.sequence(),
        header_digest: one.header_digest(),
    };
    let entry = if header.body_kind == BodyKind::Withdrawal {
        let of = one.record().content.withdraws().and_then(|of| reaches.get(of));
        of.and_then(|reach| counting.within(reach))
    } else {
        reaches.insert(header.name.clone(), header.handling.reach.clone());
        counting.within_own()
    };
    entry.filter(|_one| signer == *key)
}

/// The record that an envelope takes back.
fn withdraws(envelope: &pb::Envelope) -> Option<RecordName> {
    let record = wire::envelope::record(envelope.clone()).ok()?;
    record.content.withdraws().cloned()
}

/// What may count.
struct Counting {
    header: Header,
    key: KeyId,
    epoch: u32,
    sequence: u64,
    header_digest: Digest,
}

impl Counting {
    fn of(envelope: &pb::Envelope, receipt: &Receipt) -> Option<Self> {
        Some(Self {
            header: wire::header::header(&envelope.payload).ok()?,
            key: envelope.signatures.first()?.keyid.parse().ok()?,
            epoch: receipt.epoch,
            sequence: receipt.sequence,
            header_digest: receipt.header_digest,
        })
    }

    fn within_own(self) -> Option<JournalEntry> {
        let reach = self.header.handling.reach.clone();
        self.within(&reach)
    }

    /// What counts of it in the scopes of a reach, if that names anyone.
    fn within(self, reach: &Reach) -> Option<JournalEntry> {
        let Self { header, key, epoch, sequence, header_digest } = self;
        let scopes = HeadScope::of_reach(reach);
        if scopes.is_empty() || header.body_kind.is_common() {
            return None;
        }
        Some(JournalEntry { key, epoch, sequence, header_digest, scopes })
    }
}
