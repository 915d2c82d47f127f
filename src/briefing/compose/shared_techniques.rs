//! Which techniques the operations of the period have in common: counted here from what is presented.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::briefing::chart::Chart;
use crate::briefing::chart::Drawing;
use crate::briefing::chart::HeatCell;
use crate::briefing::chart::HeatRow;
use crate::briefing::chart::Size;
use crate::briefing::compose::presented::technique_name;
use crate::briefing::document::Block;
use crate::briefing::document::Line;
use crate::briefing::document::Look;
use crate::briefing::document::Section;
use crate::briefing::document::Table;
use crate::briefing::document::names;
use crate::briefing::document::numbers;
use crate::briefing::presented::Operation;
use crate::briefing::presented::Presentation;
use crate::briefing::presented::Technique;
use crate::briefing::said::Said;
use crate::briefing::words;
use crate::model::handling::Tlp;

/// Fewer techniques than this are a short table and no picture.
const DRAWN_MIN: usize = 4;
/// Columns of a label before the chart cuts it further.
const LABEL_COLUMNS: usize = 24;

/// A technique, and in how many operations it was named.
struct Used<'a> {
    technique: &'a Technique,
    operations: u64,
}

/// The chapter; none if fewer than two operations name techniques, of which their own cards say everything.
pub(super) fn chapter(presentations: &[Presentation]) -> Option<Block> {
    let operations = presentations.iter().flat_map(|member| &member.operations);
    let naming: Vec<&Operation> =
        operations.filter(|operation| !operation.techniques.is_empty()).collect();
    if naming.len() < 2 {
        return None;
    }
    let used = used(&naming);
    let tlp = naming.iter().map(|operation| operation.tlp).fold(Tlp::Clear, Tlp::max);
    let caption = format!(
        "Techniques of {} that name any, with in how many each is named",
        words::counted(naming.len(), "operation", "operations")
    );
    let has_several =
        used.iter().map(|one| &one.technique.framework).collect::<BTreeSet<_>>().len() > 1;
    let rows = used.iter().map(|one| {
        let Technique { framework, external_id, phase, .. } = one.technique;
        vec![
            Line::new().said_or(phase, "no phase"),
            Line::new().said(external_id),
            technique_name(one.technique),
            words::number(one.operations).into(),
            if has_several { Line::new().said(framework) } else { Line::new() },
        ]
    });
    let columns = vec![
        names("Phase"),
        names("Code"),
        names("Technique"),
        numbers("Operations"),
        names("Framework"),
    ];
    let table = Table::new(caption.into(), columns, rows.collect());
    let block = if used.len() < DRAWN_MIN {
        Block::Table(table)
    } else {
        Block::Figure(vec![heat(&used)], table)
    };
    let section = Section::new(Look::Chapter, "Techniques across operations").labelled(tlp);
    Some(Block::Section(section.with([block])))
}

/// Each technique once, in the order of frameworks and codes. The same code is the same technique, however its name is
/// spelt; without a code its name has to do.
fn used<'a>(operations: &[&'a Operation]) -> Vec<Used<'a>> {
    let mut used: BTreeMap<(String, String), Used<'a>> = BTreeMap::new();
    for operation in operations {
        let mut own = BTreeSet::new();
        for technique in &operation.techniques {
            let key = key(technique);
            if !own.insert(key.clone()) {
                continue;
            }
            let counted = used.entry(key).or_insert(Used { technique, operations: 0 });
            counted.operations = counted.operations.saturating_add(1);
        }
    }
    let mut used: Vec<Used<'a>> = used.into_values().collect();
    used.sort_by_cached_key(|one| super::presented::order(one.technique));
    used
}

fn key(technique: &Technique) -> (String, String) {
    let Technique { framework, external_id, name, .. } = technique;
    let code = if external_id.is_empty() { name } else { external_id };
    let key = |said: &Said| said.shown().to_lowercase();
    (key(framework), key(code))
}

fn heat(used: &[Used<'_>]) -> Chart {
    let mut rows: Vec<HeatRow> = Vec::new();
    for one in used {
        let label = one.technique.phase.cut(LABEL_COLUMNS);
        let label = if label.is_empty() { "no phase".to_owned() } else { label };
        let Technique { external_id, name, .. } = one.technique;
        let code = if external_id.is_empty() { name } else { external_id };
        let cell = HeatCell { label: code.cut(LABEL_COLUMNS), value: one.operations };
        match rows.iter_mut().find(|row| row.label == label) {
            Some(row) => row.cells.push(cell),
            None => rows.push(HeatRow { label, cells: vec![cell] }),
        }
    }
    Chart {
        title: "Techniques by phase, darker where more operations named them".to_owned(),
        description:
            "One field for each technique, in the row of its phase, with its code and the \
                      number of operations that named it."
                .to_owned(),
        size: Size::Wide,
        drawing: Drawing::Heat {
            rows,
            most: used.iter().map(|one| one.operations).max().unwrap_or_default(),
        },
    }
}
