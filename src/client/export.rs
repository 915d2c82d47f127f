//! What is exported: the current state, each record verified, and what formats need to know besides.

use std::collections::HashMap;

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
use crate::interop::exported::names_of;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::names::RecordName;
use crate::model::names::RevisionName;
use crate::model::reason::Reason;
use crate::model::time::Timestamp;

/// The current state as it comes, held against what publishers sign of their own entries.
pub struct Export {
    client: Client,
    subscription: Subscription,
    context: ExportContext,
}

/// What is known of records besides the one at hand: asked for once.
#[derive(Debug, Default)]
pub struct ExportContext {
    kinds: HashMap<RecordName, Option<BodyKind>>,
}

impl Client {
    /// Starts an export of the latest revisions that match and stand.
    pub async fn export(&self, filter: Filter, patience: Patience) -> Result<Export, ClientError> {
        let from = From::Snapshot;
        let options = SubscribeOptions { from, filter, until_head: true, patience };
        let subscription = self.subscribe(options).await?;
        Ok(Export { client: self.clone(), subscription, context: ExportContext::default() })
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
}

impl ExportContext {
    /// An entry, with what else is known of it. Asks the hub for what was not met before.
    pub async fn exported(
        &mut self,
        client: &Client,
        entry: &VerifiedEntry,
    ) -> Result<ExportedRecord, ClientError> {
        let header = entry.header();
        self.kinds.insert(header.name.clone(), Some(header.body_kind));
        let mut named = std::collections::BTreeMap::new();
        for name in names_of(entry.record()) {
            if let Some(kind) = self.kind(client, name).await? {
                named.insert(name.clone(), kind);
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

    /// Adds to a record that was read back what is known of it elsewhere: the kinds of what it names, and when its first
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
            if let Some(kind) = self.kind(client, &name).await? {
                record.named.insert(name, kind);
            }
        }
        if !has_first {
            let known = record.accept_time;
            record.first_accept_time = taken_in(client, record.name(), known).await?;
        }
        Ok(record)
    }

    /// The kind of a record; `None` if it is not there for this reader.
    async fn kind(
        &mut self,
        client: &Client,
        name: &RecordName,
    ) -> Result<Option<BodyKind>, ClientError> {
        if let Some(kind) = self.kinds.get(name) {
            return Ok(*kind);
        }
        let found = client.get(&RevisionName { record: name.clone(), revision: None }).await;
        let kind = match found {
            Ok(found) => Some(found.entry.header().body_kind),
            Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => None,
            Err(error) => return Err(error),
        };
        self.kinds.insert(name.clone(), kind);
        Ok(kind)
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
