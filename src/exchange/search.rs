//! Search: the latest visible revisions that have every word and attribute asked for, in the order of the log.
//!
//! Each thing that is asked for is a clause, whose postings rise; the clauses are leapt over one another until they
//! agree on a place, and what lies there is compared in full. Only postings of the reader's own groups are touched.

use std::collections::BTreeSet;

use crate::exchange::entries;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::reads::Listed;
use crate::exchange::reads::add_record;
use crate::exchange::reads::is_current;
use crate::exchange::reads::is_latest;
use crate::exchange::token::Place;
use crate::exchange::turns::Halt;
use crate::model::facts::Facts;
use crate::model::filter::Filter;
use crate::model::filter::Match;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::index_keys::Term;
use crate::model::limits;
use crate::model::names::Digest;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::sha256;
use crate::model::policy::Reader;
use crate::model::policy::may_see;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::store::COARSE_SEQUENCES;
use crate::store::LogBlock;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire;
use crate::wire::pb;

/// Postings of a clause that are read at once.
const POSTINGS_READ: usize = 256;

/// What to search for. Fields are joined by AND, the values of a field by OR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Words, all of which a record must have.
    pub words: Vec<String>,
    /// Kinds, platforms, publishers, operations.
    pub filter: Filter,
    /// Techniques, each by its external id, perhaps with its framework.
    pub techniques: Vec<TechniqueId>,
    /// ISO 3166 codes, upper case.
    pub regions: Vec<String>,
    /// BCP 47 tags, lower case.
    pub languages: Vec<String>,
    /// Taken in at or after this.
    pub since: Option<Timestamp>,
    /// Taken in before this.
    pub until: Option<Timestamp>,
    /// At least this confidence, 0 to 100.
    pub confidence_min: Option<u32>,
    /// Only what may still be acted on.
    pub active_only: bool,
}

/// A technique as it is asked for, lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TechniqueId {
    /// The framework; `None` for any.
    pub framework: Option<String>,
    /// The id within it.
    pub external_id: String,
}

impl TechniqueId {
    fn is(&self, technique: &pb::Technique) -> bool {
        let is_own = |framework: &String| framework.eq_ignore_ascii_case(&technique.framework);
        self.external_id.eq_ignore_ascii_case(&technique.external_id)
            && self.framework.as_ref().is_none_or(is_own)
    }
}

impl Hub {
    /// One page of what a query finds.
    pub async fn search(
        &self,
        member: &MemberId,
        query: Query,
        page_size: usize,
        page_token: &str,
        decoded: bool,
    ) -> Result<Listed, ExchangeError> {
        let reader = self.reader(member)?;
        query.demand_few(Group::of_reader(&reader).len())?;
        self.take_lookups(member, 1)?;
        let request = query.digest();
        let start = self.page_start(member, &request, page_token)?;
        let now = self.clock().now();
        let shown = Shown::Current;
        let page = move |store: &Store, halt: &Halt| {
            Search { reader, query, shown, now, store, start, page_size }.page(halt)
        };
        let (mut found, next) = self.read(Some(member), page).await?;
        if decoded {
            for entry in &mut found {
                add_record(entry, now);
            }
        }
        let next = next.map(|position| Place { position, ..start });
        Ok(Listed { entries: found, next_page_token: self.page_token(member, &request, next) })
    }
}

impl Query {
    /// Demands that so many groups of readers do not make it more lists of postings than one call may ask for.
    pub(super) fn demand_few(&self, groups: usize) -> Result<(), Refusal> {
        let Filter { body_kinds, kinds, platforms, publishers, operations } = &self.filter;
        let described = self.words.len() + self.techniques.len();
        let spoken = self.regions.len() + self.languages.len();
        let filtered = body_kinds.len() + kinds.len() + platforms.len();
        let said = publishers.len() + operations.len();
        let values = described + spoken + filtered + said;
        if values.saturating_mul(groups) <= limits::INDEX_PROBES_MAX {
            return Ok(());
        }
        let message = format!(
            "{values} values in {groups} groups of readers, more than {} in all; ask for fewer at once",
            limits::INDEX_PROBES_MAX
        );
        Err(Refusal::field(Reason::FieldInvalid, "filter", message))
    }

