//! What `tests/fuzz` reaches of this module and nothing else does: its parsers of foreign bytes, which stay private.

use prost::Message as _;

use crate::model::head::HeadName;
use crate::model::names::MemberId;
use crate::model::names::SubscriptionName;
use crate::model::report::ReportName;
use crate::store::Head;
use crate::store::LogBlock;
use crate::store::StoreError;
use crate::store::block;
use crate::store::index::Index;
use crate::store::index::Keys;
use crate::store::index::RunFilter;
use crate::store::keys;
use crate::store::log;

/// The format of the store, which a backup names.
pub const FORMAT: u32 = log::FORMAT;

/// A value with its checksum before it.
pub fn seal(payload: &[u8]) -> Vec<u8> {
    block::seal(payload)
}

/// A block and the head behind it. Its pieces are sealed values, too.
pub fn block(
    first: u64,
    row: &[u8],
    pieces: &[Vec<u8>],
) -> Result<(LogBlock, Option<Vec<u8>>), StoreError> {
    let missing = || StoreError::corrupt("a block", "a piece is missing");
    let piece = |number: u16| pieces.get(usize::from(number)).cloned().ok_or_else(missing);
    let decoded = block::decode(first, row, piece)?;
    Ok((decoded.block, decoded.head))
}

/// The values of a block as it is written; `None` if not all of its entries fit one block.
pub fn written(block: &LogBlock, head: Option<&[u8]>) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut builder = block::Builder::new(block.first);
    for entry in &block.entries {
        builder.take(&entry.facts, &block.framed(entry)).ok().filter(|taken| *taken)?;
    }
    let built = builder.build(head).ok()?;
    Some((built.row.to_vec(), built.pieces))
}

/// The head of the log, and its bytes again.
pub fn head(bytes: &[u8]) -> Option<(Head, Vec<u8>)> {
    let head = log::head_from_disk(bytes).ok()?;
    let again = log::head_to_disk(&head).encode_to_vec();
    Some((head, again))
}

/// The postings in a row of an index.
pub fn postings(sealed: &[u8]) -> Option<Vec<(u64, u64)>> {
    Index::new(0, Keys::Few).decode(sealed).ok()
}

/// Whether the filter of a run lets a value through; its bytes again.
pub fn run_filter(bytes: &[u8], value: u64) -> Option<(bool, Vec<u8>)> {
    let filter = RunFilter::from_bytes(bytes)?;
    Some((filter.may_contain(value), filter.to_bytes()))
}

/// The filter of a run that has these values, which rise.
pub fn run_filter_of(values: &[u64]) -> Vec<u8> {
    RunFilter::of(&values.iter().map(|value| (*value, 0)).collect::<Vec<_>>()).to_bytes()
}

/// The names in keys of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// A demand's time and sequence.
    pub demand: Option<(u64, u64)>,
    /// Who cosigned.
    pub cosigner: Option<MemberId>,
    /// A report.
    pub report: Option<ReportName>,
    /// A subscription.
    pub subscription: Option<SubscriptionName>,
}

/// What the parsers of keys find in one.
pub fn named(key: &[u8]) -> Named {
    Named {
        demand: keys::demand_of(key),
        cosigner: keys::cosigner(key),
        report: keys::report_name(key),
        subscription: keys::subscription_name(key),
    }
}

/// The keys of these names.
pub fn keys_of(named: &Named) -> Vec<Vec<u8>> {
    let Named { demand, cosigner, report, subscription } = named;
    let demand = demand.map(|(due, sequence)| keys::demand(due, sequence));
    let keys = [
        demand,
        cosigner.as_ref().map(keys::cosignature),
        report.as_ref().map(keys::report),
        subscription.as_ref().map(keys::subscription),
    ];
    keys.into_iter().flatten().collect()
}

/// The key of a head.
pub fn head_key(name: &HeadName) -> Vec<u8> {
    keys::head(name)
}
