//! The public case of August 2018, as the press reported it: what each company found, counted and did, side by side.
//!
//! The names of the companies and of the assets are ours. Two counts of the same takedown, 652 and 653, are both kept,
//! and so is what each says of who is behind it: nobody merges what members claim.

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

/// Whom two of the three name.
const ACTOR: &str = "A state broadcaster";
/// Some of the command lines that publish it.
pub(crate) const COMMANDS: [(&str, &str); 6] = [
    (
        super::VIDEO,
        "watchfire publish operation --title 'August 2018: ...' --status disrupted --tlp green --audience all",
    ),
    (
        super::VIDEO,
        "watchfire publish indicator --kind channel --platform youtube --value @example_lantern --operation OPERATION",
    ),
    (
        super::VIDEO,
        "watchfire attribute OPERATION --actor 'A state broadcaster' --actor-type state-media --confidence 85",
    ),
    (
        super::SOCIAL,
        "watchfire attribute OPERATION --actor 'A contractor of the broadcaster' --confidence 60",
    ),
    (
        super::MICROBLOG,
        "watchfire publish indicator --count '653 page on facebook' --operation OPERATION",
    ),
    (super::SOCIAL, "watchfire publish --meta-csv LIST.csv --operation 'A published list'"),
];

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

/// The case, with the names under which its records are spoken about.
pub(crate) struct Case {
    /// What three companies find, each on its own platform.
    pub(crate) operation: RecordName,
    /// An asset that turns out to be none.
    pub(crate) mistake: RecordName,
    /// An asset that others look for.
    pub(crate) persona: RecordName,
}

impl Case {
    /// New names for this run.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            operation: new_name(super::VIDEO)?,
            mistake: new_name(super::VIDEO)?,
            persona: new_name(super::MICROBLOG)?,
        })
    }

    /// Everything that one company reports of the case.
    pub(crate) fn reports(&self, member: &MemberId) -> anyhow::Result<Vec<Planned>> {
        let reporter = Reporter { case: self, member };
        match member.as_str() {
            super::VIDEO => reporter.video(),
            super::SOCIAL => reporter.social(),
            _ => reporter.microblog(),
        }
    }

    /// One more account, found late.
    pub(crate) fn late_report(&self, member: &MemberId) -> anyhow::Result<Planned> {
        Reporter { case: self, member }.asset(ObservableKind::Account, "x", "@example_latecomer")
    }
}

/// A company that reports.
struct Reporter<'a> {
    case: &'a Case,
    member: &'a MemberId,
}

