//! The limits of what a body may hold, field by field.
//!
//! Every message is taken apart by name, so that a field that is added later does not compile until someone
//! decides about it.

use crate::model::limits;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::wire::header::invalid;
use crate::wire::pb;
use crate::wire::time;

/// A text of bounded length.
pub(super) fn text(value: &str, bytes_max: usize, field: &'static str) -> Result<(), Refusal> {
    if value.len() > bytes_max {
        return Err(invalid(field, &format!("at most {bytes_max} bytes are taken")));
    }
    Ok(())
}

pub(super) fn texts(
    values: &[String],
    items: usize,
    bytes: usize,
    field: &'static str,
) -> Result<(), Refusal> {
    count(values.len(), items, field)?;
    values.iter().try_for_each(|value| text(value, bytes, field))
}

pub(super) fn count(found: usize, maximum: usize, field: &'static str) -> Result<(), Refusal> {
    if found > maximum {
        return Err(invalid(field, &format!("at most {maximum} are taken")));
    }
    Ok(())
}

pub(super) fn moment(
    value: Option<&prost_types::Timestamp>,
    field: &'static str,
) -> Result<(), Refusal> {
    value.map_or(Ok(()), |value| time::timestamp(value, field).map(|_valid| ()))
}

pub(super) fn known<E: TryFrom<i32>>(number: i32, field: &'static str) -> Result<E, Refusal> {
    E::try_from(number).map_err(|_unknown| {
        Refusal::field(
            Reason::UnsupportedField,
            field,
            format!("{number} is not known to this version"),
        )
    })
}

pub(super) fn confidence(value: Option<u32>, field: &'static str) -> Result<(), Refusal> {
    if value.is_some_and(|value| value > 100) {
        return Err(invalid(field, "must be 0 to 100"));
    }
    Ok(())
}

/// An enum value that is known and was chosen.
pub(super) fn chosen<E: TryFrom<i32>>(number: i32, field: &'static str) -> Result<E, Refusal> {
    if number == 0 {
        return Err(invalid(field, "must be set"));
    }
    known(number, field)
}

pub(super) fn indicator(wire: &pb::Indicator) -> Result<(), Refusal> {
    let pb::Indicator {
        observable: wire_observable,
        operation: _parsed_by_the_caller,
        first_seen_time,
        last_seen_time,
        valid_from_time,
        valid_until_time,
        confidence,
        review,
        techniques,
        metrics,
        evidence,
        description,
        labels,
        warning_seen: _either,
    } = wire;
    if let Some(observable) = wire_observable {
        self::observable(observable)?;
    }
    moment(first_seen_time.as_ref(), "body.indicator.first_seen_time")?;
    moment(last_seen_time.as_ref(), "body.indicator.last_seen_time")?;
    moment(valid_from_time.as_ref(), "body.indicator.valid_from_time")?;
    moment(valid_until_time.as_ref(), "body.indicator.valid_until_time")?;
    self::confidence(*confidence, "body.indicator.confidence")?;
    known::<pb::Review>(*review, "body.indicator.review")?;
    self::techniques(techniques, "body.indicator.techniques")?;
    self::metrics(metrics, "body.indicator.metrics")?;
    count(evidence.len(), limits::ITEMS_MAX, "body.indicator.evidence")?;
    evidence.iter().try_for_each(self::evidence)?;
    text(description, limits::TEXT_BYTES_MAX, "body.indicator.description")?;
    texts(labels, limits::ITEMS_MAX, limits::LABEL_BYTES_MAX, "body.indicator.labels")
}

