//! Until when a record may be acted on, as its publisher signed it.

use crate::model::header::Header;
use crate::model::time::Timestamp;
use crate::wire::pb;
use crate::wire::time;

/// The moment from which readers should no longer act on a record: the earlier of the handling's `use_until` and the
/// indicator's `valid_until`. `None` if it has no end.
pub fn expiry(header: &Header, body: Option<&pb::Body>) -> Option<Timestamp> {
    let valid_until = match body.and_then(|body| body.content.as_ref()) {
        Some(pb::body::Content::Indicator(indicator)) => indicator.valid_until_time.as_ref(),
        _ => None,
    };
    let valid_until = valid_until.and_then(|until| time::timestamp(until, "valid_until").ok());
    [header.handling.use_until, valid_until].into_iter().flatten().min()
}
