//! What is exported: the current state, each record verified, and what formats need to know besides.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::sink::StoredRecord;
use crate::client::subscribe::Delivery;
use crate::client::subscribe::From;
use crate::client::subscribe::Patience;
use crate::client::subscribe::SubscribeOptions;
use crate::client::subscribe::Subscription;
use crate::client::verifier::VerifiedEntry;
use crate::interop::exported::ExportedRecord;
use crate::interop::exported::Named;
use crate::interop::exported::Recalled;
use crate::interop::exported::names_of;
use crate::interop::stix;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;
use crate::wire::body::Content;

/// Records that are remembered for those that name them: what is forgotten is asked for again.
const NAMED_KEPT: usize = 200_000;

/// The current state as it comes, held against what publishers sign of their own entries.
pub struct Export {
    client: Client,
    subscription: Subscription,
    context: ExportContext,
    filter: Filter,
    recalls: Recalls,
}

/// How far the withdrawals and takedowns are listed.
#[derive(Debug)]
struct Recalls {
    /// Where the next page begins; `None` behind the last one.
    token: Option<String>,
    /// Records that were met: one may be taken back twice.
    met: HashSet<RecordName>,
}

/// What is known of records besides the one at hand: asked for once.
#[derive(Debug, Default)]
pub struct ExportContext {
    named: HashMap<RecordName, Option<Named>>,
}

impl Client {
    /// Starts an export of the latest revisions that match and stand.
    pub async fn export(&self, filter: Filter, patience: Patience) -> Result<Export, ClientError> {
        let from = From::Snapshot;
        let options = SubscribeOptions { from, filter: filter.clone(), until_head: true, patience };
        let subscription = self.subscribe(options).await?;
        let recalls = Recalls { token: Some(String::new()), met: HashSet::new() };
        let context = ExportContext::default();
        Ok(Export { client: self.clone(), subscription, context, filter, recalls })
    }
}

impl Export {
    /// The next records that members said something with; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<ExportedRecord>>, ClientError> {
        while let Some(delivery) = self.subscription.next().await? {
            let Delivery::Entries { entries, .. } = delivery else { continue };
            let mut records = Vec::with_capacity(entries.len());
            for entry in entries.iter().filter(|entry| entry.header().body_kind.is_chosen()) {
                records.push(self.context.exported(&self.client, entry).await?);
            }
            return Ok(Some(records));
        }
        Ok(None)
    }

    /// The next records that match and were taken back; `None` at the end. Whether one whose body is erased would match,
    /// nobody knows but by its publisher and kind: it counts as one that does.
    pub async fn next_recalled(&mut self) -> Result<Option<Vec<ExportedRecord>>, ClientError> {
        let Some(token) = self.recalls.token.take() else { return Ok(None) };
        let body_kinds = vec![BodyKind::Withdrawal, BodyKind::Takedown];
        let filter = Filter { body_kinds, ..Filter::default() };
        let (entries, next) = self.client.list(&filter, &token).await?;
        self.recalls.token = next;
        let mut records = Vec::new();
        for recall in &entries {
            let Some(of) = recall.record().content.withdraws() else { continue };
            if !self.recalls.met.insert(of.clone()) {
                continue;
            }
            let name = RevisionName { record: of.clone(), revision: None };
            let entry = match self.client.get(&name).await {
                Ok(found) => found.entry,
                Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if entry.header().body_kind.is_chosen() && may_match(&self.filter, &entry) {
                let mut record = self.context.exported(&self.client, &entry).await?;
                let (sequence, accept_time) = (recall.sequence(), recall.accept_time());
                record.recalled = Some(Recalled { sequence, accept_time });
                records.push(record);
            }
        }
        Ok(Some(records))
    }
}

