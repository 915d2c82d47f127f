//! What comes back when a file that was written is read, held against what was to be written.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::interop::meta_csv::Draft;
use crate::interop::meta_csv::ImportedFile;
use crate::interop::meta_csv::RowOutcome;
use crate::interop::meta_csv::write::Asset;
use crate::interop::meta_csv::write::Sheet;
use crate::model::platform::Platform;
use crate::wire::pb;

/// What makes two indicators of a sheet one: kind, platform and normal form; of aggregates what is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    kind: i32,
    platform: String,
    value: String,
}

impl Key {
    pub(super) fn of_draft(draft: &Draft) -> Self {
        let aggregate = draft.indicator.observable.as_ref().and_then(|one| one.aggregate.as_ref());
        let platform = draft.platform.as_ref().map_or("", Platform::as_str).to_owned();
        let value = aggregate.map_or_else(|| draft.normal_form.clone(), |one| format!("{one:?}"));
        Self { kind: draft.kind.number(), platform, value }
    }
}

impl Asset {
    pub(super) fn key(&self) -> Key {
        if let Some(form) = &self.form {
            let platform = form.platform.as_ref().map_or("", Platform::as_str).to_owned();
            return Key { kind: form.kind.number(), platform, value: form.value.clone() };
        }
        let observable = self.indicator.observable.clone().unwrap_or_default();
        let pb::Observable { kind, platform, aggregate, value, .. } = observable;
        let value = aggregate.map_or(value, |one| format!("{one:?}"));
        Key { kind, platform, value }
    }
}

/// What became of what was to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteAccount {
    /// Indicators that come back as they are.
    pub exact: u64,
    /// Indicators that come back as the same asset, and say less or otherwise.
    pub shortened: u64,
    /// Indicators of an asset that another one of the same file has already.
    pub repeated: u64,
    /// Indicators of an asset that the layout cannot say, by kind.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Fields that do not come back, each with how often.
    pub fields: BTreeMap<&'static str, u64>,
}

impl WriteAccount {
    /// Compares a sheet with what was read of it.
    pub(super) fn of(sheet: &Sheet, written: &BTreeSet<Key>, read: &ImportedFile) -> Self {
        let mut account = Self::default();
        let back: HashMap<Key, &pb::Indicator> =
            read.drafts().map(|draft| (Key::of_draft(draft), &draft.indicator)).collect();
        let mut seen = BTreeSet::new();
        for asset in &sheet.assets {
            let key = asset.key();
            let back = back.get(&key).filter(|_| written.contains(&key));
            let Some(back) = back else {
                let kind = crate::model::observable::ObservableKind::from_number(key.kind);
                let kind = kind.map_or("unknown", |kind| kind.as_str());
                *account.left_out.entry(kind).or_default() += 1;
                continue;
            };
            if !seen.insert(key) {
                account.repeated += 1;
                continue;
            }
            let lost = indicator_fields(&asset.indicator, back);
            *(if lost.is_empty() { &mut account.exact } else { &mut account.shortened }) += 1;
            for field in lost {
                account.lose(field, 1);
            }
        }
        account.compare_operation(&sheet.parts, read);
        account
    }

    /// Adds another file's.
    pub fn add(&mut self, other: &Self) {
        let Self { exact, shortened, repeated, left_out, fields } = other;
        self.exact += exact;
        self.shortened += shortened;
        self.repeated += repeated;
        for (kind, count) in left_out {
            *self.left_out.entry(kind).or_default() += count;
        }
        for (field, count) in fields {
            self.lose(field, *count);
        }
    }

    fn lose(&mut self, field: &'static str, count: u64) {
        if count > 0 {
            *self.fields.entry(field).or_default() += count;
        }
    }

    fn compare_operation(&mut self, parts: &[pb::Operation], read: &ImportedFile) {
        let (mut techniques, mut metrics, mut narratives) = (Vec::new(), Vec::new(), Vec::new());
        for row in &read.rows {
            if let RowOutcome::Operation { techniques: some, metrics: figures, narrative } =
                &row.outcome
            {
                techniques.extend(some);
                metrics.extend(figures);
                narratives.extend(narrative);
            }
        }
        for part in parts {
            let missing = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            let lost = part.techniques.iter().filter(|one| !techniques.contains(one)).count();
            self.lose("operation.techniques", missing(lost));
            let lost = part.metrics.iter().filter(|one| !metrics.contains(one)).count();
            self.lose("operation.metrics", missing(lost));
            let lost = part.narratives.iter().filter(|one| !narratives.contains(one)).count();
            self.lose("operation.narratives", missing(lost));
            for field in operation_fields(part) {
                self.lose(field, 1);
            }
        }
    }
}

/// Fields of an indicator that did not come back as they were.
fn indicator_fields(want: &pb::Indicator, back: &pb::Indicator) -> Vec<&'static str> {
    let pb::Indicator {
        observable,
        operation: _the_file,
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
        warning_seen,
    } = want;
    let (ours, theirs) = (observable.as_ref(), back.observable.as_ref());
    let differs = [
        ("observable.value", spelt(ours) != spelt(theirs)),
        ("observable (other fields)", bare(ours) != bare(theirs)),
        ("first_seen_time", *first_seen_time != back.first_seen_time),
        ("last_seen_time", *last_seen_time != back.last_seen_time),
        ("valid_from_time", *valid_from_time != back.valid_from_time),
        ("valid_until_time", *valid_until_time != back.valid_until_time),
        ("confidence", *confidence != back.confidence),
        ("review", *review != back.review),
        ("techniques", *techniques != back.techniques),
        ("metrics", *metrics != back.metrics),
        ("evidence", *evidence != back.evidence),
        ("description", *description != back.description),
        ("labels", *labels != back.labels),
        ("warning_seen", *warning_seen != back.warning_seen),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

fn spelt(observable: Option<&pb::Observable>) -> Option<&str> {
    observable.map(|observable| observable.value.as_str())
}

/// The rest of an observable, kind and platform by normal form apart: a profile's address is an account.
fn bare(observable: Option<&pb::Observable>) -> Option<pb::Observable> {
    let observable = observable.cloned()?;
    Some(pb::Observable { kind: 0, platform: String::new(), value: String::new(), ..observable })
}

/// Fields of an operation that the layouts have no place for, and that say something.
fn operation_fields(part: &pb::Operation) -> Vec<&'static str> {
    let pb::Operation {
        title: _the_files_name,
        aliases,
        status,
        origin_regions,
        target_regions,
        languages,
        narratives: _compared,
        first_activity_time,
        last_activity_time,
        techniques: _compared_too,
        metrics: _and_they,
        description,
        references,
        labels,
    } = part;
    let says = [
        ("operation.aliases", !aliases.is_empty()),
        ("operation.status", *status != 0),
        ("operation.origin_regions", !origin_regions.is_empty()),
        ("operation.target_regions", !target_regions.is_empty()),
        ("operation.languages", !languages.is_empty()),
        ("operation.first_activity_time", first_activity_time.is_some()),
        ("operation.last_activity_time", last_activity_time.is_some()),
        ("operation.description", !description.is_empty()),
        ("operation.references", !references.is_empty()),
        ("operation.labels", !labels.is_empty()),
    ];
    says.into_iter().filter(|(_, says)| *says).map(|(field, _)| field).collect()
}
