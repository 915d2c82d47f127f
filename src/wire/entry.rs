//! Entries as they are stored and sent: a field of a stream frame, with tag and length before it.

use bytes::BufMut as _;
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::encode_varint;

use crate::wire::pb;

/// The tag of `entries` in `SubscribeResponse`, `ListRecordsResponse` and `ValueMatches`' own field apart.
const ENTRIES_TAG: u8 = 0x0a;

/// Encodes an entry with tag and length before it, so that it is a field of a stream frame.
pub fn frame(entry: &pb::Entry) -> Vec<u8> {
    let length = entry.encoded_len();
    let mut framed = Vec::with_capacity(length + 6);
    framed.put_u8(ENTRIES_TAG);
    encode_varint(u64::try_from(length).unwrap_or(u64::MAX), &mut framed);
    entry.encode_raw(&mut framed);
    framed
}

/// Decodes what [`frame`] made; `None` if it is damaged.
pub fn decode(mut framed: Bytes) -> Option<pb::Entry> {
    if framed.is_empty() || framed.split_to(1).first() != Some(&ENTRIES_TAG) {
        return None;
    }
    pb::Entry::decode_length_delimited(framed).ok()
}
