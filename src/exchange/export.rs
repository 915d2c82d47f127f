//! The current state on its way to one member, as text in a format of other tools, piece by piece.

use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::exchange::entries;
use crate::exchange::exporter::Exporter;
use crate::exchange::hub::ExchangeError;
use crate::exchange::hub::Hub;
use crate::exchange::hub::draining;
use crate::exchange::search::Query;
use crate::exchange::search::Search;
use crate::exchange::search::Shown;
use crate::exchange::streams::Carries;
use crate::exchange::streams::StreamSlot;
use crate::exchange::tail::ReadSince;
use crate::exchange::token::Place;
use crate::exchange::turns::Halt;
use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Recalled;
use crate::interop::stix;
use crate::interop::stix::BundleWriter;
use crate::model::filter::Filter;
use crate::model::filter::Match;
use crate::model::header::BodyKind;
use crate::model::index_keys::Group;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::policy::Reader;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::store::Store;
use crate::store::StoreError;
use crate::wire::body::Content;

/// What was written and not taken yet. The writer has one end, whoever sends it on the other.
#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// What stands.
    Standing,
    /// What was taken back, as revoked.
    Recalled,
}

/// An export that runs, as a STIX bundle. It holds one of the member's streams.
pub struct Export {
    hub: Arc<Hub>,
    member: MemberId,
    query: Query,
    written: Written,
    /// The writer, and where it goes on; `None` once the bundle was ended, or a read failed.
    going: Option<(BundleWriter<Written>, Part, Place)>,
    /// As what reader the member was judged when what was written last was read, or looked at again.
    reader: Reader,
    /// When that was.
    since: ReadSince,
    /// The places of which something is in it.
    shown: Arc<[u64]>,
    /// The places whose bodies are in it.
    bodies: Arc<[u64]>,
    _slot: StreamSlot,
}

impl Hub {
    /// Begins an export of the latest visible revisions that match, as the log is now: first those that stand, then those
    /// that were taken back.
    pub fn export(self: &Arc<Self>, member: &MemberId, filter: Filter) -> Result<Export, Refusal> {
        let reader = self.reader(member)?;
        let query = Query { filter, ..Query::default() };
        query.demand_few(Group::of_reader(&reader).len())?;
        if self.draining.is_cancelled() {
            return Err(draining());
        }
        let slot = self.open_stream(member, Carries::Records)?;
        let head = self.head();
        let start = Place { epoch: head.epoch, position: 0, as_of: head.size };
        let written = Written::default();
        // What it writes to takes everything.
        let going =
            BundleWriter::new(written.clone()).ok().map(|writer| (writer, Part::Standing, start));
        Ok(Export {
            hub: Arc::clone(self),
            member: member.clone(),
            query,
            written,
            going,
            reader,
            since: self.tail.begin_reading(),
            shown: Arc::default(),
            bodies: Arc::default(),
            _slot: slot,
        })
    }
}

impl Export {
    /// The next bytes, at most [`limits::EXPORT_BYTES`] and one record's; `None` at the end. What the member may read is asked anew each time.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, ExchangeError> {
        while let Some((writer, part, start)) = self.going.take() {
            self.wait_for_quota().await?;
            self.reader = self.hub.reader(&self.member)?;
            let (query, now) = (self.query.clone(), self.hub.clock().now());
            let filter = self.query.filter.clone();
            let (written, reader) = (self.written.clone(), self.reader.clone());
            let page = move |store: &Store, halt: &Halt| {
                let page_size = limits::EXPORT_RECORDS;
                let (query, shown) = match part {
                    Part::Standing => (query, Shown::Current),
                    Part::Recalled => (recalls(), Shown::Latest),
                };
                let search =
                    Search { reader: reader.clone(), query, shown, now, store, start, page_size };
                let (entries, next) = search.page(halt)?;
                let source = Source {
                    exporter: Exporter::new(store, &reader, start.as_of),
                    part,
                    filter: &filter,
                };
                let places = entries.iter().map(|entry| entry.sequence);
                let page = write((writer, &written), source, places, halt)?;
                let next = page.left.or(next).map(|position| Place { position, ..start });
                Ok((page.writer, page.shown, page.bodies, next))
            };
            self.since = self.hub.tail.begin_reading();
            let (writer, seen, bodies, next) = self.hub.read(Some(&self.member), page).await?;
            (self.shown, self.bodies) = (seen.into(), bodies.into());
            if writer.written() > limits::EXPORT_OBJECTS_MAX {
                let message = format!(
                    "more than {} objects; ask for fewer at once",
                    limits::EXPORT_OBJECTS_MAX
                );
                return Err(Refusal::field(Reason::BatchTooLarge, "filter", message).into());
            }
            match (next, part) {
                (Some(next), part) => self.going = Some((writer, part, next)),
                (None, Part::Standing) => {
                    self.going = Some((writer, Part::Recalled, Place { position: 0, ..start }));
                }
                (None, Part::Recalled) => drop(writer.finish().map_err(|cause| unwritten(&cause))?),
            }
            let written = self.written.take();
            if !written.is_empty() {
                return Ok(Some(written));
            }
        }
        Ok(None)
    }

    /// Demands that what was written last may be sent still: the member may read, and see everything of which something is
    /// in it, and no body in it was erased since. To be asked before each part of it, because a reader may take its time
    /// between two.
    pub async fn demand_current(&mut self) -> Result<(), ExchangeError> {
        loop {
            let reader = self.hub.reader(&self.member)?;
            if reader == self.reader && self.hub.tail.still_holds(self.since) {
                return Ok(());
            }
            let (since, judged) = (self.hub.tail.begin_reading(), reader.clone());
            let (shown, bodies) = (Arc::clone(&self.shown), Arc::clone(&self.bodies));
            let read =
                move |store: &Store, halt: &Halt| outdated(store, &judged, (&shown, &bodies), halt);
            if let Some(message) = self.hub.read(Some(&self.member), read).await? {
                return Err(Refusal::new(Reason::Busy, message).into());
            }
            // The read may have waited for others: whether it holds is asked anew.
            (self.reader, self.since) = (reader, since);
        }
    }

    /// Takes one look-up from the quota, waiting for it as long as the hub serves and the member may read.
    async fn wait_for_quota(&self) -> Result<(), Refusal> {
        loop {
            if self.hub.draining.is_cancelled() {
                return Err(draining());
            }
            self.hub.reader(&self.member)?;
            let refusal = match self.hub.take_lookups(&self.member, 1) {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            };
            let Some(delay) = refusal.retry_after.filter(|_| refusal.reason == Reason::Quota)
            else {
                return Err(refusal);
            };
            let delay = delay.min(limits::TICK_INTERVAL);
            let _drains = self.hub.draining.run_until_cancelled(tokio::time::sleep(delay)).await;
        }
    }
}

