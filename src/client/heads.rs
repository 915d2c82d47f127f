//! Heads of publishers, held against what the hub lists and against what was seen before.
//!
//! A publisher counts what it has receipts for; the hub signs what it lists. If the two differ, both are kept: whoever is
//! wrong signed it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::error::Refused;
use crate::client::evidence::Exhibit;
use crate::client::received::Received;
use crate::client::verifier::VerificationError;
use crate::client::verifier::Verifier;
use crate::model::head::Counted;
use crate::model::head::HeadName;
use crate::model::head::HeadScope;
use crate::model::head::PublisherHead;
use crate::model::head::SeenHead;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::profile::OwnHead;
use crate::profile::ProfileError;
use crate::signing::VerifyingKey;
use crate::transparency::Checkpoint;
use crate::wire::head::ListingStatement;
use crate::wire::head::Omission;
use crate::wire::head::SeenOtherwise;
use crate::wire::head::Signed;
use crate::wire::pb;

/// When a head says that the next one comes, if nothing else is asked for.
pub const HEAD_DUE_AFTER: Duration = Duration::from_hours(24);
/// Entries of a page.
const PAGE_ENTRIES: u32 = 1000;
/// The same.
const PAGE_MAX: usize = 1000;
/// Within this time a call for heads or listings is answered.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait where a quota is used up and the hub does not say how long.
const QUOTA_PAUSE: Duration = Duration::from_secs(1);
/// Heads that are remembered, and taken from the hub, at most.
const REMEMBERED_MAX: usize = 100_000;

/// What became of one's own heads.
#[derive(Debug, Default)]
pub struct PutHeads {
    /// Kept by the hub.
    pub put: Vec<OwnHead>,
    /// Refused: the hub counts something else.
    pub refused: Vec<(HeadScope, Refused)>,
}

/// A head of a publisher, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedHead {
    /// The head.
    pub head: PublisherHead,
    /// What it was found to be.
    pub state: HeadState,
    /// Whether the next one was due before now: its publisher is silent, or it is held back.
    pub is_overdue: bool,
}

/// How a head and the log go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadState {
    /// The hub has what the publisher counts.
    Held,
    /// The log that was compared ends before what the head counts: it cannot be told yet.
    Behind,
    /// The hub lists something else than the publisher counts.
    Omitted(Box<Omission>),
    /// The hub lists what the publisher counts, and has not sent all of it on a stream that brings everything.
    NotSent(Box<NotSent>),
    /// It tells of another publisher's head that counts something else than the hub lists.
    SeenOtherwise(Box<SeenOtherwise>),
    /// A later head was seen before: the hub shows an old one, or the publisher signed two that cannot both be.
    WentBack(Box<[Signed; 2]>),
}

/// An entry that a publisher counts and the hub lists, and that did not come on a stream without a filter, whose signed
/// marks say that everything came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSent {
    /// What the publisher signed.
    pub head: Signed,
    /// What the hub signed.
    pub listing: Signed,
    /// The first entry that did not come.
    pub sequence: u64,
    /// Its header's digest.
    pub header_digest: Digest,
}

/// What checking every head comes to, for a stream.
#[derive(Debug, Default)]
pub(super) struct DemandedHeads {
    /// Something did not come that should have; whether that is surely so, time says.
    pub(super) is_missed: bool,
    /// The head of the largest log, of those that count more than was compared, with what its publisher signed.
    pub(super) ahead: Option<(PublisherHead, Signed)>,
}

/// Compares what a publisher signed with what the hub did.
pub fn compare_head(head: &PublisherHead, listing: &ListingStatement) -> Option<bool> {
    let is_same = head.name == listing.name && head.exchange == listing.exchange;
    let comparable = is_same && (head.epoch, head.size) == (listing.epoch, listing.size);
    comparable.then_some(head.counted == listing.counted)
}

/// What is remembered of heads that held.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<HeadName, Signed>);

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    heads: Vec<SavedHead>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SavedHead {
    statement: String,
    signature: String,
}

