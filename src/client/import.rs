//! From published lists to drafts: which records they become, and the account of every row.
//!
//! Record ids come from the member's secret namespace, so that a file that is imported again, or its next edition,
//! meets the records that it made before.

use std::collections::HashSet;

use prost::Message as _;
use uuid::Uuid;

use crate::client::signer::Draft;
use crate::interop::meta_csv;
use crate::interop::meta_csv::ImportError;
use crate::interop::meta_csv::ImportedFile;
use crate::interop::meta_csv::Row;
use crate::interop::meta_csv::RowOutcome;
use crate::model::handling::Handling;
use crate::model::limits;
use crate::model::names::MemberId;
use crate::model::names::RecordName;
use crate::wire::pb;

/// Bytes of one operation's record: a body that stays well below what an envelope takes.
const OPERATION_BYTES_MAX: usize = 40 * 1024;

/// A file that could not be read as a list.
#[derive(Debug, thiserror::Error)]
#[error("{file} is not a list that can be imported")]
pub struct ImportProblem {
    /// The file.
    pub file: String,
    /// Why.
    #[source]
    pub source: ImportError,
}

/// What a number of files becomes.
#[derive(Debug)]
pub struct ImportPlan {
    /// The operation's records first, then one draft a record.
    pub drafts: Vec<Draft>,
    /// The operation's records.
    pub operations: Vec<RecordName>,
    /// What became of every row.
    pub account: ImportAccount,
}

/// What became of every row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportAccount {
    /// Rows that are not blank.
    pub rows: u64,
    /// Rows that became records.
    pub carried: u64,
    /// Rows about the operation as a whole.
    pub operation: u64,
    /// Rows that say again what an earlier one says.
    pub duplicates: u64,
    /// Separators.
    pub blank: u64,
    /// Rows that were not understood, each with its place and reason.
    pub skipped: Vec<SkippedRow>,
}

/// A row that was not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedRow {
    /// The file.
    pub file: String,
    /// The physical line on which the row begins.
    pub line: u64,
    /// Why.
    pub reason: String,
}

impl ImportAccount {
    /// Whether the four ways in which a row ends add up to the rows.
    pub fn adds_up(&self) -> bool {
        let skipped = u64::try_from(self.skipped.len()).unwrap_or(u64::MAX);
        self.carried + self.operation + self.duplicates + skipped == self.rows
    }
}

/// Into which operation files are imported.
#[derive(Clone, Debug)]
pub struct ImportTarget {
    /// The operation's title.
    pub title: String,
    /// The publisher.
    pub member: MemberId,
    /// The publisher's secret namespace.
    pub namespace: Uuid,
    /// Who may read the records.
    pub handling: Handling,
    /// What the operation's records say already: files that come later add to it, and take nothing away.
    pub earlier: Vec<pb::Operation>,
}

impl ImportTarget {
    /// The record of a part of the operation; the first is part 0.
    pub fn part_name(&self, part: usize) -> RecordName {
        let record = meta_csv::operation_id(&self.namespace, &self.part_title(part));
        RecordName { member: self.member.clone(), record }
    }

    fn part_title(&self, part: usize) -> String {
        if part == 0 { self.title.clone() } else { format!("{} (part {})", self.title, part + 1) }
    }
}

/// Plans the import of files, each a name and its bytes, into one operation.
pub fn plan_import(
    files: &[(String, Vec<u8>)],
    target: &ImportTarget,
) -> Result<ImportPlan, ImportProblem> {
    let mut planner = Planner::new(target);
    for (file, text) in files {
        let imported = meta_csv::import(file, text)
            .map_err(|source| ImportProblem { file: file.clone(), source })?;
        planner.take(&imported);
    }
    Ok(planner.finish())
}

struct Planner<'a> {
    target: &'a ImportTarget,
    parts: Vec<pb::Operation>,
    indicators: Vec<Draft>,
    planned: HashSet<Uuid>,
    account: ImportAccount,
}

