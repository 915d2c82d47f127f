//! Records as the lists that Meta publishes, in both layouts: the reader's way back.
//!
//! What is written is read again by the reader before it is handed over, so that the account of what comes back, what
//! says less then, and what has no place in the layout is what the reader says and not what the writer hopes
//! (docs/adr/0029). Cells that a spreadsheet would run as a formula begin with a word joiner, which nobody sees and
//! the reader takes away.

mod account;
mod assets;
mod cells;
mod gather;
mod name;
mod operation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

pub use self::account::WriteAccount;
pub use self::gather::Gathered;
pub use self::name::FileNames;

use crate::interop::meta_csv::ImportError;
use crate::interop::meta_csv::import;
use crate::model::normal_form::NormalForm;
use crate::wire::pb;

/// The header of the kill-chain layout.
const KILL_CHAIN_HEADER: [&str; 5] = ["Tactic", "Technique", "Procedure", "Indicator", "Comments"];
/// The header of the flat layout.
const FLAT_HEADER: [&str; 4] = ["indicator_type", "indicator_value", "comment", "ds"];
/// Techniques of one asset that get a row each: published lists have a few, a record may have hundreds.
const ROWS_OF_ASSET_MAX: usize = crate::model::limits::ITEMS_MAX;

/// In which columns to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `Tactic,Technique,Procedure,Indicator,Comments`, as from 2023 on.
    KillChain,
    /// `indicator_type,indicator_value,comment,ds`, as from 2020 to 2022.
    Flat,
}

/// What goes into one file: an operation with its indicators.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// The operation's title.
    pub title: String,
    /// What the operation's records say, part by part; none where there is no operation.
    pub parts: Vec<pb::Operation>,
    /// Its indicators, in the order in which they are to stand.
    pub assets: Vec<Asset>,
}

/// One indicator of a sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Asset {
    /// Its normal form; aggregates have none.
    pub form: Option<NormalForm>,
    /// What it says.
    pub indicator: pb::Indicator,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// Its bytes: UTF-8, records that end in CRLF.
    pub text: String,
    /// What became of what was to be written.
    pub account: WriteAccount,
}

impl Sheet {
    /// Writes the sheet, and reads it again for the account. An error is a fault of ours: the reader refuses the file
    /// whole.
    pub fn write(&self, layout: Layout) -> Result<Written, ImportError> {
        let (mut text, mut written) = (String::new(), BTreeSet::new());
        match layout {
            Layout::KillChain => {
                cells::push(&mut text, &KILL_CHAIN_HEADER);
                let rows = assets::kill_chain_rows(&self.assets, &mut written);
                let said = operation::rows(&self.parts, &self.assets);
                for row in &said {
                    cells::push(&mut text, &row.each_ref().map(String::as_str));
                }
                if !said.is_empty() && !rows.is_empty() {
                    cells::push(&mut text, &[""; KILL_CHAIN_HEADER.len()]);
                }
                for row in &rows {
                    cells::push(&mut text, &row.each_ref().map(String::as_str));
                }
            }
            Layout::Flat => {
                cells::push(&mut text, &FLAT_HEADER);
                for row in &assets::flat_rows(&self.assets, &mut written) {
                    cells::push(&mut text, &row.each_ref().map(String::as_str));
                }
            }
        }
        let account = WriteAccount::of(self, &written, &import("", text.as_bytes())?);
        Ok(Written { text, account })
    }
}