impl Seen {
    fn parse(text: &str) -> Option<Self> {
        let Saved { heads } = serde_json::from_str(text).ok()?;
        let mut seen = BTreeMap::new();
        for SavedHead { statement, signature } in heads {
            let signed = Signed {
                statement: BASE64.decode(statement).ok()?,
                signature: BASE64.decode(signature).ok()?,
            };
            seen.insert(signed.head_unchecked().ok()?.name, signed);
        }
        Some(Self(seen))
    }

    fn to_json(&self) -> String {
        let saved = |signed: &Signed| SavedHead {
            statement: BASE64.encode(&signed.statement),
            signature: BASE64.encode(&signed.signature),
        };
        let heads = self.0.values().map(saved).collect();
        // Texts: there is nothing in it that JSON cannot say.
        serde_json::to_string(&Saved { heads }).unwrap_or_default()
    }

    /// The newest heads of others in a scope, to be told of.
    pub(super) fn in_scope(&self, scope: &HeadScope, but: &MemberId) -> Vec<SeenHead> {
        let others =
            self.0.iter().filter(|(name, _)| name.scope == *scope && name.publisher != *but);
        let mut heads: Vec<PublisherHead> =
            others.filter_map(|(_, signed)| signed.head_unchecked().ok()).collect();
        heads.sort_by_key(|head| std::cmp::Reverse(head.time));
        heads.truncate(limits::HEADS_SEEN_MAX);
        heads.sort_by(|one, other| one.name.cmp(&other.name));
        let seen = |head: PublisherHead| SeenHead {
            publisher: head.name.publisher,
            key: head.name.key,
            epoch: head.epoch,
            size: head.size,
            counted: head.counted,
        };
        heads.into_iter().map(seen).collect()
    }

    /// A head that held before, bit for bit.
    fn same(&self, signed: &Signed) -> Option<PublisherHead> {
        let head = signed.head_unchecked().ok()?;
        (self.0.get(&head.name) == Some(signed)).then_some(head)
    }

    fn head(&self, name: &HeadName) -> Option<PublisherHead> {
        self.0.get(name)?.head_unchecked().ok()
    }
}

impl Client {
    /// Holds every head of a publisher, or of all, against what the hub lists. One that was found to hold before and has
    /// not changed costs nothing but its bytes.
    pub async fn check_heads(
        &self,
        publisher: Option<&MemberId>,
    ) -> Result<Vec<CheckedHead>, ClientError> {
        let mut ahead = None;
        self.check_heads_with(publisher, (None, &mut ahead)).await
    }

    /// The same, against what came on a stream, too, which holds each head against that once. `ahead` is the head of the
    /// largest log, of those that count more than was compared.
    async fn check_heads_with(
        &self,
        publisher: Option<&MemberId>,
        with: (Option<&mut Received>, &mut Option<(PublisherHead, Signed)>),
    ) -> Result<Vec<CheckedHead>, ClientError> {
        let (mut seen, mut is_changed) = (self.seen_heads()?, false);
        let checked = self.check_listed(publisher, with, (&mut seen, &mut is_changed)).await;
        // A check that is cut off, by a quota as a rule, goes on from here the next time.
        if is_changed {
            self.profile().save_heads(&seen.to_json())?;
        }
        checked
    }

