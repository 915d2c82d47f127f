//! One operation as it is presented: what its publisher tells, what is claimed about it, and its assets, counted here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::briefing::Action;
use crate::briefing::Attribution;
use crate::briefing::Claimant;
use crate::briefing::Operation;
use crate::briefing::ReachFigure;
use crate::briefing::Said;
use crate::briefing::Sighting;
use crate::briefing::Technique;
use crate::briefing::Total;
use crate::client::briefing::Period;
use crate::client::briefing::about;
use crate::client::briefing::survey::Assets;
use crate::client::briefing::words;
use crate::client::connection::Client;
use crate::client::error::ClientError;
use crate::client::queries::OperationView;
use crate::client::queries::SearchQuery;
use crate::client::techniques::TechniqueNames;
use crate::client::verifier::VerifiedEntry;
use crate::model::filter::Filter;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::observable::ObservableKind;
use crate::model::reason::Reason;
use crate::wire::body::Content;
use crate::wire::pb;

impl Client {
    /// An operation with what was taken in before the period's end; `None` if it is gone by now.
    pub(super) async fn presented(
        &self,
        name: &RecordName,
        period: Period,
    ) -> Result<Option<Operation>, ClientError> {
        let view = match self.operation(name).await {
            Ok(view) => view,
            Err(ClientError::Refused(refused)) if refused.is(Reason::RecordNotFound) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if view.withdrawn_sequence.is_some() {
            return Ok(None);
        }
        let Some(mut presenting) = Presenting::new(&view, period) else { return Ok(None) };
        let filter = Filter {
            body_kinds: vec![BodyKind::Indicator],
            operations: vec![name.clone()],
            ..Filter::default()
        };
        let until = Some(period.until());
        let indicators = SearchQuery { filter, until, ..SearchQuery::default() };
        self.each_found(&indicators, |entry| presenting.take_indicator(&entry)).await?;
        // Without the operator's frameworks, or where the hub is too old to be asked, the code has to do.
        let names = self.technique_names(presenting.said_techniques.iter()).await;
        presenting.name_techniques(&names.unwrap_or_default());
        Ok(Some(presenting.finish(&view)))
    }
}

/// An operation while it is put together.
struct Presenting {
    name: RecordName,
    period: Period,
    operation: Operation,
    assets: BTreeMap<MemberId, Assets>,
    techniques: BTreeSet<(String, String)>,
    /// The same as they were said, in the order in which they stand.
    said_techniques: Vec<pb::Technique>,
    /// Titles of the records that were seen by others.
    sighted: BTreeMap<RecordName, Said>,
}

impl Presenting {
    /// The operation itself; `None` if its body is gone.
    fn new(view: &OperationView, period: Period) -> Option<Self> {
        let entry = &view.operation;
        let Some(pb::body::Content::Operation(said)) = &entry.body().content else { return None };
        let title = words::title(entry);
        let sighted = view.sightings.iter().filter_map(about).cloned();
        let mut sighted: BTreeMap<RecordName, Said> =
            sighted.map(|name| (name, Said::default())).collect();
        sighted.entry(entry.name().clone()).or_default().clone_from(&title);
        let mut presenting = Self {
            name: entry.name().clone(),
            period,
            operation: operation(entry, said, title),
            assets: BTreeMap::new(),
            techniques: BTreeSet::new(),
            said_techniques: Vec::new(),
            sighted,
        };
        presenting.operation.left_out = view.more;
        presenting.take_claims(entry, &said.metrics, &said.techniques);
        Some(presenting)
    }