    /// What tells queries apart in a page token.
    fn digest(&self) -> Digest {
        sha256(format!("search {self:?}").as_bytes())
    }
}

/// Which entries are shown at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Everything, but each record in its latest revision only.
    Latest,
    /// What members said, in its latest revision, unless it was withdrawn or erased.
    Current,
}

/// One page while it is filled.
pub(super) struct Search<'a> {
    pub(super) reader: Reader,
    pub(super) query: Query,
    pub(super) shown: Shown,
    pub(super) now: Timestamp,
    pub(super) store: &'a Store,
    pub(super) start: Place,
    pub(super) page_size: usize,
}

impl Search<'_> {
    /// The entries of a page, and where the next begins.
    pub(super) fn page(&self, halt: &Halt) -> Result<(Vec<pb::Entry>, Option<u64>), StoreError> {
        let (first, end) = self.bounds()?;
        let groups = Group::of_reader(&self.reader);
        let mut clauses = self.query.clauses(self.store, &groups, self.start.as_of)?;
        if self.shown == Shown::Latest {
            for clause in &mut clauses {
                clause.also_recalls(&groups);
            }
        }
        let mut page = Page::default();
        let mut next = first;
        loop {
            halt.check()?;
            let range =
                match agree(self.store, halt, &mut clauses, (next..end, &mut page.examined))? {
                    Agreed::Nowhere => return Ok((page.entries, None)),
                    Agreed::Tired(at) => return Ok((page.entries, Some(at))),
                    Agreed::On(range) => range,
                };
            next = range.end;
            let full = self.take(range, &mut page)?;
            if full.is_some() {
                return Ok((page.entries, full));
            }
        }
    }

    /// Takes what was asked for from a range; the place at which the page was full.
    fn take(
        &self,
        range: std::ops::Range<u64>,
        page: &mut Page,
    ) -> Result<Option<u64>, StoreError> {
        for sequence in range {
            if page.has_moved && page.examined >= limits::PAGE_EXAMINED_MAX {
                return Ok(Some(sequence));
            }
            page.examined += 1;
            page.has_moved = true;
            let Some(entry) = self.entry(sequence, &mut page.block)? else { continue };
            // The next page begins with an entry that is shown: a full page with a token and nothing behind it would
            // tell that there is something that is not for the reader.
            let length = prost::Message::encoded_len(&entry);
            if page.entries.len() >= self.page_size || page.bytes + length > limits::FRAME_BYTES_MAX
            {
                return Ok(Some(sequence));
            }
            page.bytes += length;
            page.entries.push(entry);
        }
        Ok(None)
    }

    /// The places between which entries were taken in at the times asked for.
    fn bounds(&self) -> Result<(u64, u64), StoreError> {
        let size = self.start.as_of;
        let place = |time| entries::first_since(self.store, time, size);
        let first = self.query.since.map(place).transpose()?.unwrap_or_default();
        let end = self.query.until.map(place).transpose()?.unwrap_or(size);
        Ok((first.max(self.start.position), end))
    }

    /// The entry at a place, if it is one that was asked for.
    fn entry(
        &self,
        sequence: u64,
        block: &mut Option<LogBlock>,
    ) -> Result<Option<pb::Entry>, StoreError> {
        if block.as_ref().is_none_or(|block| block.at(sequence).is_none()) {
            *block = self.store.block_at(sequence)?;
        }
        let Some((block, stored)) =
            block.as_ref().and_then(|block| Some((block, block.at(sequence)?)))
        else {
            return Ok(None);
        };
        let facts = &stored.facts;
        if !self.wants(facts)? {
            return Ok(None);
        }
        let entry = entries::decode(block, stored)?;
        let fits = match self.shown {
            Shown::Latest => true,
            Shown::Current => {
                let envelope = entry.envelope.as_ref();
                entry.erased.is_none()
                    && envelope.is_some_and(|envelope| self.query.fits(envelope, self.now))
            }
        };
        Ok(fits.then_some(entry))
    }

    fn wants(&self, facts: &Facts) -> Result<bool, StoreError> {
        if !may_see(&self.reader, &facts.scope) || self.query.filter.matches(facts) != Match::Yes {
            return Ok(false);
        }
        match self.shown {
            Shown::Latest => is_latest(self.store, facts, self.start.as_of),
            Shown::Current => Ok(facts.scope.body_kind.is_chosen()
                && is_current(self.store, facts, self.start.as_of)?),
        }
    }
}