    async fn check_listed(
        &self,
        publisher: Option<&MemberId>,
        (mut received, ahead): (Option<&mut Received>, &mut Option<(PublisherHead, Signed)>),
        // Read before the heads are listed: what another check sees meanwhile is later than these.
        (seen, is_changed): (&mut Seen, &mut bool),
    ) -> Result<Vec<CheckedHead>, ClientError> {
        let listed = self.list_heads(publisher).await?;
        let mut checked = Vec::with_capacity(listed.len());
        let (mut verifier, mut told) = (None, Vec::new());
        for signed in listed {
            let same = seen.same(&signed);
            let is_known = same.is_some();
            let has_compared =
                |head: &PublisherHead| received.as_ref().is_none_or(|it| it.has_compared(head));
            if let Some(head) = same.filter(has_compared) {
                let is_overdue = head.next_due < self.now();
                checked.push(CheckedHead { head, state: HeadState::Held, is_overdue });
                continue;
            }
            let verifier = match &verifier {
                Some(verifier) => verifier,
                None => verifier.insert(self.roster().await?),
            };
            let head = self.open_head(verifier, &signed)?;
            let with = (&*seen, received.as_deref_mut());
            let state = self.check_head(&head, &signed, with).await?;
            if state == HeadState::Behind
                && ahead.as_ref().is_none_or(|(largest, _signed)| largest.size < head.size)
            {
                *ahead = Some((head.clone(), signed.clone()));
            }
            if state == HeadState::Held && seen.0.len() < REMEMBERED_MAX {
                let before = seen.0.insert(head.name.clone(), signed.clone());
                *is_changed |= before.as_ref() != Some(&signed);
            }
            let tells = !is_known && !head.seen.is_empty();
            told.extend(tells.then_some((checked.len(), signed)));
            let is_overdue = head.next_due < self.now();
            checked.push(CheckedHead { head, state, is_overdue });
        }
        // Behind all others, which may be newer than what is told of them.
        for (place, signed) in told {
            let Some(one) = checked.get_mut(place) else { continue };
            if one.state == HeadState::Held
                && let Some(otherwise) = self.check_told(&one.head, signed, seen).await?
            {
                seen.0.remove(&one.head.name);
                one.state = HeadState::SeenOtherwise(Box::new(otherwise));
            }
        }
        Ok(checked)
    }

    /// The same for a stream, which only goes on if every head holds: what is wrong is an error, with its evidence kept.
    pub(super) async fn demand_heads(
        &self,
        received: Option<&mut Received>,
        is_surely_missed: bool,
    ) -> Result<DemandedHeads, ClientError> {
        let mut demanded = DemandedHeads::default();
        let checked = self.check_heads_with(None, (received, &mut demanded.ahead)).await?;
        for CheckedHead { head, state, .. } in &checked {
            let (why, exhibits) = match state {
                HeadState::Held | HeadState::Behind => continue,
                HeadState::Omitted(omission) => {
                    (omitted(head, omission), [&omission.head, &omission.listing])
                }
                HeadState::NotSent(_) if !is_surely_missed => {
                    demanded.is_missed = true;
                    continue;
                }
                HeadState::NotSent(missed) => {
                    (not_sent(head, missed), [&missed.head, &missed.listing])
                }
                HeadState::SeenOtherwise(otherwise) => {
                    (seen_otherwise(head), [&otherwise.head, &otherwise.listing])
                }
                HeadState::WentBack(both) => {
                    let [earlier, later] = &**both;
                    (went_back(head), [earlier, later])
                }
            };
            if let HeadState::Omitted(omission) = state {
                let mut proof = self.roster_exhibits().await;
                proof.push(Exhibit::publisher_head(&omission.head));
                proof.push(Exhibit::listing(&omission.listing));
                let error = VerificationError::answer(why);
                return Err(self.keep_evidence(error, proof, None).await.into());
            }
            let exhibits = exhibits.into_iter().flat_map(|signed| {
                [
                    Exhibit::received("a statement", &signed.statement),
                    Exhibit::received("its signature", &signed.signature),
                ]
            });
            let error = VerificationError::answer(why);
            return Err(self.keep_evidence(error, exhibits.collect(), None).await.into());
        }
        Ok(demanded)
    }

    /// Holds a head that came from elsewhere, from its publisher or from another member, against what the hub lists. It
    /// must be of a scope that this member is in.
    pub async fn check_given_head(&self, signed: &Signed) -> Result<CheckedHead, ClientError> {
        let verifier = self.roster().await?;
        let head = self.open_head(&verifier, signed)?;
        let nothing = Seen::default();
        let mut state = self.check_head(&head, signed, (&nothing, None)).await?;
        if state == HeadState::Held
            && let Some(otherwise) = self.check_told(&head, signed.clone(), &nothing).await?
        {
            state = HeadState::SeenOtherwise(Box::new(otherwise));
        }
        let is_overdue = head.next_due < self.now();
        Ok(CheckedHead { head, state, is_overdue })
    }

