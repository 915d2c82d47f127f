//! Bodies that are gone: the hub must have said so in its log, for everyone to see.
//!
//! An entry without its body names the notice that says why. Without a look at that notice a hub could keep any body from
//! any one member.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use prost::Message as _;

use crate::client::account::Deviation;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::evidence::Exhibit;
use crate::client::subscribe::Delivery;
use crate::client::subscribe::From;
use crate::client::subscribe::Patience;
use crate::client::subscribe::SubscribeOptions;
use crate::client::verifier::VerificationError;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::wire::body::Content;

/// For so long the log may take to come to where an answer is.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// How often the log's head is asked for meanwhile.
const TICK: Duration = Duration::from_millis(20);
/// Notices that are remembered at most, the newest of them.
const REMEMBERED_MAX: usize = 10_000;

/// Notices of this epoch that were read, each by its place.
#[derive(Debug, Default)]
pub(super) struct Notices {
    epoch: u32,
    read: BTreeMap<u64, Content>,
}

impl Notices {
    fn take(&mut self, other: Self) {
        if self.epoch != other.epoch {
            *self = Self { epoch: other.epoch, ..Self::default() };
        }
        self.read.extend(other.read);
        while self.read.len() > REMEMBERED_MAX {
            self.read.pop_first();
        }
    }

    /// Whether the notice that an entry names says that its body is gone; `None` if it is not known.
    fn covers(&self, epoch: u32, entry: &VerifiedEntry) -> Option<bool> {
        let Some(cause) = entry.erased_by() else { return Some(true) };
        let notice = self.read.get(&cause).filter(|_notice| self.epoch == epoch)?;
        Some(notice.erases(entry.sequence()))
    }
}

impl Client {
    /// Demands of entries whose bodies are gone that the notices which they name are in the log, and say so.
    pub(super) async fn demand_notices(
        &self,
        entries: &[VerifiedEntry],
        patience: Patience,
    ) -> Result<(), ClientError> {
        let epoch = self.accepted_epoch();
        let gone = entries.iter().filter(|entry| entry.erased_by().is_some());
        let gone: Vec<&VerifiedEntry> =
            gone.filter(|entry| self.covers(epoch, entry) != Some(true)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        // Apart: it is seldom needed, and would make every stream's future large.
        Box::pin(self.demand_told(gone, epoch, patience)).await
    }

    /// The same of entries of which it is not known yet.
    async fn demand_told(
        &self,
        mut gone: Vec<&VerifiedEntry>,
        epoch: u32,
        patience: Patience,
    ) -> Result<(), ClientError> {
        let named = gone.iter().filter_map(|entry| entry.erased_by());
        if let (Some(first), Some(last)) = (named.clone().min(), named.max()) {
            self.await_head_past(last).await?;
            let notices = self.read_notices(first, patience).await?;
            let mut read = Notices { epoch, read: BTreeMap::new() };
            let notices = notices.into_iter();
            read.read.extend(notices.map(|one| (one.sequence(), one.record().content.clone())));
            gone.retain(|entry| read.covers(epoch, entry) != Some(true));
            self.notices().lock().unwrap_or_else(PoisonError::into_inner).take(read);
        }
        let Some(entry) = gone.first() else { return Ok(()) };
        let exhibit = Exhibit::received("an entry", &entry.to_entry().encode_to_vec());
        let error = VerificationError::deviation(Deviation::NotErased(entry.sequence()));
        Err(self.keep_evidence(error, vec![exhibit], None).await.into())
    }

    fn covers(&self, epoch: u32, entry: &VerifiedEntry) -> Option<bool> {
        self.notices().lock().unwrap_or_else(PoisonError::into_inner).covers(epoch, entry)
    }

    /// Waits until the log has an entry at a place: an answer may be ahead of the log's head, by as much as a slow disk takes.
    /// That it does not come is no fault yet, and nothing is believed until it has.
    pub(super) async fn await_head_past(&self, sequence: u64) -> Result<(), ClientError> {
        let begun = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        while self.newest().await?.0.size <= sequence {
            if begun.elapsed() > WAIT_MAX {
                let why = format!("its log has not come to sequence {sequence}, which it tells of");
                return Err(ClientError::Unreachable(why));
            }
            tick.tick().await;
        }
        Ok(())
    }

    /// Every notice from a place on.
    async fn read_notices(
        &self,
        first: u64,
        patience: Patience,
    ) -> Result<Vec<VerifiedEntry>, ClientError> {
        let body_kinds = vec![BodyKind::Erasure, BodyKind::Retention];
        let options = SubscribeOptions {
            from: From::Sequence(first),
            filter: Filter { body_kinds, ..Filter::default() },
            until_head: true,
            patience,
        };
        let mut subscription = self.subscribe(options).await?;
        let mut notices = Vec::new();
        while let Some(delivery) = subscription.next().await? {
            if let Delivery::Entries { entries, .. } = delivery {
                notices.extend(entries);
            }
        }
        Ok(notices)
    }
}
