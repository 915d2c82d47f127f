//! The vocabulary of the Online Operations Kill Chain: `Tactic,Technique,Procedure`, each with its number before it.
//!
//! The number is the key: the label that stands first with it counts, and others are passed over.

use std::collections::HashSet;

use crate::interop::framework::FrameworkError;
use crate::interop::framework::Tactic;
use crate::interop::framework::Technique;
use crate::interop::framework::build::Placed;
use crate::interop::techniques::KILL_CHAIN;
use crate::interop::techniques::numbered;
use crate::interop::techniques::phase;
use crate::model::limits;

/// The framework's name on the wire.
pub(super) const NAME: &str = KILL_CHAIN;
const HEADER: [&str; 3] = ["tactic", "technique", "procedure"];

/// The techniques and procedures of a list.
pub(super) fn techniques(text: &[u8]) -> Result<Vec<Placed>, FrameworkError> {
    if text.iter().fold(false, |open, byte| open ^ (*byte == b'"')) {
        return Err(FrameworkError::whole("a quoted cell is never closed"));
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut known: HashSet<String> = HashSet::new();
    let mut found: Vec<Placed> = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|error| FrameworkError::whole(error.to_string()))?;
        let cell = |at: usize| record.get(at).unwrap_or_default().trim();
        if row == 0 {
            let names = (0..HEADER.len()).map(|at| cell(at).to_lowercase());
            if !names.eq(HEADER) {
                let why = "it is neither JSON nor a list of Tactic, Technique, Procedure";
                return Err(FrameworkError::whole(why));
            }
            continue;
        }
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        let place = format!("line {line}");
        let rows = [(cell(1), None), (cell(2), Some(cell(1)))];
        for (text, above) in rows.into_iter().filter(|(text, _)| !text.is_empty()) {
            let Some(technique) = technique(cell(0), text, above) else {
                return Err(FrameworkError::at(&place, "there is no number before the label"));
            };
            if known.insert(technique.external_id.clone()) {
                found.push(Placed { place: place.clone(), technique });
            }
        }
        if found.len() > limits::FRAMEWORK_TECHNIQUES_MAX {
            let most = limits::FRAMEWORK_TECHNIQUES_MAX;
            return Err(FrameworkError::at(&place, format!("more than {most} techniques")));
        }
    }
    Ok(found)
}

fn technique(tactic: &str, text: &str, above: Option<&str>) -> Option<Technique> {
    let (external_id, name) = numbered(text)?;
    let parent = above.and_then(numbered).map(|(number, _label)| number).unwrap_or_default();
    let number = external_id.split('.').next().unwrap_or_default().to_owned();
    let phase = Tactic { name: phase(&external_id, tactic), external_id: number };
    Some(Technique {
        // A row without a procedure of its own names its technique again.
        parent: if parent == external_id { String::new() } else { parent },
        external_id,
        name,
        description: String::new(),
        tactics: vec![phase],
        retired: false,
    })
}
