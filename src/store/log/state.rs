//! What lies beside the log: marks of records, subscriptions, cosignatures, heads, reports, deliveries.

use sled::Batch;

use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::names::SubscriptionName;
use crate::model::names::sha256;
use crate::model::report::ReportName;
use crate::store::StoreError;
use crate::store::block;
use crate::store::keys;
use crate::store::log::Store;
use crate::store::log::group::insert_rows;
use crate::store::log::release_pages;

impl Store {
    /// Rows that do not follow from the log: the cursor key, durable subscriptions, deliveries, reports of misbehaviour,
    /// each before its evidence.
    pub(in crate::store) fn kept_state(
        &self,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> {
        let prefixes = [
            keys::CURSOR_KEY.as_slice(),
            &[keys::SUBSCRIPTION],
            &[keys::DELIVERY],
            &[keys::REPORT],
            &[keys::EVIDENCE],
        ];
        let rows = prefixes.into_iter().flat_map(|prefix| self.db.scan_prefix(prefix));
        rows.map(|row| {
            let (key, value) = row.map_err(StoreError::io("reading the store"))?;
            Ok((key.to_vec(), value.to_vec()))
        })
    }

    /// What was last known of deliveries: each an encoded `disk.v1.Delivery`.
    pub fn deliveries(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let damaged = || StoreError::corrupt("the deliveries", "one is unreadable");
        self.sealed(keys::DELIVERY, "reading deliveries", damaged, |_key, value| Some(value))
    }

    /// Writes what is known of deliveries. It is durable with the next group: to lose some of it is to say too little.
    pub fn keep_deliveries(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, value) in rows {
            batch.insert(keys::delivery(&key), block::seal(&value));
        }
        insert_rows(&mut batch, vec![self.count_write()]);
        self.written(self.db.apply_batch(batch).map_err(StoreError::io("writing deliveries")))
    }

    /// The place of the record's withdrawal.
    pub fn withdrawn(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        self.get_number(&keys::withdrawn(name))
    }

    /// The place of the notice that a revision has a second header.
    pub fn conflict(&self, name: &RecordName, revision: u32) -> Result<Option<u64>, StoreError> {
        self.get_number(&keys::conflict(name, revision))
    }

    /// The places of all entries about the exchange itself, rising.
    pub fn roster_sequences(&self) -> Result<Vec<u64>, StoreError> {
        self.db
            .scan_prefix([keys::ROSTER])
            .keys()
            .map(|key| {
                let key = key.map_err(StoreError::io("reading the roster"))?;
                keys::first_number(&key)
                    .ok_or_else(|| StoreError::corrupt("the roster", "a key is unreadable"))
            })
            .collect()
    }

    /// Every durable subscription: its name and its encoded `disk.v1.Subscription`.
    pub fn subscriptions(&self) -> Result<Vec<(SubscriptionName, Vec<u8>)>, StoreError> {
        let damaged = || StoreError::corrupt("the durable subscriptions", "one is unreadable");
        self.sealed(keys::SUBSCRIPTION, "reading subscriptions", damaged, |key, value| {
            Some((keys::subscription_name(key)?, value))
        })
    }

    /// The newest checkpoint that each member cosigned: an encoded `disk.v1.Cosignature`.
    pub fn cosignatures(&self) -> Result<Vec<(MemberId, Vec<u8>)>, StoreError> {
        let damaged = || StoreError::corrupt("the cosignatures", "one is unreadable");
        self.sealed(keys::COSIGNATURE, "reading cosignatures", damaged, |key, value| {
            Some((keys::cosigner(key)?, value))
        })
    }

    /// The newest head of each publisher's key and scope: an encoded `disk.v1.PublisherHead`.
    pub fn heads(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let damaged = || StoreError::corrupt("the heads", "one is unreadable");
        self.sealed(keys::HEAD, "reading heads", damaged, |_key, value| Some(value))
    }

    /// Every report of misbehaviour: its name and its encoded `disk.v1.MisbehaviorReport`.
    pub fn reports(&self) -> Result<Vec<(ReportName, Vec<u8>)>, StoreError> {
        let damaged = || StoreError::corrupt("the reports of misbehaviour", "one is unreadable");
        self.sealed(keys::REPORT, "reading reports", damaged, |key, value| {
            Some((keys::report_name(key)?, value))
        })
    }

    /// What each row of a kind says, by its key and what is sealed in its value.
    fn sealed<T>(
        &self,
        prefix: u8,
        action: &'static str,
        damaged: impl Fn() -> StoreError,
        read: impl Fn(&[u8], Vec<u8>) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.db.scan_prefix([prefix]).map(|row| {
            let (key, value) = row.map_err(StoreError::io(action))?;
            let value = block::open(&value).ok_or_else(&damaged)?;
            read(&key, value.to_vec()).ok_or_else(&damaged)
        });
        rows.collect()
    }

    /// The evidence of a report, byte for byte as it was handed in.
    pub fn evidence(&self, name: &ReportName) -> Result<Vec<u8>, StoreError> {
        let damaged = |what| {
            let digest = hex::encode(name.digest);
            StoreError::corrupt(format!("evidence {digest} of {}", name.reporter), what)
        };
        let mut evidence = Vec::new();
        for row in self.db.scan_prefix(keys::evidence(name)) {
            let (_key, value) = row.map_err(StoreError::io("reading evidence"))?;
            let piece = block::open(&value).ok_or_else(|| damaged("a piece is damaged"))?;
            evidence.extend_from_slice(piece);
        }
        release_pages();
        if sha256(&evidence) == name.digest {
            Ok(evidence)
        } else {
            Err(damaged("it is not what was handed in"))
        }
    }

    /// The key that authenticates cursors and page tokens.
    pub fn cursor_key(&self) -> &[u8; 32] {
        &self.cursor_key
    }

    pub(super) fn get_number(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        keys::number(&value)
            .map(Some)
            .ok_or_else(|| StoreError::corrupt("an index", "a place is unreadable"))
    }
}
