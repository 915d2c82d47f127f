//! The indicator lists that Meta publishes as CSV, in both layouts, read and written.
//!
//! Pure: text in, a plan out. Nothing is dropped silently: every row ends as carried, as something about the
//! operation, as the duplicate of an earlier line, or as a skip with its reason.

mod cell;
mod count;
mod draft;
mod figure;
mod file_name;
mod identity;
mod layout;
mod plan;
mod write;

pub use self::file_name::OperationHint;
pub use self::identity::operation_id;
pub use self::identity::record_id;
pub use self::plan::import;
pub use self::write::Asset;
pub use self::write::FileNames;
pub use self::write::Gathered;
pub use self::write::Layout;
pub use self::write::Sheet;
pub use self::write::WriteAccount;
pub use self::write::Written;

use crate::model::observable::ObservableKind;
use crate::model::platform::Platform;
use crate::wire::pb;

/// Bytes of one file.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedFile {
    /// Its name, as given.
    pub file: String,
    /// What the name says about the operation.
    pub operation_hint: Option<OperationHint>,
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// Rows of commas only, which separate sections.
    pub blank: u64,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The physical line on which it begins.
    pub line: u64,
    /// What became of it.
    pub outcome: RowOutcome,
}

/// What became of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum RowOutcome {
    /// It became records.
    Carried(Vec<Draft>),
    /// It says something about the operation as a whole.
    Operation {
        /// What the operation did.
        techniques: Vec<pb::Technique>,
        /// Figures.
        metrics: Vec<pb::Metric>,
        /// What it told.
        narrative: Option<String>,
    },
    /// It says again what an earlier line says; its technique was added there.
    Duplicate {
        /// That line.
        of_line: u64,
    },
    /// It was not understood.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
}

/// Why a row was skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SkipReason {
    /// The indicator is empty, and its technique is known from other rows.
    #[error("empty")]
    Empty,
    /// It can be read in more than one way.
    #[error("ambiguous")]
    Ambiguous,
    /// It looks like a value and is none.
    #[error("invalid")]
    Invalid,
    /// Somebody forgot to fill in the figure.
    #[error("template")]
    Template,
    /// The type is not known.
    #[error("unknown-type")]
    UnknownType,
    /// It is longer, or has more values, than a record takes.
    #[error("too-long")]
    TooLong,
    /// It is not UTF-8.
    #[error("encoding")]
    Encoding,
    /// Text without any technique that it could describe.
    #[error("no-technique")]
    NoTechnique,
}

/// A record to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What it is.
    pub kind: ObservableKind,
    /// Where it lives.
    pub platform: Option<Platform>,
    /// Its identity within the operation; for aggregates what is counted and where, without the number.
    pub normal_form: String,
    /// What is published.
    pub indicator: pb::Indicator,
}

/// How many rows ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows that are not blank.
    pub rows: u64,
    /// Rows that became records.
    pub carried: u64,
    /// Rows about the operation.
    pub operation: u64,
    /// Repetitions.
    pub duplicates: u64,
    /// Rows that were not understood.
    pub skipped: u64,
    /// Separators.
    pub blank: u64,
    /// Records.
    pub records: u64,
}

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is too big.
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// Its first record is the header of neither layout.
    #[error("the header is of neither published layout")]
    UnknownLayout,
    /// Quotes do not pair: a cell would swallow the rest of the file.
    #[error("a quoted cell is never closed")]
    UnclosedQuote,
    /// The reader gave up.
    #[error("line {line} cannot be read as CSV")]
    Malformed {
        /// Where.
        line: u64,
    },
}

impl ImportedFile {
    /// Counts the rows by how they ended.
    ///
    /// # Panics
    ///
    /// Never: the assertion states that the four ways add up to the rows.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { blank: self.blank, ..Summary::default() };
        for row in &self.rows {
            summary.rows += 1;
            match &row.outcome {
                RowOutcome::Carried(drafts) => {
                    summary.carried += 1;
                    summary.records += u64::try_from(drafts.len()).unwrap_or(u64::MAX);
                }
                RowOutcome::Operation { .. } => summary.operation += 1,
                RowOutcome::Duplicate { .. } => summary.duplicates += 1,
                RowOutcome::Skipped { .. } => summary.skipped += 1,
            }
        }
        let sum = summary.carried + summary.operation + summary.duplicates + summary.skipped;
        assert!(sum == summary.rows, "every row ends in one of four ways");
        summary
    }

    /// The drafts of every row.
    pub fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.rows.iter().flat_map(|row| match &row.outcome {
            RowOutcome::Carried(drafts) => drafts.as_slice(),
            RowOutcome::Operation { .. }
            | RowOutcome::Duplicate { .. }
            | RowOutcome::Skipped { .. } => &[],
        })
    }
}
