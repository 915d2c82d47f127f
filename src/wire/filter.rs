//! Filters from the wire, and to it.

use crate::model::filter::Filter;
use crate::model::header::BodyKind;
use crate::model::limits;
use crate::model::names::InvalidName;
use crate::model::names::MemberId;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::pb;

/// Parses the filter of a request; a value that cannot match anything is refused, not ignored.
pub fn filter(wire: Option<pb::Filter>) -> Result<Filter, Refusal> {
    let platforms = wire.iter().flat_map(|wire| &wire.platforms);
    let longest = platforms.map(String::len).max().unwrap_or_default();
    if longest > limits::LABEL_BYTES_MAX {
        let message = format!("a platform has at most {} bytes", limits::LABEL_BYTES_MAX);
        return Err(Refusal::field(Reason::FieldInvalid, "filter.platforms", message));
    }
    known(wire)
}

/// The same for the filter of a stream or a durable subscription, which the hub keeps: at most
/// [`limits::FILTER_KEPT_BYTES_MAX`].
pub fn kept_filter(wire: Option<pb::Filter>) -> Result<Filter, Refusal> {
    let bytes = wire.as_ref().map_or(0, prost::Message::encoded_len);
    let filter = filter(wire)?;
    if bytes > limits::FILTER_KEPT_BYTES_MAX {
        let message = format!(
            "{bytes} bytes, more than the {} of a filter that is kept; ask for more, and leave out what comes with it",
            limits::FILTER_KEPT_BYTES_MAX
        );
        return Err(Refusal::field(Reason::FieldInvalid, "filter", message));
    }
    Ok(filter)
}

/// Parses a filter that was taken before, whatever was taken then.
pub fn known(wire: Option<pb::Filter>) -> Result<Filter, Refusal> {
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

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn of_platforms(platforms: Vec<String>) -> pb::Filter {
        pb::Filter { platforms, ..pb::Filter::default() }
    }

    #[track_caller]
    fn refused(filter: Result<Filter, Refusal>, field: &str) {
        let refusal = filter.unwrap_err();
        assert_eq!((refusal.reason, refusal.field), (Reason::FieldInvalid, field));
    }

    #[test]
    fn long_platforms_are_refused_and_a_filter_that_is_kept_is_small() {
        let long = || of_platforms(vec!["x".repeat(limits::LABEL_BYTES_MAX + 1)]);
        refused(filter(Some(long())), "filter.platforms");
        refused(kept_filter(Some(long())), "filter.platforms");
        assert!(known(Some(long())).is_ok(), "one that was taken before");

        let many = || of_platforms(vec!["x".repeat(limits::LABEL_BYTES_MAX); 8]);
        assert!(filter(Some(many())).is_ok(), "nothing is kept of a question");
        refused(kept_filter(Some(many())), "filter");
        let operation = "members/acme-video/records/26d1d03c-f157-5abe-86d6-cc81df41a8f7";
        let operations = vec![operation.to_owned(); 20];
        assert!(kept_filter(Some(pb::Filter { operations, ..pb::Filter::default() })).is_ok());
    }

    #[test]
    fn what_is_kept_is_never_larger_than_what_was_said() {
        let wire = of_platforms(vec!["x".repeat(100); 20]);
        let said = wire.encoded_len();
        assert!(said > limits::FILTER_KEPT_BYTES_MAX - 100);
        assert!(filter_to_wire(&kept_filter(Some(wire)).unwrap()).encoded_len() <= said);
    }
}
