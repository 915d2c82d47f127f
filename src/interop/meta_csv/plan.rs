//! Row by row to drafts, with what the file said before kept at hand.

use std::collections::HashMap;
use std::collections::HashSet;

use crate::interop::meta_csv::Draft;
use crate::interop::meta_csv::FILE_BYTES_MAX;
use crate::interop::meta_csv::ImportError;
use crate::interop::meta_csv::ImportedFile;
use crate::interop::meta_csv::Row;
use crate::interop::meta_csv::RowOutcome;
use crate::interop::meta_csv::SkipReason;
use crate::interop::meta_csv::cell;
use crate::interop::meta_csv::cell::Reading;
use crate::interop::meta_csv::count;
use crate::interop::meta_csv::draft;
use crate::interop::meta_csv::figure;
use crate::interop::meta_csv::file_name;
use crate::interop::meta_csv::layout;
use crate::interop::meta_csv::layout::Columns;
use crate::interop::meta_csv::layout::Layout;
use crate::interop::meta_csv::layout::Record;
use crate::interop::techniques;
use crate::interop::techniques::bounded;
use crate::model::limits;
use crate::model::observable::ObservableKind;
use crate::model::platform::Platform;
use crate::model::refang::is_invisible;
use crate::wire::pb;

/// Reads a published list.
pub fn import(file_name: &str, text: &[u8]) -> Result<ImportedFile, ImportError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(ImportError::TooLarge);
    }
    let (layout, records) = layout::read(text)?;
    let mut plan = Plan { described: described(layout, &records), ..Plan::default() };
    let mut blank = 0;
    for record in &records {
        if record.is_blank() {
            blank += 1;
            continue;
        }
        let outcome = plan.outcome(layout, record);
        plan.rows.push(Row { line: record.line, outcome });
    }
    Ok(ImportedFile {
        file: file_name.to_owned(),
        operation_hint: file_name::hint(file_name),
        rows: plan.rows,
        blank,
    })
}

/// Techniques of rows that say something: a row that only names one of them adds nothing.
fn described(layout: Layout, records: &[Record]) -> HashSet<String> {
    let technique = |record: &Record| match record.columns(layout)? {
        Columns::KillChain { tactic, technique, procedure, indicator, .. }
            if !clean(indicator).is_empty() =>
        {
            Some(techniques::kill_chain(tactic, technique, procedure)?.external_id)
        }
        Columns::KillChain { .. } | Columns::Flat { .. } => None,
    };
    records.iter().filter_map(technique).collect()
}

/// What makes two values of a file one.
type Identity = (ObservableKind, Option<Platform>, String);

#[derive(Default)]
struct Plan {
    rows: Vec<Row>,
    described: HashSet<String>,
    /// Where the draft of a value stands: row and place in the row.
    drafts: HashMap<Identity, (usize, usize)>,
    /// Sentences, by technique.
    sentences: HashMap<(String, String), u64>,
}

impl Plan {
    fn outcome(&mut self, layout: Layout, record: &Record) -> RowOutcome {
        let result = match record.columns(layout) {
            None => Err(SkipReason::Encoding),
            Some(Columns::Flat { kind, value, comment, date }) => {
                draft::flat(kind, value, comment, date)
            }
            Some(Columns::KillChain { tactic, technique, procedure, indicator, remark }) => {
                let technique = techniques::kill_chain(tactic, technique, procedure);
                return self.kill_chain(record.line, technique, &clean(indicator), &clean(remark));
            }
        };
        match result {
            Ok(draft) => self.carry(vec![draft]),
            Err(reason) => RowOutcome::Skipped { reason },
        }
    }

    fn kill_chain(
        &mut self,
        line: u64,
        technique: Option<pb::Technique>,
        cell: &str,
        remark: &str,
    ) -> RowOutcome {
        if cell.is_empty() {
            return self.empty(technique);
        }
        let external_id = technique.as_ref().map_or("", |technique| technique.external_id.as_str());
        if let Some(count) = count::count(cell, draft::place(external_id)) {
            return self.carry(vec![draft::aggregate(count, cell, technique, remark)]);
        }
        if let Some(metric) = figure::metric(cell) {
            return self.sentence(line, technique, cell, vec![metric]);
        }
        if figure::is_template(cell) {
            return RowOutcome::Skipped { reason: SkipReason::Template };
        }
        match cell::read(cell) {
            Reading::Values(found, _)
                if found.len() == 1 && draft::is_service(external_id, &found) =>
            {
                self.sentence(line, technique, cell, Vec::new())
            }
            Reading::Values(found, behind) => {
                self.carry(draft::values(found, &behind, remark, technique.as_ref()))
            }
            Reading::Prose => self.sentence(line, technique, cell, Vec::new()),
            Reading::Skip(reason) => RowOutcome::Skipped { reason },
        }
    }

