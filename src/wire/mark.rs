//! What the hub signs with its marks: what it has sent on one stream.

use prost::Message as _;

use crate::model::names::Digest;
use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::strict;
use crate::wire::time;

/// The DSSE payload type of a mark's statement.
pub const MARK_PAYLOAD_TYPE: &str = "application/vnd.watchfire.mark.v1+protobuf";

/// Names a stream apart from all others of its exchange: random.
pub type StreamId = [u8; 16];

/// A mark's statement, taken apart. What was signed are the bytes that it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkStatement {
    /// The exchange.
    pub exchange: ExchangeName,
    /// Whose stream.
    pub member: MemberId,
    /// Which stream.
    pub stream: StreamId,
    /// The filter.
    pub filter_digest: Digest,
    /// The epoch.
    pub epoch: u32,
    /// The size of the log as of which it was judged what the member may see.
    pub access: u64,
    /// Where the stream began.
    pub start: u64,
    /// Everything below was sent.
    pub position: u64,
    /// The log's size.
    pub head: u64,
    /// The root of the tree of that size.
    pub root: Digest,
    /// Entries sent so far.
    pub count: u64,
    /// Running digest over their leaf hashes.
    pub digest: Digest,
    /// The hub's time.
    pub time: Timestamp,
    /// Running digest over the entries about the roster below the log's size.
    pub roster_digest: Digest,
}

impl MarkStatement {
    /// The bytes to be signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        pb::MarkStatement {
            exchange: self.exchange.name(),
            member: self.member.name(),
            stream: self.stream.to_vec(),
            filter_digest: self.filter_digest.to_vec(),
            epoch: self.epoch,
            access: self.access,
            start: self.start,
            position: self.position,
            head: self.head,
            root: self.root.to_vec(),
            count: self.count,
            digest: self.digest.to_vec(),
            time: Some(time::timestamp_to_wire(self.time)),
            roster_digest: self.roster_digest.to_vec(),
        }
        .encode_to_vec()
    }

    /// Parses the exact bytes that were signed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let pb::MarkStatement {
            exchange,
            member,
            stream,
            filter_digest,
            epoch,
            access,
            start,
            position,
            head,
            root,
            count,
            digest,
            time: wire_time,
            roster_digest,
        } = strict::decode(bytes, "statement")?;
        let malformed = |field: &'static str| {
            Refusal::field(Reason::MalformedEnvelope, field, "is not what it must be")
        };
        let time = wire_time.ok_or_else(|| malformed("statement.time"))?;
        Ok(Self {
            exchange: ExchangeName::from_name(&exchange)
                .map_err(|_invalid| malformed("statement.exchange"))?,
            member: MemberId::from_name(&member)
                .map_err(|_invalid| malformed("statement.member"))?,
            stream: fixed(&stream).ok_or_else(|| malformed("statement.stream"))?,
            filter_digest: fixed(&filter_digest)
                .ok_or_else(|| malformed("statement.filter_digest"))?,
            epoch,
            access,
            start,
            position,
            head,
            root: fixed(&root).ok_or_else(|| malformed("statement.root"))?,
            count,
            digest: fixed(&digest).ok_or_else(|| malformed("statement.digest"))?,
            time: time::timestamp(&time, "statement.time")?,
            roster_digest: fixed(&roster_digest)
                .ok_or_else(|| malformed("statement.roster_digest"))?,
        })
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> MarkStatement {
        MarkStatement {
            exchange: ExchangeName::from_name("exchanges/spring-0123456789abcdef").unwrap(),
            member: "acme-video".parse().unwrap(),
            stream: [1; 16],
            filter_digest: [2; 32],
            epoch: 1,
            access: 3,
            start: 4,
            position: 5,
            head: 6,
            root: [7; 32],
            count: 8,
            digest: [9; 32],
            time: Timestamp::from_micros(1_800_000_000_000_001).unwrap(),
            roster_digest: [10; 32],
        }
    }

    #[test]
    fn a_statement_survives_its_bytes() {
        let statement = statement();
        assert_eq!(MarkStatement::from_bytes(&statement.to_bytes()), Ok(statement));
    }

    #[test]
    fn the_bytes_of_a_statement_have_one_spelling() {
        let bytes = statement().to_bytes();
        let mut longer = bytes.clone();
        longer.extend([0xf8, 0x07, 0x01]);
        MarkStatement::from_bytes(&longer).unwrap_err();
        let cut = (0..bytes.len()).find(|end| MarkStatement::from_bytes(&bytes[..*end]).is_ok());
        assert_eq!(cut, None, "every field counts");
    }
}
