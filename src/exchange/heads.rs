//! Publisher heads: what a publisher may put, what others may see of it, and the listings that they are held against.
//!
//! What the hub counts of a publisher's entries is what it knew of the head before, and the entries since: a head costs
//! what is new.

use std::ops::ControlFlow;

use uuid::Uuid;

use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::testimony::KeptHead;
use crate::exchange::testimony::Said;
use crate::exchange::testimony::demand_follows;
use crate::exchange::token;
use crate::exchange::turns::Halt;
use crate::model::head::Counted;
use crate::model::head::HeadName;
use crate::model::head::HeadScope;
use crate::model::head::PublisherHead;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::KeyId;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::Sequence;
use crate::model::names::sha256;
use crate::model::policy::Reader;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::roster::KeyUse;
use crate::model::roster::Roster;
use crate::signing::VerifyingKey;
use crate::store::COARSE_SEQUENCES;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::transparency::proof;
use crate::wire;
use crate::wire::head::ListingStatement;
use crate::wire::head::Signed;

/// Postings that are read at once.
const POSTINGS_READ: usize = 256;

/// A page of a publisher's entries.
#[derive(Debug)]
pub struct PublisherEntries {
    /// Place and header digest of each, rising.
    pub entries: Vec<(u64, Digest)>,
    /// Where the next page begins.
    pub next: Option<u64>,
    /// With the last page: what the hub signs that it has.
    pub listing: Option<Signed>,
}

/// Which entries, and how many at once.
#[derive(Clone, Debug)]
pub struct EntriesQuery {
    /// Whose.
    pub name: HeadName,
    /// The first place.
    pub start: u64,
    /// Entries below this place; `None`: below the head.
    pub size: Option<u64>,
    /// At most so many.
    pub page_size: usize,
}

impl Hub {
    /// Keeps a head of the caller's.
    pub async fn put_head(&self, member: &MemberId, signed: Signed) -> Result<(), ExchangeError> {
        self.reader(member)?;
        self.take_lookups(member, 1)?;
        let head = self.judge_head(member, &signed)?;
        let kept = self.testimony.head(&head.name);
        if let Some(kept) = &kept {
            demand_follows(&head, &kept.head)?;
        }
        let counted = self.demand_true(member, &head, kept.as_ref()).await?;
        self.testify(Said::Head(Box::new(KeptHead { head, signed, counted }))).await
    }

    /// Heads of a publisher, or of all, in scopes that the caller is in, page by page.
    pub fn heads(
        &self,
        member: &MemberId,
        publisher: Option<&MemberId>,
        (page_size, page_token): (usize, &str),
    ) -> Result<(Vec<Signed>, String), Refusal> {
        let reader = self.reader(member)?;
        self.take_lookups(member, 1)?;
        let after = token::named(page_token, name_of)?;
        let is_shown = |name: &HeadName| {
            publisher.is_none_or(|publisher| name.publisher == *publisher)
                && name.scope.is_open_to(&reader, &name.publisher)
        };
        let wanted = page_size.saturating_add(1);
        let mut found = self.testimony.heads(is_shown, after.as_ref(), wanted);
        let more = found.len() > page_size;
        found.truncate(page_size);
        let last = found.last().filter(|_last| more).map(|last| token_of(&last.head.name));
        let heads = found.into_iter().map(|kept| kept.signed).collect();
        Ok((heads, last.unwrap_or_default()))
    }

