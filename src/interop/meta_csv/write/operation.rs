//! What operations say, as rows: sentences by technique, figures, narratives.
//!
//! The lists come back in their order. A technique of which nothing was told stands in a row without an indicator,
//! unless other rows name it too: then it gets a figure or a narrative of the operation for company, as it had one
//! where it came from.

use std::collections::BTreeSet;

use crate::interop::meta_csv::write::Asset;
use crate::interop::meta_csv::write::assets::KillChainRow;
use crate::interop::meta_csv::write::assets::columns;
use crate::interop::meta_csv::write::cells::harmless;
use crate::wire::pb;

/// Procedures whose sentences are what the operation told.
const NARRATIVES: &str = "6.1.";

/// Rows in the order of the lists.
pub(super) fn rows(parts: &[pb::Operation], assets: &[Asset]) -> Vec<KillChainRow> {
    let all = parts.iter().flat_map(|part| &part.techniques);
    let techniques: Vec<(&pb::Technique, [String; 3])> =
        all.filter_map(|technique| Some((technique, columns(technique)?))).collect();
    let with_text = techniques.iter().map(|(one, _)| *one).filter(|one| !one.observed.is_empty());
    let of_assets = assets.iter().flat_map(|asset| &asset.indicator.techniques);
    let told: BTreeSet<&str> =
        with_text.chain(of_assets).map(|technique| technique.external_id.as_str()).collect();
    let metrics = parts.iter().flat_map(|part| &part.metrics).map(|metric| metric.note.as_str());
    let mut metrics = Queue::of(metrics.collect());
    let narratives = parts.iter().flat_map(|part| &part.narratives).map(String::as_str);
    let mut narratives = Queue::of(narratives.collect());
    let is_teller = |technique: &pb::Technique| {
        technique.observed.is_empty() && technique.external_id.starts_with(NARRATIVES)
    };
    let mut tellers = techniques.iter().filter(|(one, _)| is_teller(one)).count();
    let mut rows = Vec::new();
    for (technique, columns) in &techniques {
        if !technique.observed.is_empty() {
            rows.push(row(columns, &technique.observed));
        } else if is_teller(technique) && !narratives.is_empty() {
            tellers -= 1;
            rows.push(row(columns, narratives.next_or_last()));
            // The last one tells what is left.
            while tellers == 0 && !narratives.is_done() {
                rows.push(row(columns, narratives.next_or_last()));
            }
        } else if !told.contains(technique.external_id.as_str()) {
            rows.push(row(columns, ""));
        } else if !metrics.is_empty() {
            rows.push(row(columns, metrics.next_or_last()));
        }
    }
    while !metrics.is_done() {
        rows.push(row(&Default::default(), metrics.next_or_last()));
    }
    rows
}

fn row(columns: &[String; 3], cell: &str) -> KillChainRow {
    let [tactic, technique, procedure] = columns.clone();
    [tactic, technique, procedure, harmless(cell), String::new()]
}

/// Texts that are told in their order, the last of them again if more is needed.
struct Queue<'a> {
    texts: Vec<&'a str>,
    next: usize,
}

impl<'a> Queue<'a> {
    fn of(texts: Vec<&'a str>) -> Self {
        // An empty one would be a row that says something else.
        let texts = texts.into_iter().filter(|text| !text.trim().is_empty()).collect();
        Self { texts, next: 0 }
    }

    const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    const fn is_done(&self) -> bool {
        self.next >= self.texts.len()
    }

    fn next_or_last(&mut self) -> &'a str {
        let text = self.texts.get(self.next).or_else(|| self.texts.last());
        self.next = self.next.saturating_add(1);
        text.copied().unwrap_or_default()
    }
}
