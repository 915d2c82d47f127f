//! Filters from the wire, and to it.

use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::InvalidName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::pb;

/// Parses a filter; a value that cannot match anything is refused, not ignored.
pub fn filter(wire: Option<pb::Filter>) -> Result<Filter, Refusal> {
    let Some(wire) = wire else {
        return Ok(Filter::default());
    };
    let pb::Filter { body_kinds, kinds, platforms, publishers, operations } = wire;
    for (count, field) in [
        (body_kinds.len(), "filter.body_kinds"),
        (kinds.len(), "filter.kinds"),
        (platforms.len(), "filter.platforms"),
        (publishers.len(), "filter.publishers"),
        (operations.len(), "filter.operations"),
    ] {
        if count > limits::FILTER_VALUES_MAX {
            let message = format!("at most {} values are taken", limits::FILTER_VALUES_MAX);
            return Err(Refusal::field(Reason::FieldInvalid, field, message));
        }
    }
    let unknown = |field| {
        move |_unknown| {
            Refusal::field(Reason::UnsupportedField, field, "is not known to this version")
        }
    };
    let named = |field| {
        move |error: InvalidName| Refusal::field(Reason::FieldInvalid, field, error.to_string())
    };
    Ok(Filter {
        body_kinds: body_kinds
            .into_iter()
            .map(|number| BodyKind::from_number(number).ok_or(number))
            .collect::<Result<_, _>>()
            .map_err(unknown("filter.body_kinds"))?,
        kinds: kinds
            .into_iter()
            .map(|number| match pb::ObservableKind::try_from(number) {
                Ok(pb::ObservableKind::Unspecified) | Err(_) => Err(number),
                Ok(_known) => Ok(number),
            })
            .collect::<Result<_, _>>()
            .map_err(unknown("filter.kinds"))?,
        platforms,
        publishers: publishers
            .iter()
            .map(|name| MemberId::from_name(name))
            .collect::<Result<_, _>>()
            .map_err(named("filter.publishers"))?,
        operations: operations
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .map_err(named("filter.operations"))?,
    })
}

/// The message of a filter.
pub fn filter_to_wire(filter: &Filter) -> pb::Filter {
    let Filter { body_kinds, kinds, platforms, publishers, operations } = filter;
    pb::Filter {
        body_kinds: body_kinds.iter().map(|kind| kind.number()).collect(),
        kinds: kinds.clone(),
        platforms: platforms.clone(),
        publishers: publishers.iter().map(MemberId::name).collect(),
        operations: operations.iter().map(ToString::to_string).collect(),
    }
}