    fn empty(&mut self, technique: Option<pb::Technique>) -> RowOutcome {
        match technique {
            Some(technique) if self.described.insert(technique.external_id.clone()) => {
                RowOutcome::Operation {
                    techniques: vec![technique],
                    metrics: Vec::new(),
                    narrative: None,
                }
            }
            _ => RowOutcome::Skipped { reason: SkipReason::Empty },
        }
    }

    fn sentence(
        &mut self,
        line: u64,
        technique: Option<pb::Technique>,
        text: &str,
        metrics: Vec<pb::Metric>,
    ) -> RowOutcome {
        if technique.is_none() && metrics.is_empty() {
            return RowOutcome::Skipped { reason: SkipReason::NoTechnique };
        }
        let external_id = technique.as_ref().map_or("", |technique| technique.external_id.as_str());
        let narrative =
            external_id.starts_with("6.1.").then(|| bounded(text, limits::TEXT_BYTES_MAX));
        let key = (external_id.to_owned(), techniques::one_line(text));
        if let Some(of_line) = self.sentences.get(&key) {
            return RowOutcome::Duplicate { of_line: *of_line };
        }
        self.sentences.insert(key, line);
        let observed = if narrative.is_none() && metrics.is_empty() {
            bounded(text, limits::TEXT_BYTES_MAX)
        } else {
            String::new()
        };
        let techniques = technique
            .into_iter()
            .map(|technique| pb::Technique { observed: observed.clone(), ..technique })
            .collect();
        RowOutcome::Operation { techniques, metrics, narrative }
    }

    /// Keeps what is new; adds the techniques and remarks of the rest to the drafts that stand.
    fn carry(&mut self, drafts: Vec<Draft>) -> RowOutcome {
        let mut kept: Vec<Draft> = Vec::new();
        let mut first_line = None;
        for mut draft in drafts {
            if draft.kind == ObservableKind::Aggregate {
                self.name_apart(&mut draft);
            }
            let key = (draft.kind, draft.platform.clone(), draft.normal_form.clone());
            match self.drafts.get(&key).copied() {
                None => {
                    self.drafts.insert(key, (self.rows.len(), kept.len()));
                    kept.push(draft);
                }
                Some((row, at)) if row == self.rows.len() => {
                    // One row has one technique: there is always room for it.
                    kept.get_mut(at).map(|standing| merge(standing, &draft));
                }
                Some((row, at)) => first_line = first_line.or(self.add_to(row, at, &draft)),
            }
        }
        match (kept.is_empty(), first_line) {
            (true, Some(of_line)) => RowOutcome::Duplicate { of_line },
            (true, None) => RowOutcome::Skipped { reason: SkipReason::TooLong },
            (false, _) => RowOutcome::Carried(kept),
        }
    }

    /// Another figure for the same count is another aggregate: it gets a number of its own.
    fn name_apart(&self, draft: &mut Draft) {
        let identity = draft.normal_form.clone();
        let mut number = 1_u32;
        while let Some(standing) = self.standing(draft) {
            if standing.indicator.observable.as_ref().map(|wire| &wire.aggregate)
                == draft.indicator.observable.as_ref().map(|wire| &wire.aggregate)
            {
                return;
            }
            number += 1;
            draft.normal_form = format!("{identity}#{number}");
        }
    }

    fn standing(&self, draft: &Draft) -> Option<&Draft> {
        let key = (draft.kind, draft.platform.clone(), draft.normal_form.clone());
        let (row, at) = self.drafts.get(&key)?;
        match &self.rows.get(*row)?.outcome {
            RowOutcome::Carried(drafts) => drafts.get(*at),
            RowOutcome::Operation { .. }
            | RowOutcome::Duplicate { .. }
            | RowOutcome::Skipped { .. } => None,
        }
    }

    fn add_to(&mut self, row: usize, at: usize, draft: &Draft) -> Option<u64> {
        let row = self.rows.get_mut(row)?;
        let RowOutcome::Carried(drafts) = &mut row.outcome else {
            return None;
        };
        merge(drafts.get_mut(at)?, draft).then_some(row.line)
    }
}

/// Adds what the other says to the one that stands; false if a technique finds no place.
fn merge(standing: &mut Draft, other: &Draft) -> bool {
    let ours = &mut standing.indicator;
    for technique in &other.indicator.techniques {
        if ours.techniques.iter().any(|known| known.external_id == technique.external_id) {
            continue;
        }
        if ours.techniques.len() >= limits::ITEMS_MAX {
            return false;
        }
        ours.techniques.push(technique.clone());
    }
    let remark = &other.indicator.description;
    if !remark.is_empty() && !ours.description.contains(remark.as_str()) {
        let separator = if ours.description.is_empty() { "" } else { "\n" };
        ours.description =
            bounded(&format!("{}{separator}{remark}", ours.description), limits::TEXT_BYTES_MAX);
    }
    true
}

/// The text without what cannot be seen, trimmed.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|symbol| !is_invisible(*symbol)).collect::<String>().trim().to_owned()
}
