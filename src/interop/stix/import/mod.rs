//! Bundles of other people as records of the importing member.
//!
//! Pure: bundles in, planned records and an account of every object out. What is taken is what the bundle itself says
//! to be part of an operation: an indicator says so by being one, an observable only if a relationship, a report, or
//! whoever imports it says to which operation it belongs, since bundles also name victims and bystanders.

mod asset;
mod kept;
mod node;
mod plan;
mod relations;
mod stages;
mod statement;
mod technique;
mod text;
mod versions;
mod waiting;

use std::collections::HashMap;

use prost::Message as _;
use uuid::Uuid;

use crate::interop::stix::bundle::Bundle;
use crate::model::handling::Handling;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::pb;

pub use self::plan::plan;
pub use self::stages::stages;
pub use self::versions::Version;
pub use self::versions::Versions;

/// As whose records, for whom, and into what.
#[derive(Clone, Debug)]
pub struct ImportTarget {
    /// The publisher.
    pub member: MemberId,
    /// The publisher's secret namespace.
    pub namespace: Uuid,
    /// Who may read the records. A stricter marking of an object wins over its label.
    pub handling: Handling,
    /// The operation of what no object says to belong to another one.
    pub operation: Option<RecordName>,
    /// The time.
    pub now: Timestamp,
    /// Objects that signed records speak for, by id: they are taken with those.
    pub said: HashMap<String, RecordName>,
    /// Objects of signed records that are not taken, by id, and why: no unsigned record is made of them.
    pub not_taken: HashMap<String, String>,
    /// What was imported before.
    pub versions: Versions,
}

impl ImportTarget {
    /// The record of what these parts name: the same each time.
    pub fn record(&self, parts: &[&str]) -> RecordName {
        let name = parts
            .iter()
            .fold("stix".to_owned(), |name, part| format!("{name}{}:{part}", part.len()));
        let record = Uuid::new_v5(&self.namespace, name.as_bytes());
        RecordName { member: self.member.clone(), record }
    }
}

/// A record that an object becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Its name.
    pub name: RecordName,
    /// Who may read it.
    pub handling: Handling,
    /// Its kind.
    pub kind: BodyKind,
    /// What it says.
    pub content: pb::body::Content,
}

impl Planned {
    /// The records that must be there before it.
    pub fn targets(&self) -> Vec<RecordName> {
        let body = pb::Body { salt: vec![0; 32], content: Some(self.content.clone()) };
        let content = wire::body::content(&body.encode_to_vec(), self.kind);
        content.map_or_else(
            |_invalid| Vec::new(),
            |(content, _body)| {
                content.targets().into_iter().map(|(_field, name)| name.clone()).collect()
            },
        )
    }
}

/// What bundles become.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The records, each behind those that it is about.
    pub records: Vec<Planned>,
    /// What became of every object.
    pub account: Account,
    /// The versions of the objects that were taken.
    pub versions: Vec<(String, Version)>,
}

/// What became of every object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Objects.
    pub objects: u64,
    /// Objects that became records.
    pub carried: u64,
    /// Objects that went into the records of others.
    pub joined: u64,
    /// Objects that signed records speak for.
    pub said: u64,
    /// Objects that say again what another one says.
    pub duplicates: u64,
    /// Objects that were not taken, each with its reason.
    pub skipped: Vec<Skipped>,
}

/// An object that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file.
    pub file: String,
    /// Its id, or its number.
    pub object: String,
    /// Why.
    pub reason: String,
}

impl Account {
    /// Whether the ways in which an object ends add up to the objects.
    pub fn adds_up(&self) -> bool {
        let skipped = u64::try_from(self.skipped.len()).unwrap_or(u64::MAX);
        self.carried + self.joined + self.said + self.duplicates + skipped == self.objects
    }
}

/// A file and the bundle in it.
#[derive(Debug)]
pub struct BundleFile {
    /// Its name.
    pub file: String,
    /// What it holds.
    pub bundle: Bundle,
}

#[cfg(test)]
mod tests;