/// What a page holds so far.
#[derive(Default)]
struct Page {
    entries: Vec<pb::Entry>,
    bytes: usize,
    examined: usize,
    /// Whether an entry was looked at: no page ends where it began.
    has_moved: bool,
    /// The block that was read last.
    block: Option<LogBlock>,
}

impl Query {
    fn clauses(
        &self,
        store: &Store,
        groups: &[Group],
        size: u64,
    ) -> Result<Vec<Clause>, StoreError> {
        let Filter { body_kinds, kinds, platforms, publishers, operations } = &self.filter;
        let exact = |terms: Vec<Term>| Clause::new(terms, groups, 1);
        let coarse = |terms: Vec<Term>| Clause::new(terms, groups, COARSE_SEQUENCES);
        let mut clauses: Vec<Clause> =
            self.words.iter().map(|word| exact(vec![Term::word(word)])).collect();
        let techniques = self.techniques.iter().map(|one| Term::technique(&one.external_id));
        for terms in [
            techniques.collect::<Vec<_>>(),
            self.regions.iter().map(|code| Term::region(code)).collect(),
            self.languages.iter().map(|tag| Term::language(tag)).collect(),
        ] {
            clauses.extend((!terms.is_empty()).then(|| exact(terms)));
        }
        for terms in [
            body_kinds.iter().map(|kind| Term::body_kind(*kind)).collect::<Vec<_>>(),
            kinds.iter().map(|kind| Term::kind(*kind)).collect(),
            platforms.iter().map(|platform| Term::platform(platform)).collect(),
            publishers.iter().map(Term::publisher).collect(),
        ] {
            clauses.extend((!terms.is_empty()).then(|| coarse(terms)));
        }
        if !operations.is_empty() {
            let mut clause = exact(operations.iter().map(Term::about).collect());
            // The operations themselves: nothing is said about a record by itself.
            for name in operations {
                clause.streams.extend(latest_below(store, name, size)?.map(Postings::fixed));
            }
            clauses.push(clause);
        }
        if clauses.is_empty() {
            clauses.push(coarse(vec![Term::any()]));
        }
        Ok(clauses)
    }

    /// Compares in full what the postings only hint at.
    fn fits(&self, envelope: &pb::Envelope, now: Timestamp) -> bool {
        let Ok(body) = wire::body::body(&envelope.body) else { return false };
        let Some(content) = &body.content else { return false };
        let words = if self.words.is_empty() { BTreeSet::new() } else { wire::text_of(content) };
        self.words.iter().all(|word| words.contains(word))
            && self.fits_description(content)
            && (!self.active_only || !has_expired(envelope, &body, now))
    }

    fn fits_description(&self, content: &pb::body::Content) -> bool {
        let said = Said::of(content);
        let technique =
            |asked: &TechniqueId| said.techniques.iter().any(|technique| asked.is(technique));
        let region =
            |asked: &String| said.regions.iter().any(|code| code.eq_ignore_ascii_case(asked));
        let language = |asked: &String| said.languages.iter().any(|tag| is_within(tag, asked));
        (self.techniques.is_empty() || self.techniques.iter().any(technique))
            && (self.regions.is_empty() || self.regions.iter().any(region))
            && (self.languages.is_empty() || self.languages.iter().any(language))
            && self
                .confidence_min
                .is_none_or(|least| said.confidence.is_some_and(|own| own >= least))
    }
}

