//! What the statements about an operation are about: each record in short, and whether it still stands.

use std::collections::BTreeMap;

use watchfire::client::Found;
use watchfire::client::OperationView;
use watchfire::model::names::RecordName;
use watchfire::wire::pb;

use crate::operation_text::part;
use crate::output::clean;
use crate::table;
use crate::table::harmless_text;

/// Characters of what a record says, where it stands in a column among others.
const SHORT_MAX: usize = 40;

/// An operation, and the records that what is said of it is about, as far as they may be read.
pub(crate) struct Subjects<'a> {
    operation: &'a RecordName,
    known: &'a BTreeMap<RecordName, Found>,
}

impl<'a> Subjects<'a> {
    /// Of this operation.
    pub(crate) fn of(view: &'a OperationView, known: &'a BTreeMap<RecordName, Found>) -> Self {
        Self { operation: view.operation.name(), known }
    }

    /// A record in short, with who published it and whether it was taken back; empty if it is the operation itself, and
    /// by name if nothing is known of it.
    pub(crate) fn about(&self, of: &str) -> String {
        let Ok(name) = of.parse::<RecordName>() else { return harmless_text(of) };
        if name == *self.operation {
            return String::new();
        }
        let Some(found) = self.known.get(&name) else { return harmless_text(of) };
        let mut state = Vec::new();
        state.extend(found.withdrawn_sequence.map(|_place| "withdrawn*"));
        state.extend(found.entry.erased_by().map(|_cause| "erased"));
        // Below each other: beside what is said of it there is little room.
        let said = format!("{}\n[{}]", table::short(&found.entry, SHORT_MAX), name.member);
        if state.is_empty() { said } else { format!("{said}\n{}", state.join(", ")) }
    }

    /// A record or a value in short.
    pub(crate) fn reference(&self, reference: Option<&pb::Reference>) -> String {
        match reference.and_then(|reference| reference.to.as_ref()) {
            Some(pb::reference::To::Record(of)) => self.about(of),
            Some(pb::reference::To::Value(value)) => {
                table::short_value(value.kind, &value.platform, &value.value)
            }
            None => "?".to_owned(),
        }
    }

    /// An end of a link.
    pub(crate) fn end(&self, reference: Option<&pb::Reference>) -> String {
        let shown = self.reference(reference);
        if shown.is_empty() { "the operation".to_owned() } else { shown }
    }

    /// Adds the part that has them in full, with their names.
    pub(crate) fn add(&self, out: &mut String) {
        let rows = self.known.iter().map(|(name, found)| {
            let (kind, platform, says) = table::said(&found.entry);
            let mut state = Vec::new();
            state.extend(found.withdrawn_sequence.map(|place| format!("withdrawn at {place}*")));
            state.extend(found.entry.erased_by().map(|cause| format!("erased, see {cause}")));
            [kind, clean(&platform), table::cut(&says), state.join("; "), name.to_string()]
        });
        let titles = ["KIND", "PLATFORM", "SAYS", "STATE", "RECORD"];
        part("What these are about", titles, rows.collect(), out);
    }
}
