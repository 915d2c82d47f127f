//! The same as Markdown, for those who paste it into minutes.
//!
//! Every text is escaped so that no dialect finds a link, an image, HTML, a heading or a list in it: what renders is
//! what was said.

use crate::briefing::document::Block;
use crate::briefing::document::Content;
use crate::briefing::document::Document;
use crate::briefing::document::Fact;
use crate::briefing::document::Line;
use crate::briefing::document::Piece;
use crate::briefing::document::Section;
use crate::briefing::document::Table;
use crate::briefing::words;

/// Headings go no deeper.
const LEVEL_MAX: usize = 6;

/// The whole text.
pub(super) fn text(document: &Document) -> String {
    let label = format!("**{}**", escape(&document.tlp.to_string()));
    let mut out = Vec::new();
    out.push(label.clone());
    out.push(format!("# {}", escape(document.title)));
    out.push(line(&document.period));
    out.push(facts(&document.facts));
    out.push(tiles(document));
    out.push(items(&document.legend));
    for part in &document.parts {
        section(&mut out, part, 2);
    }
    out.push(label);
    let mut whole = out.join("\n\n");
    whole.push('\n');
    whole
}

fn section(out: &mut Vec<String>, section: &Section, level: usize) {
    let hashes = "#".repeat(level.min(LEVEL_MAX));
    let label = section.tlp.map(|tlp| format!(" ({})", escape(&tlp.to_string())));
    let title = line(&section.title);
    out.push(format!("{hashes} {title}{}", label.unwrap_or_default()));
    for block in &section.blocks {
        self::block(out, block, level.saturating_add(1));
    }
}

fn block(out: &mut Vec<String>, block: &Block, level: usize) {
    match block {
        Block::Section(inner) => section(out, inner, level),
        Block::Big(text) | Block::Text(text) => out.push(line(text)),
        Block::Empty(text) => out.push(escape(text)),
        Block::Facts(list) => out.push(facts(list)),
        Block::Items(list) => out.push(items(list)),
        Block::Table(rows) | Block::Figure(_, rows) => table(out, rows),
        Block::Cards(cards) => cards.iter().for_each(|card| section(out, card, level)),
    }
}

fn tiles(document: &Document) -> String {
    let tile = document.tiles.iter().map(|tile| {
        let note = if tile.note.is_empty() { String::new() } else { format!(" ({})", tile.note) };
        format!("- {}", escape(&format!("{}: {}{note}", tile.label, tile.value)))
    });
    tile.collect::<Vec<_>>().join("\n")
}

fn facts(facts: &[Fact]) -> String {
    let fact = facts.iter().map(|fact| format!("- {}: {}", escape(fact.name), line(&fact.value)));
    fact.collect::<Vec<_>>().join("\n")
}

fn items(items: &[Line]) -> String {
    items.iter().map(|item| format!("- {}", line(item))).collect::<Vec<_>>().join("\n")
}

fn table(out: &mut Vec<String>, table: &Table) {
    out.push(line(&table.caption));
    let titles = table.columns.iter().map(|column| escape(column.title));
    let rules = table.columns.iter().map(|column| match column.content {
        Content::Words | Content::Names | Content::Text => "---".to_owned(),
        Content::Numbers => "---:".to_owned(),
    });
    let rows = table.rows.iter().map(|row| joined(row.iter().map(line)));
    let all: Vec<String> = [joined(titles), joined(rules)].into_iter().chain(rows).collect();
    out.push(all.join("\n"));
    if table.left_out > 0 {
        let left_out = words::counted(table.left_out, "more row is", "more rows are");
        out.push(escape(&format!("{left_out} not shown.")));
    }
}

fn joined(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

/// A line, safe also at the start of a block.
fn line(line: &Line) -> String {
    let whole: String = line.0.iter().map(piece).collect();
    guard_start(whole.trim())
}

fn piece(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) | Piece::Said(text) | Piece::Muted(text) | Piece::Id(text) => {
            escape(text)
        }
        Piece::Strong(text) | Piece::Alert(text) => format!("**{}**", escape(text)),
        Piece::Mark(provenance) => words::mark(*provenance).to_owned(),
        Piece::Meter(_) => String::new(),
        Piece::Label(tlp) => format!("({})", escape(&tlp.to_string())),
    }
}

/// Text without meaning to Markdown. `<`, `>` and `&` become what HTML itself reads as letters, since not every dialect
/// lets them be escaped.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(8));
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '!' | '|' | '~' | '$' | '^'
            | '=' | '"' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}

/// At the start of a line `-`, `+`, `:` and `1.` have a meaning.
fn guard_start(line: &str) -> String {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = line.split_at_checked(digits).unwrap_or(("", line));
    let is_list = digits > 0 && rest.starts_with(['.', ')']);
    if is_list || line.starts_with(['-', '+', ':']) {
        return format!("{number}\\{rest}");
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_a_meaning() {
        assert_eq!(
            escape("[a](b) ![c] <d> `e` *f* _g_ | #h"),
            "\\[a\\](b) \\!\\[c\\] &lt;d&gt; \\`e\\` \\*f\\* \\_g\\_ \\| \\#h"
        );
        for (given, expected) in [
            ("- a", "\\- a"),
            ("12. a", "12\\. a"),
            ("1) a", "1\\) a"),
            ("1a", "1a"),
            (": a", "\\: a"),
        ] {
            assert_eq!(guard_start(given), expected);
        }
    }
}