    /// What publishers have signed, as the hub lists it, not checked.
    pub async fn list_heads(
        &self,
        publisher: Option<&MemberId>,
    ) -> Result<Vec<Signed>, ClientError> {
        let mut service = self.transparency_service();
        let (mut heads, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListPublisherHeadsRequest {
                publisher: publisher.map(MemberId::name).unwrap_or_default(),
                page_size: PAGE_ENTRIES,
                page_token,
            };
            let page = in_time(service.list_publisher_heads(request)).await?;
            if page.heads.is_empty() && !page.next_page_token.is_empty() {
                return Err(VerificationError::answer("a page of heads is empty").into());
            }
            heads.extend(page.heads.into_iter().map(Signed::from_wire));
            if heads.len() > REMEMBERED_MAX {
                return Err(VerificationError::answer("its heads have no end").into());
            }
            if page.next_page_token.is_empty() {
                return Ok(heads);
            }
            page_token = page.next_page_token;
        }
    }

    pub(super) fn seen_heads(&self) -> Result<Seen, ClientError> {
        let Some(text) = self.profile().heads()? else { return Ok(Seen::default()) };
        let malformed = || ProfileError::Malformed {
            path: self.profile().folder().join("heads.json"),
            why: "it does not hold signed heads; without it they are checked from the beginning"
                .to_owned(),
        };
        Ok(Seen::parse(&text).ok_or_else(malformed)?)
    }

    /// A head that is signed by a key of its publisher.
    fn open_head(
        &self,
        verifier: &Verifier,
        signed: &Signed,
    ) -> Result<PublisherHead, VerificationError> {
        let refused = |refusal: Refusal| {
            VerificationError::answer(format!("a head does not hold: {}", refusal.message))
        };
        let claimed = signed.head_unchecked().map_err(refused)?;
        let key = verifier
            .roster()
            .key(&claimed.name.key)
            .filter(|key| key.member == claimed.name.publisher && key.key_use == KeyUse::Signing);
        let key = key.and_then(|key| VerifyingKey::from_spki(&key.spki).ok());
        let key = key.ok_or_else(|| {
            let publisher = &claimed.name.publisher;
            VerificationError::answer(format!("a head is not signed by a key of {publisher}"))
        })?;
        let head = signed.head(&key).map_err(refused)?;
        if head.exchange != *self.pin().exchange() {
            return Err(VerificationError::answer("a head is of another exchange"));
        }
        Ok(head)
    }

    /// Holds a head that is new against the one before it, and against what the hub lists.
    async fn check_head(
        &self,
        head: &PublisherHead,
        signed: &Signed,
        (seen, mut received): (&Seen, Option<&mut Received>),
    ) -> Result<HeadState, ClientError> {
        if head.size == 0 {
            // It counts nothing, and there is nothing to list.
            return Ok(HeadState::Held);
        }
        let before = seen.head(&head.name);
        if let Some(before) = &before
            && !head.may_follow(before)
        {
            let earlier = seen.0.get(&head.name).cloned();
            let both = earlier.map(|earlier| Box::new([earlier, signed.clone()]));
            return Ok(both.map_or(HeadState::Behind, HeadState::WentBack));
        }
        if received.as_ref().is_some_and(|received| !received.reaches(head.size)) {
            // It is asked for again when the stream has come so far.
            return Ok(HeadState::Behind);
        }
        let newest = self.newest_checkpoint().filter(|newest| newest.epoch == head.epoch);
        if newest.is_none_or(|newest| newest.size < head.size) && !self.reaches(head).await? {
            return Ok(HeadState::Behind);
        }
        // What held before is not listed again, but for what must be held against what came.
        let before = before.filter(|before| before.epoch == head.epoch);
        let before = before.map(|before| (before.size, before.counted));
        let from = match &received {
            Some(received) => received.begin_listing(head, before),
            None => before.unwrap_or_default(),
        };
        let mut missed = None;
        let mut each = |sequence: u64, digest: &Digest| {
            let lacks = |received: &&mut Received| received.misses(head.epoch, sequence, digest);
            let is_missed = received.as_ref().is_some_and(lacks);
            if is_missed && missed.is_none() {
                missed = Some((sequence, *digest));
            }
        };
        let (listing, statement) = self.listing(head, from, &mut each).await?;
        let compared = compare_head(head, &statement);
        let compared = compared.ok_or_else(|| VerificationError::answer(OTHER_LISTING))?;
        if let (true, Some((sequence, header_digest))) = (compared, missed) {
            let head = signed.clone();
            let missed = NotSent { head, listing, sequence, header_digest };
            return Ok(HeadState::NotSent(Box::new(missed)));
        }
        if compared {
            if let Some(received) = &mut received {
                received.compare(head);
            }
            return Ok(HeadState::Held);
        }
        let omission = Omission { head: signed.clone(), listing };
        Ok(HeadState::Omitted(Box::new(omission)))
    }