    /// Entries of a publisher in a scope that the caller is in.
    pub async fn publisher_entries(
        &self,
        member: &MemberId,
        query: EntriesQuery,
    ) -> Result<PublisherEntries, ExchangeError> {
        let reader = self.reader(member)?;
        let EntriesQuery { name, start, size, page_size } = query;
        demand_open(&reader, &name)?;
        self.take_lookups(member, 1)?;
        let head = self.head();
        let size = size.unwrap_or(head.size);
        if size > head.size {
            let message = format!("must be at most {}", head.size);
            return Err(Refusal::field(Reason::FieldInvalid, "size", message).into());
        }
        let known = self.known(&name, head.epoch, size);
        let wanted = name.clone();
        let read = move |store: &Store, halt: &Halt| {
            let mut page = Page { entries: Vec::new(), maximum: page_size, next: None };
            let mut budget = limits::PAGE_EXAMINED_MAX;
            let walk = Walk { store, halt, name: &wanted };
            let tired = walk
                .over(start..size, &mut budget, |sequence, digest| page.take(sequence, digest))?;
            page.next = page.next.or(tired);
            if page.next.is_some() {
                return Ok((page, None));
            }
            let (from, mut counted) = known;
            let mut unbounded = usize::MAX;
            walk.over(from..size, &mut unbounded, |sequence, digest| {
                counted.take(sequence, &digest);
                true
            })?;
            let root = proof::frontier(&store.tree(), size)?.root();
            Ok((page, Some((counted, root))))
        };
        let (page, listed) = self.read(Some(member), read).await?;
        let statement = listed.map(|(counted, root)| ListingStatement {
            exchange: self.exchange.clone(),
            member: member.clone(),
            name,
            epoch: head.epoch,
            size,
            root,
            counted,
            time: self.clock().now(),
        });
        Ok(PublisherEntries {
            entries: page.entries,
            next: page.next,
            listing: statement.map(|statement| self.sign_listing(&statement)),
        })
    }

    /// What was counted before, below a size.
    fn known(&self, name: &HeadName, epoch: u32, size: u64) -> (u64, Counted) {
        let kept = self
            .testimony
            .head(name)
            .filter(|kept| kept.counted && kept.head.epoch == epoch && kept.head.size <= size);
        kept.map(|kept| (kept.head.size, kept.head.counted)).unwrap_or_default()
    }

    /// Demands of a head everything that needs no look into the log.
    fn judge_head(&self, member: &MemberId, signed: &Signed) -> Result<PublisherHead, Refusal> {
        let refuse = |reason, field, message: &str| Err(Refusal::field(reason, field, message));
        let claimed = signed.head_unchecked()?;
        if claimed.exchange != self.exchange {
            return refuse(Reason::WrongExchange, "head.exchange", "it is for another exchange");
        }
        if claimed.name.publisher != *member {
            let message = "a head is put by the member whose entries it is about";
            return refuse(Reason::SignerIsNotCaller, "head.member", message);
        }
        let (roster, place) = (self.roster(), self.head());
        let key = current_key(&roster, &claimed.name, Sequence(place.size))?;
        let head = signed.head(&key)?;
        demand_addressed(&roster, &head.name)?;
        if head.epoch != place.epoch {
            return refuse(Reason::FieldInvalid, "head.epoch", "it is of another epoch");
        }
        if head.size == 0 {
            return refuse(Reason::FieldInvalid, "head.size", "it is of an empty log");
        }
        if head.size > place.size {
            return refuse(Reason::FieldInvalid, "head.size", "it is larger than the log");
        }
        let latest = self.clock().now().saturating_add(limits::CREATE_TIME_AHEAD_MAX);
        if head.time > latest {
            return refuse(Reason::ClockSkew, "head.time", "it is ahead of the hub's clock");
        }
        if head.next_due.saturating_since(head.time) > limits::HEAD_DUE_MAX {
            let message = "the next head must be due within 31 days";
            return refuse(Reason::FieldInvalid, "head.next_due_time", message);
        }
        Ok(head)
    }