pub(super) fn observable(wire: &pb::Observable) -> Result<(), Refusal> {
    let pb::Observable {
        kind,
        platform,
        value,
        platform_id,
        display_name,
        algorithm,
        aggregate,
        advertisement,
    } = wire;
    let kind = known::<pb::ObservableKind>(*kind, "body.indicator.observable.kind")?;
    if kind == pb::ObservableKind::Unspecified {
        return Err(invalid("body.indicator.observable.kind", "must be set"));
    }
    text(value, limits::VALUE_BYTES_MAX, "body.indicator.observable.value")?;
    text(platform, limits::LABEL_BYTES_MAX, "body.indicator.observable.platform")?;
    text(platform_id, limits::LABEL_BYTES_MAX, "body.indicator.observable.platform_id")?;
    text(display_name, limits::LABEL_BYTES_MAX, "body.indicator.observable.display_name")?;
    text(algorithm, limits::LABEL_BYTES_MAX, "body.indicator.observable.algorithm")?;
    match (kind, aggregate) {
        (pb::ObservableKind::Aggregate, Some(aggregate)) => self::aggregate(aggregate)?,
        (pb::ObservableKind::Aggregate, None) | (_, Some(_)) => {
            return Err(invalid(
                "body.indicator.observable.aggregate",
                "must be set for AGGREGATE and for nothing else",
            ));
        }
        (_, None) => {}
    }
    advertisement.as_ref().map_or(Ok(()), self::advertisement)
}

fn aggregate(wire: &pb::Aggregate) -> Result<(), Refusal> {
    let pb::Aggregate { of, count: whole, parts } = wire;
    countable(*of, "body.indicator.observable.aggregate.of")?;
    let whole = bounds(whole.as_ref(), "body.indicator.observable.aggregate.count")?;
    count(parts.len(), limits::ITEMS_MAX, "body.indicator.observable.aggregate.parts")?;
    let mut low: u64 = 0;
    let mut high = Some(0_u64);
    for part in parts {
        let part = self::part(part, "body.indicator.observable.aggregate.parts")?;
        low = low.saturating_add(part.0);
        high = high.zip(part.1).map(|(sum, part)| sum.saturating_add(part));
    }
    let apart = whole.1.is_some_and(|top| low > top) || high.is_some_and(|top| top < whole.0);
    if !parts.is_empty() && apart {
        return Err(Refusal::field(
            Reason::CountsDoNotAdd,
            "body.indicator.observable.aggregate.parts",
            "the parts cannot add up to the whole",
        ));
    }
    Ok(())
}

/// The bounds of so many of one kind on one platform.
pub(super) fn part(
    wire: &pb::AggregatePart,
    field: &'static str,
) -> Result<(u64, Option<u64>), Refusal> {
    let pb::AggregatePart { of, platform, count } = wire;
    countable(*of, field)?;
    text(platform, limits::LABEL_BYTES_MAX, field)?;
    bounds(count.as_ref(), field)
}

fn countable(number: i32, field: &'static str) -> Result<(), Refusal> {
    let kind = known::<pb::ObservableKind>(number, field)?;
    if matches!(kind, pb::ObservableKind::Aggregate | pb::ObservableKind::Unspecified) {
        return Err(invalid(field, "must say which assets are counted"));
    }
    Ok(())
}

/// The lower bound and, if there is one, the upper bound of a figure.
pub(super) fn bounds(
    wire: Option<&pb::Figure>,
    field: &'static str,
) -> Result<(u64, Option<u64>), Refusal> {
    match wire.and_then(|figure| figure.value.as_ref()) {
        Some(pb::figure::Value::Exact(number)) => Ok((*number, Some(*number))),
        Some(pb::figure::Value::AtLeast(number)) => Ok((*number, None)),
        Some(pb::figure::Value::Between(pb::FigureRange { low, high })) if low <= high => {
            Ok((*low, Some(*high)))
        }
        Some(pb::figure::Value::Between(_)) => Err(invalid(field, "low must not exceed high")),
        None => Err(invalid(field, "must be set")),
    }
}

fn advertisement(wire: &pb::Advertisement) -> Result<(), Refusal> {
    let pb::Advertisement { payer, spend, currency, impressions, run_start_time, run_end_time } =
        wire;
    let field = "body.indicator.observable.advertisement";
    text(payer, limits::LABEL_BYTES_MAX, field)?;
    moment(run_start_time.as_ref(), field)?;
    moment(run_end_time.as_ref(), field)?;
    for figure in [spend, impressions].into_iter().flatten() {
        bounds(Some(figure), field)?;
    }
    money(currency, spend.is_some(), field)
}