    /// Holds what a head tells of others' heads against what the hub lists: of those for which it shows no head as new.
    async fn check_told(
        &self,
        head: &PublisherHead,
        signed: Signed,
        seen: &Seen,
    ) -> Result<Option<SeenOtherwise>, ClientError> {
        for told in &head.seen {
            let name = told.name_in(&head.name.scope);
            let own = seen.head(&name).filter(|own| own.epoch == told.epoch);
            let counts = told.epoch == head.epoch && told.size > 0;
            if !counts || own.as_ref().is_some_and(|own| own.size > told.size) {
                continue;
            }
            let named = PublisherHead {
                name,
                size: told.size,
                counted: told.counted,
                seen: Vec::new(),
                ..head.clone()
            };
            if !self.reaches(&named).await? {
                continue;
            }
            let from = own.map(|own| (own.size, own.counted)).unwrap_or_default();
            let (listing, statement) = self.listing(&named, from, &mut |_, _| ()).await?;
            if compare_head(&named, &statement) == Some(false) {
                return Ok(Some(SeenOtherwise { head: signed, listing }));
            }
        }
        Ok(None)
    }

    /// Whether the log has grown to what a head counts.
    async fn reaches(&self, head: &PublisherHead) -> Result<bool, ClientError> {
        let checkpoint = self.follow_newest().await?;
        Ok(checkpoint.epoch == head.epoch && checkpoint.size >= head.size)
    }

    /// What the hub lists below a head's size, and signs. `from` is what was counted before.
    async fn listing(
        &self,
        head: &PublisherHead,
        from: (u64, Counted),
        each: &mut (dyn FnMut(u64, &Digest) + Send),
    ) -> Result<(Signed, ListingStatement), ClientError> {
        let (mut start, mut counted) = from;
        let wrong = || ClientError::from(VerificationError::answer(OTHER_LISTING));
        loop {
            let asked = start;
            let page = self.listing_page(head, asked).await?;
            let count = page.entries.len();
            let taken = take_page(page.entries, (asked, head.size), &mut counted, each);
            start = taken.ok_or_else(wrong)?;
            if let Some(listing) = page.listing {
                let listing = Signed::from_wire(listing);
                let statement = self.open_listing(&listing, &counted).ok_or_else(wrong)?;
                self.demand_listed(&statement).await?;
                return Ok((listing, statement));
            }
            let next = Some(page.next_sequence).filter(|next| *next >= start && *next < head.size);
            let next = next.filter(|next| goes_on(count, (asked, *next)));
            start = next.ok_or_else(wrong)?;
        }
    }

