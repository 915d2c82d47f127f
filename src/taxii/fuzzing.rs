//! What `tests/fuzz` reaches of this module and nothing else does: its parsers of foreign bytes, which stay private.

use crate::exchange::ObjectsQuery;
use crate::model::reason::Refusal;
use crate::taxii::query;
use crate::taxii::query::Matches;

/// What the query of a request for objects asks for, how many, and from where on.
pub fn query(text: &str) -> Result<(ObjectsQuery, usize, String), Refusal> {
    for less in [Matches::OneObject, Matches::Versions] {
        // Endpoints that look at fewer parameters refuse no more.
        let _refused = query::parse(text, less).err();
    }
    let parsed = query::parse(text, Matches::Everything)?;
    Ok((parsed.objects, parsed.limit, parsed.next))
}
