//! The page: one HTML file that asks for nothing.
//!
//! maud escapes every text. The only thing that it is told not to escape is what plotters drew and escaped itself, and
//! the style sheet. A policy in the page forbids every request, and there is no script.

use maud::DOCTYPE;
use maud::Markup;
use maud::PreEscaped;
use maud::html;

use crate::briefing::chart::Chart;
use crate::briefing::chart::Size;
use crate::briefing::document::Block;
use crate::briefing::document::Content;
use crate::briefing::document::Document;
use crate::briefing::document::Fact;
use crate::briefing::document::Line;
use crate::briefing::document::Look;
use crate::briefing::document::Piece;
use crate::briefing::document::Section;
use crate::briefing::document::Table;
use crate::briefing::document::Tile;
use crate::briefing::words;
use crate::model::handling::Tlp;

/// No request may leave the page, and nothing in it may run, send or be reached from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// Without scripts, so it can be read in a file of its own.
const STYLE: &str = include_str!("style.css");

/// Columns of a table that has room beside its chart.
const BESIDE_COLUMNS_MAX: usize = 3;

/// The whole page.
pub(super) fn page(document: &Document) -> String {
    let mut writer = Writer { charts: 0 };
    let main = writer.main(document);
    let tlp = document.tlp;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="referrer" content="no-referrer";
                meta name="robots" content="noindex, nofollow, noarchive";
                meta name="format-detection" content="telephone=no, date=no, address=no, email=no";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { (tlp.to_string()) " " (document.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (band(tlp, "band top"))
                (main)
                (band(tlp, "band bottom"))
            }
        }
    };
    page.into_string()
}

/// The label across the page, to the right as the standard recommends. The style sheet repeats it on printed pages.
fn band(tlp: Tlp, class: &str) -> Markup {
    html! { div class=(class) { (label(tlp)) } }
}

fn label(tlp: Tlp) -> Markup {
    html! { span class={ "tlp " (class(tlp)) } { (tlp.to_string()) } }
}

const fn class(tlp: Tlp) -> &'static str {
    match tlp {
        Tlp::Clear => "tlp-clear",
        Tlp::Green => "tlp-green",
        Tlp::Amber => "tlp-amber",
        Tlp::AmberStrict => "tlp-amber-strict",
        Tlp::Red => "tlp-red",
    }
}

/// Numbers the charts, so that each can point to its own words.
struct Writer {
    charts: u32,
}

impl Writer {
    fn main(&mut self, document: &Document) -> Markup {
        html! {
            main {
                header.front {
                    h1 { (document.title) }
                    p.period { (line(&document.period)) }
                    (facts(&document.facts))
                    div.tiles { @for each in &document.tiles { (tile(each)) } }
                    nav aria-label="Contents" { ol { @for part in &document.parts {
                        @if let Look::Part(id) = part.look {
                            li { a href={ "#" (id) } { (line(&part.title)) } }
                        }
                    } } }
                    ul.legend { @for each in &document.legend { li { (line(each)) } } }
                }
                @for part in &document.parts { (self.section(part, 2)) }
            }
        }
    }

    fn section(&mut self, section: &Section, level: u8) -> Markup {
        let (class, id) = match section.look {
            Look::Part(id) => ("part", Some(id)),
            Look::Chapter => ("chapter", None),
            Look::Card => ("card", None),
            Look::Plain => ("plain", None),
        };
        html! {
            section class=(class) id=[id] {
                div.head { (heading(level, &section.title)) @if let Some(tlp) = section.tlp { (label(tlp)) } }
                @for block in &section.blocks { (self.block(block, level.saturating_add(1))) }
            }
        }
    }

    fn block(&mut self, block: &Block, level: u8) -> Markup {
        match block {
            Block::Section(section) => self.section(section, level),
            Block::Big(big) => html! { p.big { (line(big)) } },
            Block::Text(text) => html! { p { (line(text)) } },
            Block::Empty(text) => html! { p.empty { (text) } },
            Block::Facts(list) => facts(list),
            Block::Items(items) => html! { ul { @for item in items { li { (line(item)) } } } },
            Block::Table(rows) => table(rows),
            Block::Figure(charts, rows) => self.figure(charts, rows),
            Block::Cards(cards) => html! {
                div.cards { @for card in cards { (self.section(card, level)) } }
            },
        }
    }

