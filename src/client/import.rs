//! From published lists to drafts: which records they become, and the account of every row.
//!
//! Record ids come from the member's secret namespace, so that a file that is imported again, or its next edition,
//! meets the records that it made before.

use std::collections::HashMap;

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

/// Plans the import of files, each a name and its bytes, into one operation.
pub fn plan_import(
    files: &[(String, Vec<u8>)],
    title: &str,
    member: &MemberId,
    namespace: &Uuid,
    handling: &Handling,
) -> Result<ImportPlan, ImportProblem> {
    let mut planner = Planner::new(title, member, namespace, handling);
    for (file, text) in files {
        let imported = meta_csv::import(file, text)
            .map_err(|source| ImportProblem { file: file.clone(), source })?;
        planner.take(&imported);
    }
    Ok(planner.finish())
}

struct Planner<'a> {
    title: &'a str,
    member: &'a MemberId,
    namespace: &'a Uuid,
    handling: &'a Handling,
    parts: Vec<pb::Operation>,
    indicators: Vec<Draft>,
    planned: HashMap<Uuid, usize>,
    account: ImportAccount,
}

impl<'a> Planner<'a> {
    fn new(
        title: &'a str,
        member: &'a MemberId,
        namespace: &'a Uuid,
        handling: &'a Handling,
    ) -> Self {
        Self {
            title,
            member,
            namespace,
            handling,
            parts: vec![pb::Operation { title: title.to_owned(), ..pb::Operation::default() }],
            indicators: Vec::new(),
            planned: HashMap::new(),
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
                let count = if new == 0 { &mut self.account.duplicates } else { &mut self.account.carried };
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
        let record = meta_csv::record_id(self.namespace, self.title, draft);
        if self.planned.contains_key(&record) {
            return false;
        }
        self.planned.insert(record, self.indicators.len());
        let operation = self.operation_name(self.title).to_string();
        let indicator = pb::Indicator { operation, ..draft.indicator.clone() };
        self.indicators.push(Draft {
            name: RecordName { member: self.member.clone(), record },
            previous: None,
            handling: self.handling.clone(),
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
            let title = self.part_title(self.parts.len());
            self.parts.push(pb::Operation { title, ..pb::Operation::default() });
        }
        let last = self.parts.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "there is a first part from the start, and parts only grow")]
        &mut self.parts[last]
    }

    fn part_title(&self, index: usize) -> String {
        if index == 0 { self.title.to_owned() } else { format!("{} (part {})", self.title, index + 1) }
    }

    fn operation_name(&self, title: &str) -> RecordName {
        let record = meta_csv::operation_id(self.namespace, title);
        RecordName { member: self.member.clone(), record }
    }

    fn finish(mut self) -> ImportPlan {
        let parts = std::mem::take(&mut self.parts);
        let mut drafts: Vec<Draft> = parts
            .into_iter()
            .map(|part| Draft {
                name: self.operation_name(&part.title),
                previous: None,
                handling: self.handling.clone(),
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
    use std::collections::HashSet;

    use super::*;
    use crate::model::handling::Reach;
    use crate::model::handling::Tlp;

    const SAMPLE: &str = include_str!("../interop/samples/Q2_2024_Lantern_CIB_network.csv");

    fn plan(files: &[(&str, &str)]) -> ImportPlan {
        let files: Vec<_> =
            files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect();
        let handling = Handling {
            tlp: Tlp::Green,
            reach: Reach::default(),
            onward_uses: Vec::new(),
            use_until: None,
        };
        plan_import(&files, "Lantern", &"acme-video".parse().unwrap(), &Uuid::from_bytes([7; 16]), &handling)
            .unwrap()
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
        let (once, twice) = (plan(&[("a.csv", SAMPLE)]), plan(&[("a.csv", SAMPLE), ("b.csv", SAMPLE)]));
        assert_eq!(once.drafts, twice.drafts);
        assert!(twice.account.adds_up());
        assert_eq!(twice.account.duplicates, once.account.duplicates * 2 + once.account.carried);
    }

    #[test]
    fn an_operation_too_long_for_one_record_goes_on_in_the_next() {
        let member = "acme-video".parse().unwrap();
        let handling = plan(&[]).drafts[0].handling.clone();
        let namespace = Uuid::from_bytes([7; 16]);
        let mut planner = Planner::new("Lantern", &member, &namespace, &handling);
        for number in 0..40 {
            planner.take_operation(&[], &[], Some(&format!("{number} {}", "x".repeat(4000))));
        }
        let plan = planner.finish();
        let titles: Vec<_> = plan
            .drafts
            .iter()
            .map(|draft| {
                let pb::body::Content::Operation(operation) = &draft.content else {
                    panic!("only operations were planned");
                };
                operation.title.as_str()
            })
            .collect();
        assert_eq!(titles.len(), 4);
        assert_eq!(titles[..2], ["Lantern", "Lantern (part 2)"]);
    }
}
