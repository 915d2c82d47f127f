//! Strict parsing: bytes that were signed have exactly one meaning and one spelling.
//!
//! prost drops unknown fields, takes the last of duplicates and several encodings of a number. So what was
//! decoded is encoded again and compared: whatever was unknown, doubled or oddly spelt shows as a difference.

use prost::Message;

use crate::model::reason::Reason;
use crate::model::reason::Refusal;

/// Decodes a message whose bytes must be canonical.
pub(super) fn decode<M: Message + Default>(
    bytes: &[u8],
    field: &'static str,
) -> Result<M, Refusal> {
    let message = M::decode(bytes)
        .map_err(|error| Refusal::field(Reason::MalformedEnvelope, field, error.to_string()))?;
    if message.encoded_len() != bytes.len() || message.encode_to_vec() != bytes {
        return Err(Refusal::field(
            Reason::UnsupportedField,
            field,
            "the bytes hold an unknown field, a field twice, or an encoding that is not canonical",
        ));
    }
    Ok(message)
}