impl<'a> Planner<'a> {
    fn new(target: &'a ImportTarget) -> Self {
        let mut parts = target.earlier.clone();
        if parts.is_empty() {
            parts.push(pb::Operation { title: target.title.clone(), ..pb::Operation::default() });
        }
        Self {
            target,
            parts,
            indicators: Vec::new(),
            planned: HashSet::new(),
            account: ImportAccount::default(),
        }
    }

    fn take(&mut self, imported: &ImportedFile) {
        self.account.blank += imported.blank;
        for row in &imported.rows {
            self.account.rows += 1;
            self.take_row(&imported.file, row);
        }
    }

    fn take_row(&mut self, file: &str, row: &Row) {
        match &row.outcome {
            RowOutcome::Carried(drafts) => {
                let new = drafts.iter().filter(|draft| self.take_draft(draft)).count();
                // In another file of this import the same was said before.
                let count =
                    if new == 0 { &mut self.account.duplicates } else { &mut self.account.carried };
                *count += 1;
            }
            RowOutcome::Operation { techniques, metrics, narrative } => {
                self.account.operation += 1;
                self.take_operation(techniques, metrics, narrative.as_deref());
            }
            RowOutcome::Duplicate { .. } => self.account.duplicates += 1,
            RowOutcome::Skipped { reason } => self.account.skipped.push(SkippedRow {
                file: file.to_owned(),
                line: row.line,
                reason: reason.to_string(),
            }),
        }
    }

    /// Whether it is a record that was not planned before.
    fn take_draft(&mut self, draft: &meta_csv::Draft) -> bool {
        let ImportTarget { title, member, namespace, handling, earlier: _in_the_parts } =
            self.target;
        let record = meta_csv::record_id(namespace, title, draft);
        if !self.planned.insert(record) {
            return false;
        }
        let operation = self.target.part_name(0).to_string();
        let indicator = pb::Indicator { operation, ..draft.indicator.clone() };
        self.indicators.push(Draft {
            name: RecordName { member: member.clone(), record },
            previous: None,
            handling: handling.clone(),
            content: pb::body::Content::Indicator(indicator),
        });
        true
    }

    fn take_operation(
        &mut self,
        techniques: &[pb::Technique],
        metrics: &[pb::Metric],
        narrative: Option<&str>,
    ) {
        for technique in techniques {
            if !self.parts.iter().any(|part| part.techniques.contains(technique)) {
                self.part(technique.encoded_len()).techniques.push(technique.clone());
            }
        }
        for metric in metrics {
            if !self.parts.iter().any(|part| part.metrics.contains(metric)) {
                self.part(metric.encoded_len()).metrics.push(metric.clone());
            }
        }
        if let Some(narrative) = narrative
            && !self.parts.iter().any(|part| part.narratives.iter().any(|known| known == narrative))
        {
            self.part(narrative.len()).narratives.push(narrative.to_owned());
        }
    }