/// What takes something back.
fn recalls() -> Query {
    let body_kinds = vec![BodyKind::Withdrawal, BodyKind::Takedown];
    Query { filter: Filter { body_kinds, ..Filter::default() }, ..Query::default() }
}

/// Where the records of a part come from.
struct Source<'a> {
    exporter: Exporter<'a>,
    part: Part,
    filter: &'a Filter,
}

impl Source<'_> {
    /// The record that the entry at a place brings: itself, or what it takes back, if that is for the reader and asked for.
    fn record(&mut self, place: u64) -> Result<Option<ExportedRecord>, StoreError> {
        if self.part == Part::Standing {
            return Ok(Some(self.exporter.record(place)?));
        }
        let recall = self.exporter.bare(place)?;
        let Some(of) = recall.record.content.withdraws() else { return Ok(None) };
        let Some((at, facts)) = self.exporter.latest(of)? else { return Ok(None) };
        if !facts.scope.body_kind.is_chosen() || self.filter.matches(&facts) != Match::Yes {
            return Ok(None);
        }
        let mut record = self.exporter.record(at)?;
        let accept_time = recall.accept_time;
        record.recalled = Some(Recalled { sequence: place, accept_time });
        Ok(Some(record))
    }
}

/// What came of a page.
struct Page {
    writer: BundleWriter<Written>,
    /// The places of which something was written.
    shown: Vec<u64>,
    /// The places whose bodies were written.
    bodies: Vec<u64>,
    /// The first place that is left.
    left: Option<u64>,
}

/// Writes the objects of the entries at some places, until enough is written. An entry may have a hundred times as many
/// bytes of objects as of its own.
fn write(
    (mut writer, written): (BundleWriter<Written>, &Written),
    mut source: Source<'_>,
    places: impl Iterator<Item = u64>,
    halt: &Halt,
) -> Result<Page, StoreError> {
    let (mut shown, mut bodies) = (Vec::new(), Vec::new());
    for place in places {
        halt.check()?;
        if written.len() >= limits::EXPORT_BYTES {
            return Ok(Page { writer, shown, bodies, left: Some(place) });
        }
        let record = source.record(place)?;
        let judged = source.exporter.take_shown();
        let Some(record) = record else { continue };
        shown.push(place);
        shown.extend(judged);
        for object in stix::objects(&record) {
            writer.put(&object).map_err(|cause| unwritten(&cause))?;
        }
        if !matches!(record.record.content, Content::Gone) {
            bodies.push(record.sequence);
        }
    }
    Ok(Page { writer, shown, bodies, left: None })
}

/// Why what shows some places, and the bodies of some, may not be sent to a reader any more; `None` if it may.
fn outdated(
    store: &Store,
    reader: &Reader,
    (shown, bodies): (&[u64], &[u64]),
    halt: &Halt,
) -> Result<Option<&'static str>, StoreError> {
    let mut now = Exporter::new(store, reader, u64::MAX);
    for place in shown {
        halt.check()?;
        if now.facts(*place)?.is_none() {
            let why = "access to a record was lost before it was sent; begin the export anew";
            return Ok(Some(why));
        }
    }
    let why = "a record was erased before it was sent; begin the export anew";
    Ok(lacks_one(store, bodies, halt)?.then_some(why))
}

/// Whether an entry at one of these places, all of which had a body, has none now.
fn lacks_one(store: &Store, places: &[u64], halt: &Halt) -> Result<bool, StoreError> {
    for place in places {
        halt.check()?;
        let block = store.block_at(*place)?.ok_or_else(|| StoreError::missing(*place))?;
        let stored = block.at(*place).ok_or_else(|| StoreError::missing(*place))?;
        if entries::decode(&block, stored)?.erased.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unwritten(cause: &io::Error) -> StoreError {
    StoreError::Io { action: "writing an export", cause: cause.to_string() }
}