fn money(currency: &str, is_money: bool, field: &'static str) -> Result<(), Refusal> {
    let code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_uppercase());
    match (is_money, currency.is_empty()) {
        (false, true) => Ok(()),
        (true, false) if code => Ok(()),
        _ => Err(invalid(
            field,
            "money has a currency of three capital letters, nothing else has one",
        )),
    }
}

pub(super) fn metrics(wire: &[pb::Metric], field: &'static str) -> Result<(), Refusal> {
    count(wire.len(), limits::TECHNIQUES_MAX, field)?;
    for metric in wire {
        let pb::Metric { kind, figure, currency, region, platform, as_of_time, claimant, note } =
            metric;
        let kind = known::<pb::MetricKind>(*kind, field)?;
        if kind == pb::MetricKind::Unspecified {
            return Err(invalid(field, "the kind must be set"));
        }
        bounds(figure.as_ref(), field)?;
        money(currency, kind == pb::MetricKind::AdSpend, field)?;
        moment(as_of_time.as_ref(), field)?;
        for short in [region, platform, claimant] {
            text(short, limits::LABEL_BYTES_MAX, field)?;
        }
        text(note, limits::TEXT_BYTES_MAX, field)?;
    }
    Ok(())
}

fn techniques(wire: &[pb::Technique], field: &'static str) -> Result<(), Refusal> {
    count(wire.len(), limits::TECHNIQUES_MAX, field)?;
    for technique in wire {
        let pb::Technique { framework, version, external_id, name, phase, observed } = technique;
        if framework.is_empty() {
            return Err(invalid(field, "the framework must be set"));
        }
        for short in [framework, version, external_id, name, phase] {
            text(short, limits::LABEL_BYTES_MAX, field)?;
        }
        text(observed, limits::TEXT_BYTES_MAX, field)?;
    }
    Ok(())
}

fn evidence(wire: &pb::Evidence) -> Result<(), Refusal> {
    let pb::Evidence { sha256, media_type, uri } = wire;
    if sha256.len() != 32 {
        return Err(invalid("body.indicator.evidence.sha256", "must be 32 bytes"));
    }
    text(media_type, limits::LABEL_BYTES_MAX, "body.indicator.evidence.media_type")?;
    text(uri, limits::VALUE_BYTES_MAX, "body.indicator.evidence.uri")
}

pub(super) fn operation(wire: &pb::Operation) -> Result<(), Refusal> {
    let pb::Operation {
        title,
        aliases,
        status,
        origin_regions,
        target_regions,
        languages,
        narratives,
        first_activity_time,
        last_activity_time,
        references,
        description,
        techniques,
        metrics,
        labels,
    } = wire;
    if title.trim().is_empty() {
        return Err(invalid("body.operation.title", "must not be empty"));
    }
    text(title, limits::LABEL_BYTES_MAX, "body.operation.title")?;
    known::<pb::OperationStatus>(*status, "body.operation.status")?;
    let short = limits::LABEL_BYTES_MAX;
    texts(aliases, limits::ITEMS_MAX, short, "body.operation.aliases")?;
    texts(origin_regions, limits::ITEMS_MAX, short, "body.operation.origin_regions")?;
    texts(target_regions, limits::ITEMS_MAX * 4, short, "body.operation.target_regions")?;
    texts(languages, limits::ITEMS_MAX, short, "body.operation.languages")?;
    texts(narratives, limits::NARRATIVES_MAX, limits::TEXT_BYTES_MAX, "body.operation.narratives")?;
    moment(first_activity_time.as_ref(), "body.operation.first_activity_time")?;
    moment(last_activity_time.as_ref(), "body.operation.last_activity_time")?;
    texts(references, limits::ITEMS_MAX, limits::VALUE_BYTES_MAX, "body.operation.references")?;
    text(description, limits::TEXT_BYTES_MAX, "body.operation.description")?;
    self::techniques(techniques, "body.operation.techniques")?;
    self::metrics(metrics, "body.operation.metrics")?;
    texts(labels, limits::ITEMS_MAX, short, "body.operation.labels")
}
