//! The first part: what each member presents.

use crate::briefing::figure::Claimant;
use crate::briefing::figure::Confidence;
use crate::briefing::figure::Counted;
use crate::briefing::figure::Figure;
use crate::briefing::figure::Measure;
use crate::briefing::said::Said;
use crate::model::handling::Tlp;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::observable::ObservableKind;
use crate::model::time::Timestamp;

/// What one member brings to the meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presentation {
    /// The member.
    pub member: MemberId,
    /// Its name for people; may be empty.
    pub display_name: Said,
    /// Operations that it published or changed in the period, in the order to be presented.
    pub operations: Vec<Operation>,
    /// Assets that it named in the period without an operation; `None` if there are none.
    pub other_assets: Option<OtherAssets>,
}

impl Presentation {
    /// The label of everything that it holds.
    pub(super) fn labels(&self) -> impl Iterator<Item = Tlp> {
        let others = self.other_assets.iter().map(|others| others.tlp);
        others.chain(self.operations.iter().flat_map(Operation::labels))
    }
}

/// Assets that no operation names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherAssets {
    /// The strictest label of the indicators that are counted.
    pub tlp: Tlp,
    /// How many, by platform and kind.
    pub assets: Vec<AssetCount>,
}

/// An operation, as its publisher tells it and as others comment on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The record.
    pub record: RecordName,
    /// The strictest label of the record itself and of the indicators that its assets and techniques were taken from.
    pub tlp: Tlp,
    /// The label of the record alone.
    pub own_tlp: Tlp,
    /// A short title.
    pub title: Said,
    /// Other names.
    pub aliases: Vec<Said>,
    /// How it stands; `None` if not stated.
    pub status: Option<OperationStatus>,
    /// Where it came from (ISO 3166 codes, as given).
    pub origins: Vec<Said>,
    /// Whom it aimed at (ISO 3166 codes, as given).
    pub targets: Vec<Said>,
    /// Its languages (BCP 47 tags, as given).
    pub languages: Vec<Said>,
    /// What it told.
    pub narratives: Vec<Said>,
    /// Free text; may be empty.
    pub description: Said,
    /// First known activity, as the publisher claims.
    pub first_activity: Option<Timestamp>,
    /// Last known activity, as the publisher claims.
    pub last_activity: Option<Timestamp>,
    /// When the log took the revision that is shown: proven.
    pub shared_at: Timestamp,
    /// The assets named one by one, counted by platform and kind. No claimed total is among them.
    pub assets: Vec<AssetCount>,
    /// Totals as claimed, without naming the assets; competing ones stay beside each other.
    pub totals: Vec<Total>,
    /// Who is behind it, by everyone who said so.
    pub attributions: Vec<Attribution>,
    /// How far it reached, by everyone who said so.
    pub reach: Vec<ReachFigure>,
    /// The techniques it used, in any order.
    pub techniques: Vec<Technique>,
    /// What members did about it.
    pub actions: Vec<Action>,
    /// How often members saw its assets, or it.
    pub sightings: Vec<Sighting>,
    /// Statements that belong here and are missing, says the hub: its answer holds only so many.
    pub left_out: u64,
}

impl Operation {
    fn labels(&self) -> impl Iterator<Item = Tlp> {
        let totals = self.totals.iter().map(|total| total.tlp);
        let attributions = self.attributions.iter().map(|attribution| attribution.tlp);
        let reach = self.reach.iter().map(|reach| reach.tlp);
        let actions = self.actions.iter().map(|action| action.tlp);
        let sightings = self.sightings.iter().map(|sighting| sighting.tlp);
        let claims = totals.chain(attributions).chain(reach);
        std::iter::once(self.tlp).chain(claims).chain(actions).chain(sightings)
    }
}

/// How an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OperationStatus {
    /// Under investigation.
    Suspected,
    /// Active.
    Active,
    /// Taken down by the publisher.
    Disrupted,
    /// No activity for a long time.
    Dormant,
}

/// So many assets of a kind on a platform, named by one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetCount {
    /// Who names them.
    pub member: MemberId,
    /// The platform; empty for assets that live on none.
    pub platform: Said,
    /// What sort of asset.
    pub kind: ObservableKind,
    /// How many.
    pub counted: Counted,
}

