//! The public case of August 2018, as the press reported it: what each company counted, side by side.
//!
//! The names of the companies are ours. Two counts of the same takedown, 652 and 653, are both kept: nobody merges
//! what members claim.

use uuid::Uuid;
use watchfire::client::Draft;
use watchfire::model::handling::Handling;
use watchfire::model::handling::Reach;
use watchfire::model::handling::Tlp;
use watchfire::model::names::Audience;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;
use watchfire::wire::pb::MetricKind;
use watchfire::wire::pb::ObservableKind;
use watchfire::wire::pb::figure::Value;

/// Who may read a record of the demonstration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Companies and observers.
    All,
    /// Companies.
    Companies,
    /// One member.
    Only(&'static str),
}

/// A record to be published, with who may read it.
pub(crate) struct Planned {
    pub(crate) draft: Draft,
    pub(crate) readers: Readers,
}

/// Everything that one company reports of the case.
pub(crate) fn reports(member: &MemberId) -> anyhow::Result<Vec<Planned>> {
    match member.as_str() {
        super::VIDEO => video(member),
        super::SOCIAL => social(member),
        _ => microblog(member),
    }
}

fn video(member: &MemberId) -> anyhow::Result<Vec<Planned>> {
    let operation = operation(
        member,
        "August 2018: network of a state broadcaster",
        vec![metric(MetricKind::Views, Value::Exact(13_466), "youtube", "US")],
    )?;
    let parts = vec![
        part(ObservableKind::Channel, "youtube", 39),
        part(ObservableKind::Account, "google-plus", 13),
        part(ObservableKind::Blog, "blogger", 6),
    ];
    let count = aggregate(ObservableKind::Account, Value::Exact(58), parts);
    let indicator =
        indicator(member, &operation, "", count, "removed by this company", Readers::All)?;
    Ok(vec![operation, indicator])
}

fn social(member: &MemberId) -> anyhow::Result<Vec<Planned>> {
    let reach = |platform, people| {
        metric(MetricKind::AccountsReached, Value::Exact(people), platform, "US")
    };
    let operation = operation(
        member,
        "August 2018: Pages, groups and accounts",
        vec![
            reach("facebook", 126_000_000),
            reach("instagram", 20_000_000),
            metric(MetricKind::AdCount, Value::AtLeast(3_000), "facebook", ""),
        ],
    )?;
    let count = aggregate(ObservableKind::Page, Value::Exact(652), Vec::new());
    let what = "Pages, groups and accounts, by this company's count";
    let counted = indicator(member, &operation, "facebook", count, what, Readers::Companies)?;
    let tip = observable(ObservableKind::Domain, "", "ballot-rumours[.]example");
    let hint = indicator(
        member,
        &operation,
        "",
        tip,
        "seen beside your channels",
        Readers::Only(super::VIDEO),
    )?;
    Ok(vec![operation, counted, hint])
}

fn microblog(member: &MemberId) -> anyhow::Result<Vec<Planned>> {
    let operation = operation(member, "August 2018: coordinated accounts", Vec::new())?;
    let own = aggregate(ObservableKind::Account, Value::Exact(284), Vec::new());
    let own = indicator(member, &operation, "x", own, "removed by this company", Readers::All)?;
    let other = aggregate(ObservableKind::Page, Value::Exact(653), Vec::new());
    let what = "the neighbour's takedown, by our count of its notice";
    let other = indicator(member, &operation, "facebook", other, what, Readers::Companies)?;
    let account = observable(ObservableKind::Account, "x", "@example_persona");
    let account = indicator(member, &operation, "x", account, "one of them", Readers::Companies)?;
    Ok(vec![operation, own, other, account])
}

fn operation(member: &MemberId, title: &str, metrics: Vec<pb::Metric>) -> anyhow::Result<Planned> {
    let content = pb::body::Content::Operation(pb::Operation {
        title: title.to_owned(),
        status: pb::OperationStatus::Disrupted.into(),
        metrics,
        ..pb::Operation::default()
    });
    planned(member, content, Readers::All)
}

fn indicator(
    member: &MemberId,
    operation: &Planned,
    platform: &str,
    observable: pb::Observable,
    description: &str,
    readers: Readers,
) -> anyhow::Result<Planned> {
    let observable = pb::Observable { platform: platform.to_owned(), ..observable };
    let content = pb::body::Content::Indicator(pb::Indicator {
        observable: Some(observable),
        operation: operation.draft.name.to_string(),
        description: description.to_owned(),
        review: pb::Review::Analyst.into(),
        ..pb::Indicator::default()
    });
    planned(member, content, readers)
}

fn planned(
    member: &MemberId,
    content: pb::body::Content,
    readers: Readers,
) -> anyhow::Result<Planned> {
    let name = RecordName { member: member.clone(), record: Uuid::now_v7() };
    let handling = handling(readers)?;
    Ok(Planned { draft: Draft { name, previous: None, handling, content }, readers })
}

/// The handling of what these may read.
pub(crate) fn handling(readers: Readers) -> anyhow::Result<Handling> {
    let (tlp, reach) = match readers {
        Readers::All => {
            (Tlp::Green, Reach { audiences: vec![Audience::all()], ..Reach::default() })
        }
        Readers::Companies => {
            (Tlp::Green, Reach { audiences: vec![Audience::companies()], ..Reach::default() })
        }
        Readers::Only(member) => {
            (Tlp::Red, Reach { recipients: vec![member.parse()?], ..Reach::default() })
        }
    };
    Ok(Handling { tlp, reach, onward_uses: Vec::new(), use_until: None })
}

fn observable(kind: ObservableKind, platform: &str, value: &str) -> pb::Observable {
    pb::Observable {
        kind: kind.into(),
        platform: platform.to_owned(),
        value: value.to_owned(),
        ..pb::Observable::default()
    }
}

fn aggregate(of: ObservableKind, count: Value, parts: Vec<pb::AggregatePart>) -> pb::Observable {
    pb::Observable {
        aggregate: Some(pb::Aggregate { of: of.into(), count: figure(count), parts }),
        ..observable(ObservableKind::Aggregate, "", "")
    }
}

fn part(of: ObservableKind, platform: &str, count: u64) -> pb::AggregatePart {
    pb::AggregatePart {
        of: of.into(),
        platform: platform.to_owned(),
        count: figure(Value::Exact(count)),
    }
}

fn metric(kind: MetricKind, value: Value, platform: &str, region: &str) -> pb::Metric {
    pb::Metric {
        kind: kind.into(),
        figure: figure(value),
        platform: platform.to_owned(),
        region: region.to_owned(),
        ..pb::Metric::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the field of the message is an option")]
fn figure(value: Value) -> Option<pb::Figure> {
    Some(pb::Figure { value: Some(value) })
}
