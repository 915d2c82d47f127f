//! From what records say to what a briefing says: numbers, times and words.

use crate::briefing::ActionKind;
use crate::briefing::Confidence;
use crate::briefing::Figure;
use crate::briefing::Measure;
use crate::briefing::OperationStatus;
use crate::briefing::RecallReason;
use crate::briefing::Said;
use crate::briefing::Stance;
use crate::briefing::TotalPart;
use crate::client::verifier::VerifiedEntry;
use crate::model::observable::ObservableKind;
use crate::model::time::Timestamp;
use crate::wire;
use crate::wire::pb;
use crate::wire::pb::figure::Value;

/// A time, if one is stated.
pub(super) fn time(wire: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    wire::time::timestamp(wire?, "time").ok()
}

/// A number, if one is stated.
pub(super) fn figure(wire: Option<&pb::Figure>) -> Option<Figure> {
    Some(match wire?.value.as_ref()? {
        Value::Exact(number) => Figure::Exact(*number),
        Value::AtLeast(number) => Figure::AtLeast(*number),
        Value::Between(range) => Figure::Between { low: range.low, high: range.high },
    })
}

/// How sure somebody is, if that is stated.
pub(super) fn confidence(wire: Option<u32>) -> Option<Confidence> {
    Confidence::new(u8::try_from(wire?).ok()?)
}

/// The word of an enumeration as people read it; nothing if it is not stated.
pub(super) fn word(name: &str, prefix: &str) -> Said {
    let word = name.strip_prefix(prefix).unwrap_or(name);
    let word = if word == "UNSPECIFIED" { "" } else { word };
    Said::from(word.to_ascii_lowercase().replace('_', " "))
}

/// Each as it was said.
pub(super) fn all(texts: &[String]) -> Vec<Said> {
    texts.iter().map(|text| Said::from(text.as_str())).collect()
}

/// Parts of a count.
pub(super) fn parts(wire: &[pb::AggregatePart]) -> Vec<TotalPart> {
    let part = |part: &pb::AggregatePart| {
        Some(TotalPart {
            platform: Said::from(part.platform.as_str()),
            kind: ObservableKind::from_number(part.of)?,
            figure: figure(part.count.as_ref())?,
        })
    };
    wire.iter().filter_map(part).collect()
}

/// What a figure measures.
pub(super) const fn measure(kind: pb::MetricKind) -> Option<Measure> {
    Some(match kind {
        pb::MetricKind::Unspecified => return None,
        pb::MetricKind::Views => Measure::Views,
        pb::MetricKind::Followers => Measure::Followers,
        pb::MetricKind::Members => Measure::Members,
        pb::MetricKind::AccountsReached => Measure::AccountsReached,
        pb::MetricKind::Impressions => Measure::Impressions,
        pb::MetricKind::Engagements => Measure::Engagements,
        pb::MetricKind::AdSpend => Measure::AdSpend,
        pb::MetricKind::AdCount => Measure::AdCount,
        pb::MetricKind::Posts => Measure::Posts,
    })
}

/// How an operation stands.
pub(super) const fn status(status: pb::OperationStatus) -> Option<OperationStatus> {
    Some(match status {
        pb::OperationStatus::Unspecified => return None,
        pb::OperationStatus::Suspected => OperationStatus::Suspected,
        pb::OperationStatus::Active => OperationStatus::Active,
        pb::OperationStatus::Disrupted => OperationStatus::Disrupted,
        pb::OperationStatus::Dormant => OperationStatus::Dormant,
    })
}

/// What was done.
pub(super) const fn action(action: pb::Action) -> Option<ActionKind> {
    Some(match action {
        pb::Action::Unspecified => return None,
        pb::Action::Removed => ActionKind::Removed,
        pb::Action::Restricted => ActionKind::Restricted,
        pb::Action::Labelled => ActionKind::Labelled,
        pb::Action::Demonetised => ActionKind::Demonetised,
        pb::Action::Referred => ActionKind::Referred,
        pb::Action::Monitored => ActionKind::Monitored,
        pb::Action::NoAction => ActionKind::NoAction,
        pb::Action::Restored => ActionKind::Restored,
    })
}