/// The place of a record's latest revision among the first so many entries of the log. Revisions rise along the log.
pub(super) fn latest_below(
    store: &Store,
    name: &RecordName,
    size: u64,
) -> Result<Option<u64>, StoreError> {
    let Some((latest, sequence)) = store.latest(name)? else { return Ok(None) };
    if sequence < size {
        return Ok(Some(sequence));
    }
    let (mut below, mut beyond, mut place) = (0, latest, None);
    while beyond - below > 1 {
        let middle = below + (beyond - below) / 2;
        match store.revision(name, middle)?.filter(|sequence| *sequence < size) {
            Some(sequence) => (below, place) = (middle, Some(sequence)),
            None => beyond = middle,
        }
    }
    Ok(place)
}

/// Whether a BCP 47 tag is an asked one, or a narrower one: `fr` finds `fr-CA` (RFC 4647, basic filtering).
fn is_within(tag: &str, asked: &str) -> bool {
    let (tag, asked) = (tag.to_ascii_lowercase(), asked.to_ascii_lowercase());
    tag.strip_prefix(&asked).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// What a body says of techniques, regions, languages and confidence.
#[derive(Default)]
struct Said<'a> {
    techniques: &'a [pb::Technique],
    regions: Vec<&'a String>,
    languages: &'a [String],
    confidence: Option<u32>,
}

impl<'a> Said<'a> {
    fn of(content: &'a pb::body::Content) -> Self {
        use pb::body::Content;

        if let Content::Indicator(said) = content {
            let techniques = &said.techniques;
            return Self { techniques, confidence: said.confidence, ..Self::default() };
        }
        if let Content::Operation(said) = content {
            return Self {
                techniques: &said.techniques,
                regions: said.origin_regions.iter().chain(&said.target_regions).collect(),
                languages: &said.languages,
                confidence: None,
            };
        }
        let confidence = if let Content::Attribution(said) = content {
            said.confidence
        } else if let Content::Link(said) = content {
            said.confidence
        } else {
            None
        };
        Self { confidence, ..Self::default() }
    }
}

/// Whether a record should no longer be acted on.
pub(super) fn has_expired(envelope: &pb::Envelope, body: &pb::Body, now: Timestamp) -> bool {
    let header = wire::header::header(&envelope.payload).ok();
    let until = header.and_then(|header| wire::expiry(&header, Some(body)));
    until.is_some_and(|until| until <= now)
}

/// One thing that is asked for: any of its terms, for any of the reader's groups.
pub(super) struct Clause {
    streams: Vec<Postings>,
}

/// The postings of one term for one group, read as they are needed.
struct Postings {
    of: Option<(Term, Group)>,
    /// Sequences that share a posting: 1, or those of a coarse term.
    width: u64,
    read: Vec<u64>,
    /// Everything from here on is not read yet; `None`: there is no more.
    rest: Option<u64>,
}

impl Clause {
    /// An entry of one of the groups has one of the terms; each posting stands for so many sequences.
    pub(super) fn new(terms: Vec<Term>, groups: &[Group], width: u64) -> Self {
        let streams = terms.into_iter().flat_map(|term| {
            groups.iter().map(move |group| Postings {
                of: Some((term, *group)),
                width,
                read: Vec::new(),
                rest: Some(0),
            })
        });
        Self { streams: streams.collect() }
    }

    /// An entry is a recall.
    pub(super) fn recalls(groups: &[Group]) -> Self {
        let recalls = BodyKind::ALL.iter().filter(|kind| kind.is_recall());
        let terms = recalls.map(|kind| Term::body_kind(*kind)).collect();
        Self::new(terms, groups, COARSE_SEQUENCES)
    }