impl Reporter<'_> {
    fn video(&self) -> anyhow::Result<Vec<Planned>> {
        let mut reports = vec![self.operation()?];
        for handle in ["@example_lantern", "@example_harbour", "@example_daily"] {
            reports.push(self.asset(ObservableKind::Channel, "youtube", handle)?);
        }
        reports.push(self.asset(ObservableKind::Blog, "blogger", "example-lantern")?);
        let weather = observable(ObservableKind::Account, "youtube", "@example_weather");
        let mistake =
            self.indicator(weather, "recovery number of a channel", Readers::Companies)?;
        reports.push(named(mistake, &self.case.mistake));
        let parts = [
            (ObservableKind::Channel, "youtube", 39),
            (ObservableKind::Account, "google-plus", 13),
            (ObservableKind::Blog, "blogger", 6),
        ];
        let parts = parts.map(|(of, platform, count)| part(of, platform, count)).to_vec();
        let count = aggregate(ObservableKind::Account, "", 58, parts.clone());
        reports.push(self.indicator(count, "removed by this company", Readers::All)?);
        let broadcaster = (ACTOR, pb::ActorType::StateMedia, pb::AttributionBasis::Technical);
        reports.push(self.attribution(broadcaster, Some(85))?);
        let views = metric(MetricKind::Views, Value::Exact(13_466), "youtube");
        reports.push(self.removed(parts, vec![views])?);
        Ok(reports)
    }

    fn social(&self) -> anyhow::Result<Vec<Planned>> {
        let mut reports = Vec::new();
        for page in ["example.lantern.news", "example.harbour.news", "example.daily.news"] {
            reports.push(self.asset(ObservableKind::Page, "facebook", page)?);
        }
        reports.push(self.asset(ObservableKind::Account, "instagram", "@example_lantern")?);
        let count = aggregate(ObservableKind::Page, "facebook", 652, Vec::new());
        let what = "Pages, groups and accounts, by this company's count";
        reports.push(self.indicator(count, what, Readers::Companies)?);
        let tip = observable(ObservableKind::Domain, "", "ballot-rumours[.]example");
        let hint = "seen beside your channels";
        reports.push(self.indicator(tip, hint, Readers::Only(super::VIDEO))?);
        let actor = "A contractor of the broadcaster";
        let basis = pb::AttributionBasis::Behavioural;
        reports.push(self.attribution((actor, pb::ActorType::Commercial, basis), Some(60))?);
        let reached =
            |platform, people| metric(MetricKind::AccountsReached, Value::Exact(people), platform);
        let metrics = vec![
            reached("facebook", 126_000_000),
            reached("instagram", 20_000_000),
            metric(MetricKind::AdCount, Value::AtLeast(3_000), "facebook"),
        ];
        reports.push(self.removed(vec![part(ObservableKind::Page, "facebook", 652)], metrics)?);
        Ok(reports)
    }

    fn microblog(&self) -> anyhow::Result<Vec<Planned>> {
        let persona = self.asset(ObservableKind::Account, "x", "@example_persona")?;
        let mut reports = vec![named(persona, &self.case.persona)];
        for handle in ["@example_voice", "@example_echo"] {
            reports.push(self.asset(ObservableKind::Account, "x", handle)?);
        }
        let own = aggregate(ObservableKind::Account, "x", 284, Vec::new());
        reports.push(self.indicator(own, "removed by this company", Readers::All)?);
        let other = aggregate(ObservableKind::Page, "facebook", 653, Vec::new());
        let what = "the neighbour's takedown, by our count of its notice";
        reports.push(self.indicator(other, what, Readers::Companies)?);
        let broadcaster = (ACTOR, pb::ActorType::StateMedia, pb::AttributionBasis::OpenSource);
        reports.push(self.attribution(broadcaster, None)?);
        reports.push(self.removed(vec![part(ObservableKind::Account, "x", 284)], Vec::new())?);
        Ok(reports)
    }

    fn operation(&self) -> anyhow::Result<Planned> {
        let technique = |external_id: &str, name: &str, phase: &str| pb::Technique {
            framework: "disarm".to_owned(),
            external_id: external_id.to_owned(),
            name: name.to_owned(),
            phase: phase.to_owned(),
            ..pb::Technique::default()
        };
        let content = pb::body::Content::Operation(pb::Operation {
            title: "August 2018: network of a state broadcaster".to_owned(),
            status: pb::OperationStatus::Disrupted.into(),
            origin_regions: vec!["XA".to_owned()],
            target_regions: vec!["US".to_owned(), "GB".to_owned()],
            languages: vec!["en".to_owned(), "ar".to_owned()],
            narratives: vec!["Local news that hides who pays for it.".to_owned()],
            techniques: vec![
                technique("T0090", "Create Inauthentic Accounts", "Establish Assets"),
                technique("T0097", "Present Persona", "Establish Legitimacy"),
                technique("T0119", "Cross-Posting", "Maximise Exposure"),
            ],
            ..pb::Operation::default()
        });
        Ok(named(planned(self.member, content, Readers::All)?, &self.case.operation))
    }

    fn asset(&self, kind: ObservableKind, platform: &str, value: &str) -> anyhow::Result<Planned> {
        self.indicator(observable(kind, platform, value), "one of them", Readers::Companies)
    }

    fn indicator(
        &self,
        observable: pb::Observable,
        description: &str,
        readers: Readers,
    ) -> anyhow::Result<Planned> {
        let content = pb::body::Content::Indicator(pb::Indicator {
            observable: Some(observable),
            operation: self.case.operation.to_string(),
            description: description.to_owned(),
            review: pb::Review::Analyst.into(),
            ..pb::Indicator::default()
        });
        planned(self.member, content, readers)
    }

    fn attribution(
        &self,
        (actor, actor_type, basis): (&str, pb::ActorType, pb::AttributionBasis),
        confidence: Option<u32>,
    ) -> anyhow::Result<Planned> {
        let content = pb::body::Content::Attribution(pb::Attribution {
            operation: self.case.operation.to_string(),
            actor: actor.to_owned(),
            actor_type: actor_type.into(),
            confidence,
            basis: basis.into(),
            ..pb::Attribution::default()
        });
        planned(self.member, content, Readers::All)
    }

    fn removed(
        &self,
        counts: Vec<pb::AggregatePart>,
        metrics: Vec<pb::Metric>,
    ) -> anyhow::Result<Planned> {
        let content = pb::body::Content::ActionReport(pb::ActionReport {
            of: self.case.operation.to_string(),
            action: pb::Action::Removed.into(),
            counts,
            metrics,
            ..pb::ActionReport::default()
        });
        planned(self.member, content, Readers::All)
    }
}

fn new_name(member: &str) -> anyhow::Result<RecordName> {
    Ok(RecordName { member: member.parse()?, record: Uuid::now_v7() })
}

fn named(planned: Planned, name: &RecordName) -> Planned {
    let Planned { draft, readers } = planned;
    Planned { draft: Draft { name: name.clone(), ..draft }, readers }
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
            (Tlp::Amber, Reach { audiences: vec![Audience::companies()], ..Reach::default() })
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

fn aggregate(
    of: ObservableKind,
    platform: &str,
    count: u64,
    parts: Vec<pb::AggregatePart>,
) -> pb::Observable {
    let count = figure(Value::Exact(count));
    pb::Observable {
        aggregate: Some(pb::Aggregate { of: of.into(), count, parts }),
        ..observable(ObservableKind::Aggregate, platform, "")
    }
}

fn part(of: ObservableKind, platform: &str, count: u64) -> pb::AggregatePart {
    pb::AggregatePart {
        of: of.into(),
        platform: platform.to_owned(),
        count: figure(Value::Exact(count)),
    }
}

fn metric(kind: MetricKind, value: Value, platform: &str) -> pb::Metric {
    pb::Metric {
        kind: kind.into(),
        figure: figure(value),
        platform: platform.to_owned(),
        region: "US".to_owned(),
        ..pb::Metric::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the field of the message is an option")]
fn figure(value: Value) -> Option<pb::Figure> {
    Some(pb::Figure { value: Some(value) })
}
