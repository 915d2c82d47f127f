//! The format: one JSON object a list.

use serde::Deserialize;
use thiserror::Error;

use crate::model::limits::LABEL_BYTES_MAX;
use crate::model::limits::VALUE_BYTES_MAX;
use crate::model::limits::WARNING_ENTRIES_MAX;
use crate::model::limits::WARNING_LISTS_MAX;
use crate::model::limits::WARNING_PATTERNS_MAX;
use crate::model::limits::WARNING_SUBSTRING_BYTES_MAX;

/// A list as written. Fields that are not known are passed over: the format is not ours and grows.
#[derive(Debug, Deserialize)]
pub(super) struct RawList {
    pub(super) name: String,
    #[serde(default)]
    pub(super) version: u64,
    #[serde(default, rename = "type")]
    pub(super) matching: Matching,
    #[serde(default)]
    pub(super) matching_attributes: Vec<String>,
    pub(super) list: Vec<String>,
}

/// How the entries of a list are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Matching {
    #[default]
    String,
    Substring,
    Hostname,
    Regex,
    Cidr,
}

/// Why a list is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ListError {
    /// It has no name, or one that is too long.
    #[error("name must have 1 to {LABEL_BYTES_MAX} bytes")]
    Name,
    /// An entry, counted from 0, is empty or too long.
    #[error("list[{0}] must have 1 to {VALUE_BYTES_MAX} bytes")]
    Entry(usize),
    /// An entry, counted from 0, is no network.
    #[error("list[{0}] is no network")]
    Network(usize),
    /// An entry, counted from 0, is no pattern, too large a one, or one that needs look-around or references.
    #[error(
        "list[{0}] is no regular expression that can be searched for in bounded time and space"
    )]
    Pattern(usize),
    /// More entries than are taken: of this list if it is searched, else of all lists together.
    #[error(
        "too many entries: {WARNING_PATTERNS_MAX} patterns or {WARNING_SUBSTRING_BYTES_MAX} bytes of substrings \
         a list, {WARNING_ENTRIES_MAX} entries in all lists together"
    )]
    TooManyEntries,
    /// More lists than are taken.
    #[error("more than {WARNING_LISTS_MAX} lists")]
    TooManyLists,
}

/// Whether a list keeps its limits.
pub(super) fn check(name: &str, matching: Matching, entries: &[String]) -> Result<(), ListError> {
    if name.trim().is_empty() || name.len() > LABEL_BYTES_MAX {
        return Err(ListError::Name);
    }
    let is_odd = |entry: &String| entry.trim().is_empty() || entry.len() > VALUE_BYTES_MAX;
    if let Some(index) = entries.iter().position(is_odd) {
        return Err(ListError::Entry(index));
    }
    let is_kept = match matching {
        Matching::Regex => entries.len() <= WARNING_PATTERNS_MAX,
        Matching::Substring => {
            entries.iter().map(String::len).sum::<usize>() <= WARNING_SUBSTRING_BYTES_MAX
        }
        Matching::String | Matching::Hostname | Matching::Cidr => true,
    };
    if is_kept { Ok(()) } else { Err(ListError::TooManyEntries) }
}