    /// An indicator that names it, or a total.
    fn take_indicator(&mut self, entry: &VerifiedEntry) {
        let Content::Indicator { operation, .. } = &entry.record().content else { return };
        let Some(pb::body::Content::Indicator(said)) = &entry.body().content else { return };
        if operation.as_ref() != Some(&self.name) || entry.accept_time() >= self.period.until() {
            return;
        }
        let tlp = entry.header().handling.tlp;
        if let Some(sighted) = self.sighted.get_mut(entry.name()) {
            *sighted = words::title(entry);
        }
        if let Some(total) = total(entry, said) {
            self.operation.totals.push(total);
        } else {
            self.operation.tlp = self.operation.tlp.max(tlp);
            self.assets.entry(entry.name().member.clone()).or_default().take(entry);
        }
        self.take_claims(entry, &said.metrics, &said.techniques);
    }

    fn take_claims(
        &mut self,
        entry: &VerifiedEntry,
        metrics: &[pb::Metric],
        techniques: &[pb::Technique],
    ) {
        let tlp = entry.header().handling.tlp;
        self.operation.reach.extend(metrics.iter().filter_map(|metric| reach(entry, metric)));
        for technique in techniques {
            // The same code is the same technique, however its name is spelt.
            let code = [&technique.external_id, &technique.name];
            let code = code.into_iter().find(|text| !text.is_empty()).cloned().unwrap_or_default();
            let key = (technique.framework.to_lowercase(), code.to_lowercase());
            if self.techniques.insert(key) {
                self.operation.tlp = self.operation.tlp.max(tlp);
                self.operation.techniques.push(self::technique(technique));
                self.said_techniques.push(technique.clone());
            }
        }
    }

    /// Puts the framework's word where publishers said none.
    fn name_techniques(&mut self, names: &TechniqueNames) {
        for (said, shown) in self.said_techniques.iter().zip(&mut self.operation.techniques) {
            let Some(known) = names.get(said) else { continue };
            if shown.name.is_empty() {
                shown.name = Said::from(known.name.as_str());
                shown.is_named_by_hub = true;
            }
            if shown.phase.is_empty()
                && let Some(tactic) = known.tactics.first()
            {
                shown.phase = Said::from(tactic.name.as_str());
                shown.is_named_by_hub = true;
            }
        }
    }