    /// What one of two clauses asks for.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.streams.extend(other.streams);
        self
    }

    /// Places that are known, rising.
    pub(super) fn at(places: Vec<u64>) -> Self {
        let known = Postings { of: None, width: 1, read: places, rest: None };
        Self { streams: vec![known] }
    }

    /// Recalls match whatever is asked for.
    fn also_recalls(&mut self, groups: &[Group]) {
        self.streams.extend(Self::recalls(groups).streams);
    }

    /// The first sequences at or behind a place that one of its postings stands for.
    fn seek(
        &mut self,
        store: &Store,
        halt: &Halt,
        from: u64,
        examined: &mut usize,
    ) -> Result<Option<std::ops::Range<u64>>, StoreError> {
        let mut first: Option<std::ops::Range<u64>> = None;
        for stream in &mut self.streams {
            halt.check()?;
            let Some(found) = stream.seek(store, from, examined)? else { continue };
            if first.as_ref().is_none_or(|first| found.start < first.start) {
                first = Some(found);
            }
        }
        Ok(first)
    }
}

impl Postings {
    /// One place that is known.
    fn fixed(sequence: u64) -> Self {
        Self { of: None, width: 1, read: vec![sequence], rest: None }
    }

    fn seek(
        &mut self,
        store: &Store,
        from: u64,
        examined: &mut usize,
    ) -> Result<Option<std::ops::Range<u64>>, StoreError> {
        let start = from - from % self.width;
        loop {
            let at = self.read.partition_point(|sequence| *sequence < start);
            if let Some(found) = self.read.get(at) {
                return Ok(Some((*found).max(from)..found.saturating_add(self.width)));
            }
            let (Some(rest), Some((term, group))) = (self.rest, self.of) else { return Ok(None) };
            self.read = store.find_term(term, group, rest.max(start), POSTINGS_READ)?;
            // The first look into each list is paid for by the bound on lists: otherwise many lists would leave a page
            // nothing for entries.
            if rest > 0 {
                *examined = examined.saturating_add(1 + self.read.len() / 16);
            }
            let is_full = self.read.len() >= POSTINGS_READ;
            self.rest = self.read.last().filter(|_last| is_full).map(|last| last + 1);
        }
    }
}

/// Where clauses agree.
pub(super) enum Agreed {
    /// On these places.
    On(std::ops::Range<u64>),
    /// Nowhere before the end.
    Nowhere,
    /// Not below this place; enough was examined.
    Tired(u64),
}

/// The next places of a range on which all clauses have a posting.
pub(super) fn agree(
    store: &Store,
    halt: &Halt,
    clauses: &mut [Clause],
    (within, examined): (std::ops::Range<u64>, &mut usize),
) -> Result<Agreed, StoreError> {
    let mut next = within.start;
    loop {
        let mut range = next..within.end;
        for clause in clauses.iter_mut() {
            let Some(found) = clause.seek(store, halt, range.start, examined)? else {
                return Ok(Agreed::Nowhere);
            };
            range = range.start.max(found.start)..range.end.min(found.end);
        }
        if range.start >= within.end {
            return Ok(Agreed::Nowhere);
        }
        if range.start < range.end {
            return Ok(Agreed::On(range));
        }
        if *examined >= limits::PAGE_EXAMINED_MAX {
            return Ok(Agreed::Tired(range.start));
        }
        next = range.start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_many_values_is_refused_whom_it_would_cost_more_than_a_call_may() {
        let values = vec!["x".to_owned(); limits::FILTER_VALUES_MAX];
        let filter = Filter { platforms: values.clone(), ..Filter::default() };
        let query =
            Query { filter, regions: values.clone(), languages: values, ..Query::default() };
        assert!(query.demand_few(100).is_ok());
        let refusal = query.demand_few(400).unwrap_err();
        assert_eq!((refusal.reason, refusal.field), (Reason::FieldInvalid, "filter"));
        assert!(Query::default().demand_few(usize::MAX).is_ok());
    }
}
