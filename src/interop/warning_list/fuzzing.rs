//! What `tests/fuzz` reaches of this module and nothing else does: its parsers of foreign bytes, which stay private.

use std::path::PathBuf;

use crate::interop::warning_list::LoadError;
use crate::interop::warning_list::WarningLists;

/// The list that a text is.
pub fn list(text: &[u8]) -> Result<WarningLists, LoadError> {
    let mut lists = WarningLists::default();
    lists.add_text(PathBuf::from("list.json"), text)?;
    Ok(lists)
}