/// A total that somebody claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Total {
    /// The record that says so.
    pub record: RecordName,
    /// Its label.
    pub tlp: Tlp,
    /// Who says so.
    pub claimant: Claimant,
    /// How many.
    pub figure: Figure,
    /// What is counted: `accounts removed`.
    pub what: Said,
    /// Where; empty if the parts say it.
    pub platform: Said,
    /// Parts as claimed; they are shown, not added.
    pub parts: Vec<TotalPart>,
    /// As of when, as claimed.
    pub as_of: Option<Timestamp>,
    /// In the claimant's own words; may be empty.
    pub note: Said,
}

/// A part of a claimed total.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TotalPart {
    /// The platform; empty for the total's own.
    pub platform: Said,
    /// What is counted.
    pub kind: ObservableKind,
    /// How many.
    pub figure: Figure,
}

/// Who is behind an operation, says one claimant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The record that says so.
    pub record: RecordName,
    /// Its label.
    pub tlp: Tlp,
    /// Who says so.
    pub claimant: Claimant,
    /// Whom it names.
    pub actor: Said,
    /// What sort of actor, as given; may be empty.
    pub actor_type: Said,
    /// How sure it is; `None` if not stated.
    pub confidence: Option<Confidence>,
    /// What it rests on, as given; may be empty.
    pub rests_on: Said,
    /// Why, in its own words; may be empty.
    pub rationale: Said,
    /// When the log took it: proven.
    pub shared_at: Timestamp,
}

/// How far an operation reached, says one claimant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReachFigure {
    /// The label of the record that says so.
    pub tlp: Tlp,
    /// Who says so.
    pub claimant: Claimant,
    /// What was measured.
    pub measure: Measure,
    /// How much; money in hundredths.
    pub figure: Figure,
    /// ISO 4217 code as given, for money; else empty.
    pub currency: Said,
    /// The platform; empty for all.
    pub platform: Said,
    /// The region; empty for everywhere.
    pub region: Said,
    /// As of when, as claimed.
    pub as_of: Option<Timestamp>,
    /// Where it was found, in the claimant's words; may be empty.
    pub note: Said,
}

/// A technique of a published framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Technique {
    /// `online-operations-kill-chain`, `disarm`, ...
    pub framework: Said,
    /// The framework's own code; kill-chain codes begin with the number of the phase.
    pub external_id: Said,
    /// The label as published, or as the operator's framework has it.
    pub name: Said,
    /// The phase or tactic as published, or as the operator's framework has it; may be empty.
    pub phase: Said,
    /// Whether name or phase are the framework's, as the hub says: nobody signed them.
    pub is_named_by_hub: bool,
    /// What the operation did, in the publisher's words; may be empty.
    pub observed: Said,
}

/// What a member did about an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The record that reports it.
    pub record: RecordName,
    /// Its label.
    pub tlp: Tlp,
    /// Who acted.
    pub member: MemberId,
    /// What it did.
    pub kind: ActionKind,
    /// To how many assets, by platform and kind, as it claims.
    pub counts: Vec<TotalPart>,
    /// When, as it claims.
    pub acted_at: Option<Timestamp>,
    /// When the log took the report: proven.
    pub reported_at: Timestamp,
    /// In its own words; may be empty.
    pub text: Said,
}

/// How often a member saw an asset of an operation, or the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its label.
    pub tlp: Tlp,
    /// Who looked.
    pub member: MemberId,
    /// What it looked for: a title or a value.
    pub of: Said,
    /// How often it saw it, as it claims; 0: looked, and not seen.
    pub count: u64,
    /// Where; may be empty.
    pub platform: Said,
    /// When last, as it claims.
    pub last_seen: Option<Timestamp>,
    /// When the log took it: proven.
    pub shared_at: Timestamp,
    /// In its own words; may be empty.
    pub text: Said,
}

/// What can be done about an asset or an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// Removed.
    Removed,
    /// Restricted.
    Restricted,
    /// Labelled.
    Labelled,
    /// Cut off from income.
    Demonetised,
    /// Referred to somebody else.
    Referred,
    /// Watched.
    Monitored,
    /// Nothing, deliberately.
    NoAction,
    /// Put back.
    Restored,
}