/// How far somebody agrees.
pub(super) const fn stance(stance: pb::Stance) -> Option<Stance> {
    Some(match stance {
        pb::Stance::Unspecified => return None,
        pb::Stance::StronglyDisagree => Stance::StronglyDisagrees,
        pb::Stance::Disagree => Stance::Disagrees,
        pb::Stance::Neutral => Stance::Neutral,
        pb::Stance::Agree => Stance::Agrees,
        pb::Stance::StronglyAgree => Stance::StronglyAgrees,
    })
}

/// Why a publisher takes a record back; verified bodies state it.
pub(super) const fn withdrawal_reason(reason: pb::WithdrawalReason) -> RecallReason {
    match reason {
        pb::WithdrawalReason::Unspecified | pb::WithdrawalReason::Error => RecallReason::Error,
        pb::WithdrawalReason::Restored => RecallReason::Restored,
        pb::WithdrawalReason::Restricted => RecallReason::Restricted,
        pb::WithdrawalReason::Legal => RecallReason::Legal,
        pb::WithdrawalReason::Privacy => RecallReason::Privacy,
        pb::WithdrawalReason::Duplicate => RecallReason::Duplicate,
    }
}

/// Why the operator takes a record down; verified bodies state it.
pub(super) const fn takedown_reason(reason: pb::TakedownReason) -> RecallReason {
    match reason {
        pb::TakedownReason::Unspecified | pb::TakedownReason::Legal => RecallReason::Legal,
        pb::TakedownReason::Privacy => RecallReason::Privacy,
        pb::TakedownReason::SuspendedMember => RecallReason::SuspendedMember,
    }
}

/// A record in a few words: the title of an operation, the value of an indicator, else its kind.
pub(super) fn title(entry: &VerifiedEntry) -> Said {
    let content = entry.body().content.as_ref();
    if let Some(pb::body::Content::Operation(said)) = content {
        return Said::from(said.title.as_str());
    }
    if let Some(pb::body::Content::Indicator(said)) = content
        && let Some(observable) = &said.observable
    {
        return value(observable);
    }
    Said::from(entry.header().body_kind.as_str())
}

/// A value in a few words.
pub(super) fn value(observable: &pb::Observable) -> Said {
    let pb::Observable { platform, value, .. } = observable;
    let kind = ObservableKind::from_number(observable.kind).map_or("asset", ObservableKind::as_str);
    let on = if platform.is_empty() { String::new() } else { format!(" on {platform}") };
    Said::from(if value.is_empty() { format!("{kind}{on}") } else { format!("{kind} {value}{on}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_without_their_prefix() {
        assert_eq!(word("ACTOR_TYPE_STATE_MEDIA", "ACTOR_TYPE_"), Said::from("state media"));
        assert!(word("ACTOR_TYPE_UNSPECIFIED", "ACTOR_TYPE_").is_empty());
    }

    #[test]
    fn a_value_is_told_with_its_kind_and_platform() {
        let observable = pb::Observable {
            kind: pb::ObservableKind::Account.into(),
            platform: "x".to_owned(),
            value: "@example_voice".to_owned(),
            ..pb::Observable::default()
        };
        assert_eq!(value(&observable), Said::from("account @example_voice on x"));
        let count = pb::Observable {
            kind: pb::ObservableKind::Aggregate.into(),
            ..pb::Observable::default()
        };
        assert_eq!(value(&count), Said::from("aggregate"));
    }

    #[test]
    fn what_is_not_stated_is_nothing() {
        assert_eq!(figure(None), None);
        assert_eq!(figure(Some(&pb::Figure { value: None })), None);
        assert_eq!(confidence(Some(101)), None);
        assert_eq!(confidence(Some(100)).map(Confidence::percent), Some(100));
        assert_eq!(time(Some(&prost_types::Timestamp { seconds: -1, nanos: 0 })), None);
    }
}