    /// Demands that a head counts what the hub counts; whether that could be told. What the head before counted is not
    /// counted again.
    async fn demand_true(
        &self,
        member: &MemberId,
        head: &PublisherHead,
        kept: Option<&KeptHead>,
    ) -> Result<bool, ExchangeError> {
        let (from, mut counted) = self.known(&head.name, head.epoch, head.size);
        if from == 0 && kept.is_some_and(|kept| !kept.counted && kept.head.epoch == head.epoch) {
            // It was more than is counted at once then, and is more now.
            return Ok(false);
        }
        let (name, size) = (head.name.clone(), head.size);
        let count = move |store: &Store, halt: &Halt| {
            let mut budget = limits::HEAD_EXAMINED_MAX;
            let walk = Walk { store, halt, name: &name };
            let tired = walk.over(from..size, &mut budget, |sequence, digest| {
                counted.take(sequence, &digest);
                true
            })?;
            Ok(tired.is_none().then_some(counted))
        };
        let Some(counted) = self.read(Some(member), count).await? else { return Ok(false) };
        if counted == head.counted {
            return Ok(true);
        }
        let Counted { count, .. } = counted;
        let message = format!("below {size} the hub has {count} entries of this key and scope");
        let field = if count == head.counted.count { "head.digest" } else { "head.count" };
        Err(Refusal::field(Reason::FieldInvalid, field, message).with("count", count).into())
    }
}

/// Demands that a reader is in a scope. One that is not there and one that is not for the reader are answered alike.
fn demand_open(reader: &Reader, name: &HeadName) -> Result<(), Refusal> {
    // A publisher is told nothing by this of an audience that it is not in: it lists its own entries alone.
    if name.scope.is_open_to(reader, &name.publisher) {
        return Ok(());
    }
    let message = "there is no such scope, or you are not in it";
    Err(Refusal::field(Reason::AudienceForbidden, "scope", message))
}

/// A publisher's own key, as long as it signs.
fn current_key(roster: &Roster, name: &HeadName, place: Sequence) -> Result<VerifyingKey, Refusal> {
    let key = roster.key(&name.key).filter(|key| {
        key.member == name.publisher && key.key_use == KeyUse::Signing && key.is_valid_at(place)
    });
    let key = key.and_then(|key| VerifyingKey::from_spki(&key.spki).ok());
    key.ok_or_else(|| {
        let message = "it is not a signing key of yours that is valid now";
        Refusal::field(Reason::KeyNotValid, "head.key", message)
    })
}

/// Demands that a publisher may address a scope.
fn demand_addressed(roster: &Roster, name: &HeadName) -> Result<(), Refusal> {
    let may = match &name.scope {
        HeadScope::Recipient(_) => true,
        HeadScope::Audience(audience) => {
            audience.is_built_in() || roster.audiences.contains(audience, &name.publisher)
        }
    };
    if may {
        return Ok(());
    }
    let message = "the audience does not exist, or is not yours to address";
    Err(Refusal::field(Reason::AudienceForbidden, "head.scope", message))
}

/// A page while it is filled.
struct Page {
    entries: Vec<(u64, Digest)>,
    maximum: usize,
    next: Option<u64>,
}

impl Page {
    /// Takes an entry; whether there may be more.
    fn take(&mut self, sequence: u64, digest: Digest) -> bool {
        if self.entries.len() >= self.maximum {
            self.next = Some(sequence);
            return false;
        }
        self.entries.push((sequence, digest));
        true
    }
}

/// A walk over the entries of one publisher, key and scope.
struct Walk<'a> {
    store: &'a Store,
    halt: &'a Halt,
    name: &'a HeadName,
}

