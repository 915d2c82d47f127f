//! Two answers side by side, field by field, but for what the hub claims.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use crate::model::header::BodyKind;
use crate::wire::pb;

/// A field in which the hub's answer is not what was computed again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which field, of whose row or time.
    pub field: String,
    /// What the hub answered.
    pub answered: String,
    /// What was computed again.
    pub computed: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, answered, computed } = self;
        write!(formatter, "{field}: the hub says {answered}, the entries say {computed}")
    }
}

/// Where an answer differs from what was computed again. `delivered`, `acknowledged` and times that the hub vouches for
/// are left out, as nobody can compute them. Texts may be hostile: clean them before they are shown.
pub fn differences(
    answered: &pb::GetLedgerResponse,
    computed: &pb::GetLedgerResponse,
) -> Vec<Difference> {
    let (answered, computed) = (fields(answered), fields(computed));
    let missing = || "nothing".to_owned();
    let names: BTreeSet<&String> = answered.keys().chain(computed.keys()).collect();
    let differing = names.into_iter().filter(|name| answered.get(*name) != computed.get(*name));
    differing
        .map(|name| Difference {
            field: name.clone(),
            answered: answered.get(name).cloned().unwrap_or_else(missing),
            computed: computed.get(name).cloned().unwrap_or_else(missing),
        })
        .collect()
}

/// Every field that can be computed again, by a name of its own.
fn fields(answer: &pb::GetLedgerResponse) -> BTreeMap<String, String> {
    let pb::GetLedgerResponse {
        first_sequence,
        end_sequence,
        rows,
        threshold,
        times,
        head,
        operations_left_out,
    } = answer;
    let mut fields = Fields::default();
    fields.add("first_sequence", *first_sequence);
    fields.add("end_sequence", *end_sequence);
    fields.add("threshold", *threshold);
    fields.add("head", *head);
    fields.add("operations_left_out", *operations_left_out);
    for row in rows {
        add_row(&mut fields, row);
    }
    for time in times.iter().filter(|time| time.basis() != pb::TimeBasis::Hub) {
        add_time(&mut fields, time);
    }
    fields.0
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Fields {
    /// A field that stands twice keeps both values, so that it equals none that stands once.
    fn add(&mut self, name: impl Into<String>, value: impl fmt::Display) {
        let value = value.to_string();
        self.0
            .entry(name.into())
            .and_modify(|before| *before = format!("{before} and {value}"))
            .or_insert(value);
    }
}

fn add_row(fields: &mut Fields, row: &pb::LedgerRow) {
    let pb::LedgerRow {
        member,
        role: _by_name,
        members,
        given,
        confirmed,
        disputed,
        acted_on,
        withdrawn,
        received,
        delivered: _claimed,
        acknowledged: _claimed_too,
        received_acted_on,
        confirmed_by,
        disputed_by,
        acted_on_by,
    } = row;
    let whose = if member.is_empty() { "the others" } else { member };
    fields.add(format!("{whose}: role"), row.role().as_str_name());
    fields.add(format!("{whose}: members"), members);
    for pb::KindCount { kind, count } in given {
        let kind = BodyKind::from_number(*kind);
        let kind = kind.map_or("unknown", BodyKind::as_str);
        fields.add(format!("{whose}: given {kind}"), count);
    }
    for (name, value) in [
        ("confirmed", confirmed),
        ("disputed", disputed),
        ("acted_on", acted_on),
        ("withdrawn", withdrawn),
        ("received", received),
        ("received_acted_on", received_acted_on),
        ("confirmed_by", confirmed_by),
        ("disputed_by", disputed_by),
        ("acted_on_by", acted_on_by),
    ] {
        fields.add(format!("{whose}: {name}"), value);
    }
}

fn add_time(fields: &mut Fields, time: &pb::TimeToShare) {
    let pb::TimeToShare {
        member,
        operation,
        stage: _by_name,
        basis: _by_name_too,
        count,
        p50,
        p90,
        left_out,
    } = time;
    let whose = match (member.as_str(), operation.as_str()) {
        ("", "") => "all".to_owned(),
        (member, "") => member.to_owned(),
        ("", operation) => operation.to_owned(),
        (member, operation) => format!("{member} in {operation}"),
    };
    let stage = format!("{} {}", time.stage().as_str_name(), time.basis().as_str_name());
    let shown = |duration: Option<&prost_types::Duration>| {
        duration.map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    fields.add(format!("{whose}: {stage} count"), count);
    fields.add(format!("{whose}: {stage} left_out"), left_out);
    fields.add(format!("{whose}: {stage} p50"), shown(p50.as_ref()));
    fields.add(format!("{whose}: {stage} p90"), shown(p90.as_ref()));
}
