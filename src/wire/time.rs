//! Times on the wire: `google.protobuf.Timestamp`, in whole microseconds from 1970 to 9999.

use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::model::time::Timestamp;

/// From the wire; refuses what is before 1970, after 9999 or finer than a microsecond.
pub fn timestamp(wire: &prost_types::Timestamp, field: &'static str) -> Result<Timestamp, Refusal> {
    let prost_types::Timestamp { seconds, nanos } = *wire;
    let refusal = || {
        Refusal::field(
            Reason::FieldInvalid,
            field,
            "must be between 1970 and 9999, in whole microseconds",
        )
    };
    let seconds = u64::try_from(seconds).map_err(|_negative| refusal())?;
    let nanos = u64::try_from(nanos).map_err(|_negative| refusal())?;
    if nanos >= 1_000_000_000 || nanos % 1000 != 0 {
        return Err(refusal());
    }
    seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(nanos / 1000))
        .and_then(Timestamp::from_micros)
        .ok_or_else(refusal)
}

/// To the wire.
pub fn timestamp_to_wire(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_micros();
    prost_types::Timestamp {
        seconds: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(micros % 1_000_000 * 1000).unwrap_or(0),
    }
}