impl Walk<'_> {
    /// Hands out what lies in a range, rising, until it is not wanted; the place where the budget ended.
    fn over(
        &self,
        range: std::ops::Range<u64>,
        budget: &mut usize,
        mut take: impl FnMut(u64, Digest) -> bool,
    ) -> Result<Option<u64>, StoreError> {
        let term = Term::publisher(&self.name.publisher);
        let group = match &self.name.scope {
            HeadScope::Audience(audience) => Group::of_audience(audience),
            HeadScope::Recipient(member) => Group::of_member(member),
        };
        let mut next = range.start;
        while next < range.end {
            self.halt.check()?;
            let aligned = next - next % COARSE_SEQUENCES;
            let places = self.store.find_term(term, group, aligned, POSTINGS_READ)?;
            let is_last = places.len() < POSTINGS_READ;
            let walked = self.groups(&places, (&mut next, range.end), budget, &mut take)?;
            if let ControlFlow::Break(at) = walked {
                return Ok(at);
            }
            if is_last {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The same for what some postings stand for, from a place on, which moves on with it.
    fn groups(
        &self,
        places: &[u64],
        (next, limit): (&mut u64, u64),
        budget: &mut usize,
        take: &mut impl FnMut(u64, Digest) -> bool,
    ) -> Result<ControlFlow<Option<u64>>, StoreError> {
        for place in places {
            let end = place.saturating_add(COARSE_SEQUENCES).min(limit);
            let walked = self.through((*next).max(*place)..end, budget, take)?;
            if walked.is_break() {
                return Ok(walked);
            }
            *next = end.max(*next);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The same for every place of a range.
    fn through(
        &self,
        range: std::ops::Range<u64>,
        budget: &mut usize,
        take: &mut impl FnMut(u64, Digest) -> bool,
    ) -> Result<ControlFlow<Option<u64>>, StoreError> {
        let mut block = None;
        for sequence in range {
            let Some(left) = budget.checked_sub(1) else {
                return Ok(ControlFlow::Break(Some(sequence)));
            };
            *budget = left;
            let found = self.at(sequence, &mut block)?;
            if found.is_some_and(|digest| !take(sequence, digest)) {
                return Ok(ControlFlow::Break(None));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The header digest of the entry at a place, if it is one of those.
    fn at(
        &self,
        sequence: u64,
        block: &mut Option<LogBlock>,
    ) -> Result<Option<Digest>, StoreError> {
        if block.as_ref().is_none_or(|block| block.at(sequence).is_none()) {
            *block = self.store.block_at(sequence)?;
        }
        let found = block.as_ref().and_then(|block| Some((block, block.at(sequence)?)));
        let Some((block, stored)) = found else { return Ok(None) };
        let scope = &stored.facts.scope;
        if scope.publisher != self.name.publisher || !self.name.scope.is_in(&scope.reach) {
            return Ok(None);
        }
        let entry = entries::decode(block, stored)?;
        let envelope = entry.envelope.unwrap_or_default();
        let key: Option<KeyId> =
            envelope.signatures.first().and_then(|signature| signature.keyid.parse().ok());
        if key != Some(self.name.key) {
            return Ok(None);
        }
        let damaged = || StoreError::corrupt(format!("sequence {sequence}"), "it has no header");
        let header = wire::header::header(&envelope.payload).map_err(|_refused| damaged())?;
        let is_named = if header.body_kind == BodyKind::Withdrawal {
            self.halt.check()?;
            stored.facts.withdraws.map_or(Ok(false), |record| self.names(record))?
        } else {
            self.name.scope.is_in(&header.handling.reach)
        };
        let counts = !header.body_kind.is_common() && is_named;
        Ok(counts.then(|| sha256(&envelope.payload)))
    }

    /// Whether the last revision of a record of this publisher names the scope: a withdrawal has no handling of its own, and reaches
    /// more than that names.
    fn names(&self, record: Uuid) -> Result<bool, StoreError> {
        let name = RecordName { member: self.name.publisher.clone(), record };
        let Some((_revision, place)) = self.store.latest(&name)? else { return Ok(false) };
        let block = self.store.block_at(place)?;
        let last = block.as_ref().and_then(|block| block.at(place));
        Ok(last.is_some_and(|last| self.name.scope.is_in(&last.facts.scope.reach)))
    }
}

fn token_of(name: &HeadName) -> String {
    hex::encode(format!("{} {} {}", name.publisher.name(), name.key, name.scope))
}

fn name_of(token: &str) -> Option<HeadName> {
    let text = String::from_utf8(hex::decode(token).ok()?).ok()?;
    let mut parts = text.splitn(3, ' ');
    wire::head::name(parts.next()?, parts.next()?, parts.next()?).ok()
}