    fn finish(mut self, view: &OperationView) -> Operation {
        let until = self.period.until();
        let told = |entry: &&VerifiedEntry| entry.accept_time() < until;
        for entry in view.attributions.iter().filter(told) {
            self.operation.attributions.extend(attribution(entry));
        }
        for entry in view.actions.iter().filter(told) {
            if let Some(pb::body::Content::ActionReport(said)) = &entry.body().content {
                self.operation.actions.extend(action(entry, said));
                self.take_claims(entry, &said.metrics, &[]);
            }
        }
        for entry in view.sightings.iter().filter(told) {
            self.operation.sightings.extend(sighting(entry, &self.sighted));
        }
        let assets = self.assets.into_iter().map(|(member, assets)| assets.counted(&member));
        self.operation.assets = assets.flatten().collect();
        self.operation.assets.sort_by(|one, other| {
            (&one.platform, one.kind, &one.member).cmp(&(
                &other.platform,
                other.kind,
                &other.member,
            ))
        });
        self.operation
    }
}

fn operation(entry: &VerifiedEntry, said: &pb::Operation, title: Said) -> Operation {
    Operation {
        record: entry.name().clone(),
        tlp: tlp(entry),
        own_tlp: tlp(entry),
        title,
        aliases: words::all(&said.aliases),
        status: words::status(said.status()),
        origins: words::all(&said.origin_regions),
        targets: words::all(&said.target_regions),
        languages: words::all(&said.languages),
        narratives: words::all(&said.narratives),
        description: Said::from(said.description.as_str()),
        first_activity: words::time(said.first_activity_time.as_ref()),
        last_activity: words::time(said.last_activity_time.as_ref()),
        shared_at: entry.accept_time(),
        assets: Vec::new(),
        totals: Vec::new(),
        attributions: Vec::new(),
        reach: Vec::new(),
        techniques: Vec::new(),
        actions: Vec::new(),
        sightings: Vec::new(),
        left_out: 0,
    }
}

fn claimant(entry: &VerifiedEntry, on_word_of: &str) -> Claimant {
    Claimant {
        member: entry.name().member.clone(),
        on_word_of: Said::from(on_word_of),
        is_unconfirmed: entry.is_unconfirmed(),
    }
}

fn tlp(entry: &VerifiedEntry) -> Tlp {
    entry.header().handling.tlp
}

fn total(entry: &VerifiedEntry, said: &pb::Indicator) -> Option<Total> {
    let observable = said.observable.as_ref()?;
    let aggregate = observable.aggregate.as_ref()?;
    let kind = ObservableKind::from_number(aggregate.of)?;
    Some(Total {
        record: entry.name().clone(),
        tlp: tlp(entry),
        claimant: claimant(entry, ""),
        figure: words::figure(aggregate.count.as_ref())?,
        what: Said::from(kind.as_str()),
        platform: Said::from(observable.platform.as_str()),
        parts: words::parts(&aggregate.parts),
        as_of: words::time(said.last_seen_time.as_ref()),
        note: Said::from(said.description.as_str()),
    })
}

fn attribution(entry: &VerifiedEntry) -> Option<Attribution> {
    let Some(pb::body::Content::Attribution(said)) = &entry.body().content else { return None };
    Some(Attribution {
        record: entry.name().clone(),
        tlp: tlp(entry),
        claimant: claimant(entry, &said.claimant),
        actor: Said::from(said.actor.as_str()),
        actor_type: words::word(said.actor_type().as_str_name(), "ACTOR_TYPE_"),
        confidence: words::confidence(said.confidence),
        rests_on: words::word(said.basis().as_str_name(), "ATTRIBUTION_BASIS_"),
        rationale: Said::from(said.rationale.as_str()),
        shared_at: entry.accept_time(),
    })
}

fn reach(entry: &VerifiedEntry, said: &pb::Metric) -> Option<ReachFigure> {
    Some(ReachFigure {
        tlp: tlp(entry),
        claimant: claimant(entry, &said.claimant),
        measure: words::measure(said.kind())?,
        figure: words::figure(said.figure.as_ref())?,
        currency: Said::from(said.currency.as_str()),
        platform: Said::from(said.platform.as_str()),
        region: Said::from(said.region.as_str()),
        as_of: words::time(said.as_of_time.as_ref()),
        note: Said::from(said.note.as_str()),
    })
}

fn technique(said: &pb::Technique) -> Technique {
    Technique {
        framework: Said::from(said.framework.as_str()),
        external_id: Said::from(said.external_id.as_str()),
        name: Said::from(said.name.as_str()),
        phase: Said::from(said.phase.as_str()),
        is_named_by_hub: false,
        observed: Said::from(said.observed.as_str()),
    }
}

fn action(entry: &VerifiedEntry, said: &pb::ActionReport) -> Option<Action> {
    Some(Action {
        record: entry.name().clone(),
        tlp: tlp(entry),
        member: entry.name().member.clone(),
        kind: words::action(said.action())?,
        counts: words::parts(&said.counts),
        acted_at: words::time(said.action_time.as_ref()),
        reported_at: entry.accept_time(),
        text: Said::from(said.text.as_str()),
    })
}

fn sighting(entry: &VerifiedEntry, titles: &BTreeMap<RecordName, Said>) -> Option<Sighting> {
    let Some(pb::body::Content::Sighting(said)) = &entry.body().content else { return None };
    Some(Sighting {
        tlp: tlp(entry),
        member: entry.name().member.clone(),
        of: titles.get(about(entry)?).cloned().unwrap_or_default(),
        count: said.count,
        platform: Said::from(said.platform.as_str()),
        last_seen: words::time(said.last_seen_time.as_ref()),
        shared_at: entry.accept_time(),
        text: Said::from(said.description.as_str()),
    })
}