    fn figure(&mut self, charts: &[Chart], rows: &Table) -> Markup {
        // Several charts, or a table of many columns, have no room beside each other.
        let is_stacked = charts.len() > 1 || rows.columns.len() > BESIDE_COLUMNS_MAX;
        let class = if is_stacked { "figure stacked" } else { "figure beside" };
        html! {
            div class=(class) {
                div.charts { @for chart in charts { (self.chart(chart)) } }
                (table(rows))
            }
        }
    }

    fn chart(&mut self, chart: &Chart) -> Markup {
        self.charts = self.charts.saturating_add(1);
        let (title, description) = (format!("c{}t", self.charts), format!("c{}d", self.charts));
        let Some(svg) = chart.svg() else {
            return html! { p.empty { "This chart could not be drawn; the table says the same." } };
        };
        html! {
            figure class=(size(chart.size)) {
                figcaption { (chart.title) }
                svg role="img" aria-labelledby={ (title) " " (description) } width=(svg.width)
                    height=(svg.height) viewBox={ "0 0 " (svg.width) " " (svg.height) } {
                    title id=(title) { (chart.title) }
                    desc id=(description) { (chart.description) }
                    (PreEscaped(svg.elements))
                }
            }
        }
    }
}

const fn size(size: Size) -> &'static str {
    match size {
        Size::Wide => "wide",
        Size::Small => "small",
    }
}

fn heading(level: u8, title: &Line) -> Markup {
    match level {
        0..=2 => html! { h2 { (line(title)) } },
        3 => html! { h3 { (line(title)) } },
        4 => html! { h4 { (line(title)) } },
        5 => html! { h5 { (line(title)) } },
        6.. => html! { h6 { (line(title)) } },
    }
}

fn tile(tile: &Tile) -> Markup {
    html! {
        div.tile {
            div.value { (tile.value) }
            div.name { (tile.label) }
            @if !tile.note.is_empty() { div.note { (tile.note) } }
        }
    }
}

fn facts(facts: &[Fact]) -> Markup {
    html! { dl { @for fact in facts { div { dt { (fact.name) } dd { (line(&fact.value)) } } } } }
}

fn table(table: &Table) -> Markup {
    html! {
        div.table {
            table {
                caption { (line(&table.caption)) }
                thead { tr { @for column in &table.columns {
                    th scope="col" class=[content(column.content)] { (column.title) }
                } } }
                tbody { @for row in &table.rows { tr {
                    @for (column, cell) in table.columns.iter().zip(row) {
                        td class=[content(column.content)] { (line(cell)) }
                    }
                } } }
            }
            @if table.left_out > 0 {
                p.empty { (words::counted(table.left_out, "more row is", "more rows are")) " not shown." }
            }
        }
    }
}

const fn content(content: Content) -> Option<&'static str> {
    match content {
        Content::Words => None,
        Content::Names => Some("name"),
        Content::Text => Some("text"),
        Content::Numbers => Some("number"),
    }
}

fn line(line: &Line) -> Markup {
    html! { @for piece in &line.0 { (self::piece(piece)) } }
}

fn piece(piece: &Piece) -> Markup {
    match piece {
        Piece::Text(text) => html! { (text) },
        // Kept apart, so that right-to-left text does not reorder what stands beside it.
        Piece::Said(text) => html! { bdi { (text) } },
        Piece::Strong(text) => html! { strong { (text) } },
        Piece::Muted(text) => html! { span.muted { (text) } },
        Piece::Alert(text) => html! { strong.alert { (text) } },
        Piece::Id(text) => html! { code { (text) } },
        Piece::Mark(provenance) => {
            let mark = words::mark(*provenance);
            html! { @if !mark.is_empty() { sup title=(words::provenance(*provenance)) { (mark) } } }
        }
        Piece::Meter(percent) => html! {
            span.meter aria-hidden="true" { span style={ "width:" (percent) "%" } {} }
        },
        Piece::Label(tlp) => label(*tlp),
    }
}