    /// The part of the operation that has room for so many bytes: lists longer than a record go on in the next.
    fn part(&mut self, bytes: usize) -> &mut pb::Operation {
        let full = self.parts.last().is_none_or(|part| {
            part.encoded_len() + bytes > OPERATION_BYTES_MAX
                || part.techniques.len() >= limits::TECHNIQUES_MAX
                || part.metrics.len() >= limits::TECHNIQUES_MAX
                || part.narratives.len() >= limits::NARRATIVES_MAX
        });
        if full {
            let title = self.target.part_title(self.parts.len());
            self.parts.push(pb::Operation { title, ..pb::Operation::default() });
        }
        let last = self.parts.len().saturating_sub(1);
        #[expect(
            clippy::indexing_slicing,
            reason = "there is a first part from the start, and parts only grow"
        )]
        &mut self.parts[last]
    }

    fn finish(mut self) -> ImportPlan {
        let parts = std::mem::take(&mut self.parts);
        let mut drafts: Vec<Draft> = parts
            .into_iter()
            .enumerate()
            .map(|(number, part)| Draft {
                name: self.target.part_name(number),
                previous: None,
                handling: self.target.handling.clone(),
                content: pb::body::Content::Operation(part),
            })
            .collect();
        let operations = drafts.iter().map(|draft| draft.name.clone()).collect();
        drafts.append(&mut self.indicators);
        ImportPlan { drafts, operations, account: self.account }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::handling::Reach;
    use crate::model::handling::Tlp;

    const SAMPLE: &str = include_str!("../interop/samples/Q2_2024_Lantern_CIB_network.csv");

    fn target(earlier: Vec<pb::Operation>) -> ImportTarget {
        ImportTarget {
            title: "Lantern".to_owned(),
            member: "acme-video".parse().unwrap(),
            namespace: Uuid::from_bytes([7; 16]),
            handling: Handling {
                tlp: Tlp::Green,
                reach: Reach::default(),
                onward_uses: Vec::new(),
                use_until: None,
            },
            earlier,
        }
    }

    fn plan(files: &[(&str, &str)]) -> ImportPlan {
        plan_with(files, Vec::new())
    }

    fn plan_with(files: &[(&str, &str)], earlier: Vec<pb::Operation>) -> ImportPlan {
        let files: Vec<_> = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect();
        plan_import(&files, &target(earlier)).unwrap()
    }

    fn operations(plan: &ImportPlan) -> Vec<pb::Operation> {
        let operation = |draft: &Draft| {
            let pb::body::Content::Operation(operation) = &draft.content else {
                return None;
            };
            Some(operation.clone())
        };
        plan.drafts.iter().filter_map(operation).collect()
    }

    #[test]
    fn a_later_file_adds_to_an_operation_and_takes_nothing_away() {
        let first = operations(&plan(&[("a.csv", SAMPLE)]));
        assert!(!first[0].techniques.is_empty());
        let again = plan_with(&[("a.csv", SAMPLE)], first.clone());
        assert_eq!(operations(&again), first);
        let nothing_new = plan_with(&[], first.clone());
        assert_eq!(operations(&nothing_new), first);
        assert_eq!(nothing_new.operations, again.operations);
    }

    #[test]
    fn every_row_of_the_sample_is_accounted_for() {
        let plan = plan(&[("sample.csv", SAMPLE)]);
        assert!(plan.account.adds_up(), "{:?}", plan.account);
        assert!(plan.account.carried > 0 && plan.drafts.len() > 1);
        let names: HashSet<_> = plan.drafts.iter().map(|draft| draft.name.clone()).collect();
        assert_eq!(names.len(), plan.drafts.len());
        assert_eq!(plan.drafts.first().map(|draft| &draft.name), plan.operations.first());
    }

    #[test]
    fn the_same_file_twice_makes_no_further_record() {
        let (once, twice) =
            (plan(&[("a.csv", SAMPLE)]), plan(&[("a.csv", SAMPLE), ("b.csv", SAMPLE)]));
        assert_eq!(once.drafts, twice.drafts);
        assert!(twice.account.adds_up());
        assert_eq!(twice.account.duplicates, once.account.duplicates * 2 + once.account.carried);
    }

    #[test]
    fn an_operation_too_long_for_one_record_goes_on_in_the_next() {
        let target = target(Vec::new());
        let mut planner = Planner::new(&target);
        for number in 0..40 {
            planner.take_operation(&[], &[], Some(&format!("{number} {}", "x".repeat(4000))));
        }
        let titles: Vec<_> =
            operations(&planner.finish()).into_iter().map(|operation| operation.title).collect();
        assert_eq!(titles.len(), 4);
        assert_eq!(titles[..2], ["Lantern", "Lantern (part 2)"]);
    }
}
