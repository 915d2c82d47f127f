//! What was shared in the period, counted as it is read: nothing but counts and names stays in memory.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::briefing::AssetCount;
use crate::briefing::Counted;
use crate::briefing::OtherAssets;
use crate::briefing::Provenance;
use crate::briefing::Said;
use crate::briefing::Shared;
use crate::client::briefing::Period;
use crate::client::briefing::about;
use crate::client::verifier::VerifiedEntry;
use crate::model::handling::Tlp;
use crate::model::header::BodyKind;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::model::observable::ObservableKind;
use crate::model::time::Timestamp;
use crate::wire::body::Content;

const DAY_MICROS: u64 = 86_400_000_000;

/// Assets of one member, counted by platform and kind.
#[derive(Default)]
pub(super) struct Assets {
    tlp: Option<Tlp>,
    counts: BTreeMap<(String, ObservableKind), u64>,
}

impl Assets {
    /// Counts an indicator.
    pub(super) fn take(&mut self, entry: &VerifiedEntry) {
        let Content::Indicator { kind, platform, .. } = &entry.record().content else { return };
        let Some(kind) = ObservableKind::from_number(*kind) else { return };
        self.tlp = self.tlp.max(Some(entry.header().handling.tlp));
        *self.counts.entry((platform.clone(), kind)).or_default() += 1;
    }

    /// As the briefing has them.
    pub(super) fn counted(self, member: &MemberId) -> Vec<AssetCount> {
        let counted = self.counts.into_iter().map(|((platform, kind), count)| AssetCount {
            member: member.clone(),
            platform: Said::from(platform),
            kind,
            counted: Counted { count, provenance: Provenance::Proven },
        });
        counted.collect()
    }
}

/// What the period holds.
pub(super) struct Survey {
    period: Period,
    /// Every operation that the reader may see.
    known: BTreeSet<RecordName>,
    /// Those that were shared or changed, or that something was said about.
    touched: BTreeSet<RecordName>,
    shared: BTreeMap<(MemberId, BodyKind, u64), u64>,
    others: BTreeMap<MemberId, Assets>,
    tlp: Tlp,
    records: usize,
    end: u64,
}

impl Survey {
    /// Nothing yet.
    pub(super) const fn new(period: Period, known: BTreeSet<RecordName>) -> Self {
        Self {
            period,
            known,
            touched: BTreeSet::new(),
            shared: BTreeMap::new(),
            others: BTreeMap::new(),
            tlp: Tlp::Clear,
            records: 0,
            end: 0,
        }
    }

    /// Counts a record that was found; one of another time counts as nothing, whoever found it.
    pub(super) fn take(&mut self, entry: &VerifiedEntry) {
        let (header, time) = (entry.header(), entry.accept_time());
        if !self.period.holds(time) || !header.body_kind.is_chosen() {
            return;
        }
        self.records += 1;
        self.end = self.end.max(entry.sequence().saturating_add(1));
        self.tlp = self.tlp.max(header.handling.tlp);
        let member = &header.name.member;
        let key = (member.clone(), header.body_kind, time.as_micros() / DAY_MICROS);
        *self.shared.entry(key).or_default() += 1;
        let named = if header.body_kind == BodyKind::Operation {
            Some(&header.name)
        } else if let Content::Indicator { operation, .. } = &entry.record().content {
            operation.as_ref()
        } else {
            about(entry)
        };
        let named = named.filter(|name| self.known.contains(*name));
        self.touched.extend(named.cloned());
        if header.body_kind == BodyKind::Indicator && named.is_none() {
            self.others.entry(member.clone()).or_default().take(entry);
        }
    }

    /// Records counted.
    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// The place behind the last record that was counted.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The strictest label of all records counted.
    pub(super) const fn tlp(&self) -> Tlp {
        self.tlp
    }

    /// Operations to be presented.
    pub(super) const fn touched(&self) -> &BTreeSet<RecordName> {
        &self.touched
    }

    /// Records by member, kind and day.
    pub(super) fn shared(&self) -> Vec<Shared> {
        let shared = self.shared.iter().map(|((member, kind, day), count)| Shared {
            member: member.clone(),
            kind: *kind,
            day: Timestamp::from_micros(day.saturating_mul(DAY_MICROS)).unwrap_or(Timestamp::MAX),
            counted: Counted { count: *count, provenance: Provenance::Proven },
        });
        shared.collect()
    }

    /// Assets that name no operation which the reader may see.
    pub(super) fn into_others(self) -> BTreeMap<MemberId, OtherAssets> {
        let others = self.others.into_iter().map(|(member, assets)| {
            let tlp = assets.tlp.unwrap_or(Tlp::Clear);
            let assets = assets.counted(&member);
            (member, OtherAssets { tlp, assets })
        });
        others.collect()
    }
}