    async fn listing_page(
        &self,
        head: &PublisherHead,
        start_sequence: u64,
    ) -> Result<pb::ListPublisherEntriesResponse, ClientError> {
        let request = pb::ListPublisherEntriesRequest {
            publisher: head.name.publisher.name(),
            key: head.name.key.to_string(),
            scope: head.name.scope.to_string(),
            start_sequence,
            size: head.size,
            page_size: PAGE_ENTRIES,
        };
        let begun = Instant::now();
        loop {
            let mut service = self.transparency_service();
            let page = in_time(service.list_publisher_entries(request.clone())).await;
            // A long list takes more than a member may ask at once: what was counted stays.
            match page {
                Err(error)
                    if error.is_refusal(Reason::Quota) && begun.elapsed() < ANSWERED_WITHIN =>
                {
                    let pause = error.retry_after().unwrap_or(QUOTA_PAUSE);
                    tokio::time::sleep(pause.min(ANSWERED_WITHIN)).await;
                }
                answered => return answered,
            }
        }
    }

    /// What the hub signs that it has listed to this member, if that is what came.
    fn open_listing(&self, listing: &Signed, came: &Counted) -> Option<ListingStatement> {
        let log_keys = self.log_keys().load();
        let statement = listing.listing(log_keys.current().verifying()).ok()?;
        let is_own = statement.exchange == *self.pin().exchange()
            && statement.member == self.profile().settings().member
            && statement.counted == *came;
        is_own.then_some(statement)
    }

    /// Demands that a listing is of the log that this client follows.
    async fn demand_listed(&self, listing: &ListingStatement) -> Result<(), ClientError> {
        let newest = self.newest_checkpoint();
        let Some(newest) = newest.filter(|newest| newest.size >= listing.size) else {
            return Ok(());
        };
        // It says nothing of the roster.
        let ListingStatement { epoch, size, root, .. } = *listing;
        let listed = Checkpoint { epoch, size, root, roster: newest.roster };
        let grown = self.demand_growth(&listed, &newest).await?;
        grown.map_err(|deviation| VerificationError::deviation(deviation).into())
    }
}

/// A hub that never answers must not make a stream stand still.
async fn in_time<T>(
    call: impl Future<Output = Result<tonic::Response<T>, tonic::Status>> + Send,
) -> Result<T, ClientError> {
    let silent = || ClientError::Unreachable("it does not answer for publishers' heads".to_owned());
    let answer = tokio::time::timeout(ANSWERED_WITHIN, call).await.map_err(|_silence| silent())?;
    Ok(answer?.into_inner())
}

/// Whether a page that is not the last goes as far as one must, so that a list ends after so many calls: it has all the
/// entries that were asked for, or so many places were looked at for fewer.
fn goes_on(count: usize, (asked, next): (u64, u64)) -> bool {
    let examined = u64::try_from(limits::PAGE_EXAMINED_MAX).unwrap_or(u64::MAX);
    count == PAGE_MAX || next.saturating_sub(asked) >= examined
}

/// Counts the entries of a page, which rise from a place on and stay below a size; the place behind them.
fn take_page(
    entries: Vec<pb::PublisherEntry>,
    (mut start, size): (u64, u64),
    counted: &mut Counted,
    each: &mut (dyn FnMut(u64, &Digest) + Send),
) -> Option<u64> {
    if entries.len() > PAGE_MAX {
        return None;
    }
    for entry in entries {
        let digest = entry.header_digest.try_into().ok()?;
        if !(start..size).contains(&entry.sequence) {
            return None;
        }
        start = entry.sequence.saturating_add(1);
        counted.take(entry.sequence, &digest);
        each(entry.sequence, &digest);
    }
    Some(start)
}

const OTHER_LISTING: &str =
    "what it lists of a publisher's entries is not what it signs, or not what was asked for";

fn omitted(head: &PublisherHead, omission: &Omission) -> String {
    let listed = ListingStatement::from_bytes(&omission.listing.statement);
    let listed = listed.map(|listing| listing.counted.count).unwrap_or_default();
    let HeadName { publisher, scope, .. } = &head.name;
    let (size, count) = (head.size, head.counted.count);
    format!(
        "{publisher} signed that it has {count} entries for {scope} below {size}, and the hub signed that it has \
         {listed} of them: entries were left out, or {publisher} counts what it has no receipts for"
    )
}