/// Whether an entry matches, as far as what is left of it tells.
fn may_match(filter: &Filter, entry: &VerifiedEntry) -> bool {
    let Filter { body_kinds, kinds, platforms, publishers, operations } = filter;
    let header = entry.header();
    let is_one = (body_kinds.is_empty() || body_kinds.contains(&header.body_kind))
        && (publishers.is_empty() || publishers.contains(&header.name.member));
    let content = &entry.record().content;
    if !is_one || *content == Content::Gone {
        return is_one;
    }
    let of = |name: &RecordName| operations.is_empty() || operations.contains(name);
    if let Content::Indicator { kind, platform, operation, .. } = content {
        return (kinds.is_empty() || kinds.contains(kind))
            && (platforms.is_empty() || platforms.contains(platform))
            && operation.as_ref().map_or(operations.is_empty(), of);
    }
    kinds.is_empty() && platforms.is_empty() && of(&header.name)
}

impl ExportContext {
    /// An entry, with what else is known of it. Asks the hub for what was not met before.
    pub async fn exported(
        &mut self,
        client: &Client,
        entry: &VerifiedEntry,
    ) -> Result<ExportedRecord, ClientError> {
        self.remember(entry.name().clone(), Some(stix::named(entry.record())));
        let mut named = BTreeMap::new();
        for name in names_of(entry.record()) {
            if let Some(known) = self.named(client, name).await? {
                named.insert(name.clone(), known);
            }
        }
        Ok(ExportedRecord {
            epoch: entry.epoch(),
            sequence: entry.sequence(),
            accept_time: entry.accept_time(),
            first_accept_time: first_accept_time(client, entry).await?,
            record: entry.record().clone(),
            recalled: None,
            named,
        })
    }

    /// Adds to a record that was read back what is known of it elsewhere: what it names is, and when its first
    /// revision was taken in, if that is not held. Asks the hub for what was not met before.
    pub async fn complete(
        &mut self,
        client: &Client,
        stored: StoredRecord,
    ) -> Result<ExportedRecord, ClientError> {
        let StoredRecord { mut record, has_first } = stored;
        let names: Vec<RecordName> = names_of(&record.record).into_iter().cloned().collect();
        for name in names {
            if record.named.contains_key(&name) {
                continue;
            }
            if let Some(known) = self.named(client, &name).await? {
                record.named.insert(name, known);
            }
        }
        if !has_first {
            let known = record.accept_time;
            record.first_accept_time = taken_in(client, record.name(), known).await?;
        }
        Ok(record)
    }

    /// What a record is for those that name it; `None` if it is not there for this reader.
    async fn named(
        &mut self,
        client: &Client,
        name: &RecordName,
    ) -> Result<Option<Named>, ClientError> {
        if let Some(known) = self.named.get(name) {
            return Ok(*known);
        }
        let found = client.get(&RevisionName { record: name.clone(), revision: None }).await;
        let known = match found {
            Ok(found) => Some(stix::named(found.entry.record())),
            Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => None,
            Err(error) => return Err(error),
        };
        self.remember(name.clone(), known);
        Ok(known)
    }

    fn remember(&mut self, name: RecordName, known: Option<Named>) {
        if self.named.len() >= NAMED_KEPT {
            self.named.clear();
        }
        self.named.insert(name, known);
    }
}

/// When the first revision was taken in. One that the reader may not see counts as this one.
async fn first_accept_time(
    client: &Client,
    entry: &VerifiedEntry,
) -> Result<Timestamp, ClientError> {
    if entry.header().revision == 1 {
        return Ok(entry.accept_time());
    }
    taken_in(client, entry.name(), entry.accept_time()).await
}

async fn taken_in(
    client: &Client,
    name: &RecordName,
    otherwise: Timestamp,
) -> Result<Timestamp, ClientError> {
    let first = RevisionName { record: name.clone(), revision: Some(1) };
    match client.get(&first).await {
        Ok(found) => Ok(found.entry.accept_time()),
        Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => Ok(otherwise),
        Err(error) => Err(error),
    }
}