fn not_sent(head: &PublisherHead, missed: &NotSent) -> String {
    let HeadName { publisher, scope, .. } = &head.name;
    format!(
        "the entry at sequence {} of {publisher} for {scope} did not come on a stream whose marks say that all came",
        missed.sequence
    )
}

fn seen_otherwise(head: &PublisherHead) -> String {
    let HeadName { publisher, scope, .. } = &head.name;
    format!(
        "{publisher} signed that it has checked a head of another member for {scope}, and the hub lists other entries: \
         some were left out here, or {publisher} tells what it has not seen"
    )
}

fn went_back(head: &PublisherHead) -> String {
    let HeadName { publisher, scope, .. } = &head.name;
    format!(
        "{publisher} signed a later head for {scope} than the one that the hub shows now: it was put back, or \
         {publisher} signed two that cannot both be"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::names::ExchangeName;
    use crate::model::names::KeyId;
    use crate::model::time::Timestamp;
    use crate::wire::head::head_bytes;

    fn head(size: u64, count: u64) -> PublisherHead {
        PublisherHead {
            exchange: ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap(),
            name: HeadName {
                publisher: "acme-video".parse().unwrap(),
                key: KeyId::of_spki(b"key"),
                scope: "audiences/companies".parse().unwrap(),
            },
            epoch: 1,
            size,
            counted: Counted { count, digest: [u8::try_from(count).unwrap(); 32] },
            time: Timestamp::default(),
            next_due: Timestamp::MAX,
            seen: Vec::new(),
        }
    }

    fn listing(head: &PublisherHead) -> ListingStatement {
        ListingStatement {
            exchange: head.exchange.clone(),
            member: "birch-social".parse().unwrap(),
            name: head.name.clone(),
            epoch: head.epoch,
            size: head.size,
            root: [3; 32],
            counted: head.counted,
            time: Timestamp::default(),
        }
    }

    #[test]
    fn a_head_is_compared_with_a_listing_of_the_same_entries_only() {
        let head = head(12, 3);
        let same = listing(&head);
        assert_eq!(compare_head(&head, &same), Some(true));
        let fewer =
            ListingStatement { counted: Counted { count: 2, digest: [9; 32] }, ..same.clone() };
        assert_eq!(compare_head(&head, &fewer), Some(false));
        let scope = "audiences/all".parse().unwrap();
        for other in [
            ListingStatement { size: 13, ..same.clone() },
            ListingStatement { epoch: 2, ..same.clone() },
            ListingStatement { name: HeadName { scope, ..head.name.clone() }, ..same },
        ] {
            assert_eq!(compare_head(&head, &other), None);
        }
    }

    #[test]
    fn a_page_that_is_not_the_last_is_full_or_goes_far() {
        assert!(goes_on(PAGE_MAX, (5, 5 + 1000)));
        assert!(goes_on(0, (5, 10_005)), "the hub looked at so many places");
        assert!(!goes_on(PAGE_MAX - 1, (5, 10_004)));
        assert!(!goes_on(1, (5, 6)), "one entry a call would take for ever");
        assert!(!goes_on(0, (5, 5)) && !goes_on(0, (5, 4)));
        let entries = |count: u64| {
            let entry = |sequence| pb::PublisherEntry { sequence, header_digest: vec![0; 32] };
            (0..count).map(entry).collect::<Vec<_>>()
        };
        let take = |entries| take_page(entries, (0, 5000), &mut Counted::default(), &mut |_, _| ());
        assert_eq!(take(entries(1000)), Some(1000));
        assert_eq!(take(entries(1001)), None, "more than was asked for");
    }

    #[test]
    fn heads_that_were_seen_survive_their_file() {
        let signed = Signed { statement: head_bytes(&head(12, 3)), signature: vec![4; 64] };
        let mut seen = Seen::default();
        seen.0.insert(head(12, 3).name, signed);
        let again = Seen::parse(&seen.to_json()).unwrap();
        assert_eq!(again.0, seen.0);
        assert_eq!(again.head(&head(12, 3).name), Some(head(12, 3)));
        assert!(Seen::parse("{}").is_none());
    }
}
