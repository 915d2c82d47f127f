//! What a briefing says, before it is HTML or Markdown: sections, tables and charts of lines, lines of pieces.
//!
//! There is no piece for text that is already escaped. Whatever the writers write, they escape.

use crate::briefing::chart::Chart;
use crate::briefing::figure::Provenance;
use crate::briefing::said::Said;
use crate::model::handling::Tlp;

/// The whole pack.
pub(super) struct Document {
    /// The label of the page.
    pub(super) tlp: Tlp,
    /// What it is.
    pub(super) title: &'static str,
    /// Which days it is about.
    pub(super) period: Line,
    /// Whose view of what it is.
    pub(super) facts: Vec<Fact>,
    /// The most important numbers.
    pub(super) tiles: Vec<Tile>,
    /// What the marks mean.
    pub(super) legend: Vec<Line>,
    /// The three parts.
    pub(super) parts: Vec<Section>,
}

/// A number that is seen first.
pub(super) struct Tile {
    pub(super) value: String,
    pub(super) label: &'static str,
    pub(super) note: String,
}

/// A name and what there is to say under it.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: Line,
}

/// How a section looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// One of the three parts, with the name by which the page's contents point to it.
    Part(&'static str),
    /// A chapter of a part.
    Chapter,
    /// Something that stands for itself, in a frame.
    Card,
    /// A heading with what belongs to it.
    Plain,
}

/// A heading, a label, and what stands below.
pub(super) struct Section {
    pub(super) look: Look,
    pub(super) title: Line,
    pub(super) tlp: Option<Tlp>,
    pub(super) blocks: Vec<Block>,
}

/// One thing below another.
pub(super) enum Block {
    Section(Section),
    /// A number that is to be seen first in its card.
    Big(Line),
    Text(Line),
    /// Nothing to report, said in words.
    Empty(&'static str),
    Facts(Vec<Fact>),
    Items(Vec<Line>),
    Table(Table),
    /// Charts with the table that says the same in numbers.
    Figure(Vec<Chart>, Table),
    /// Sections side by side.
    Cards(Vec<Section>),
}

/// A table; its rows have as many cells as there are columns.
pub(super) struct Table {
    pub(super) caption: Line,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Line>>,
    /// Rows that found no room.
    pub(super) left_out: usize,
}

/// A column.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) content: Content,
}

/// What stands in a column, which decides how narrow it can be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// Our own few words, dates and labels.
    Words,
    /// Names, which others chose.
    Names,
    /// Sentences of others.
    Text,
    /// Numbers, to the right.
    Numbers,
}

/// A column of our own words.
pub(super) const fn words(title: &'static str) -> Column {
    Column { title, content: Content::Words }
}

/// A column of names.
pub(super) const fn names(title: &'static str) -> Column {
    Column { title, content: Content::Names }
}

/// A column of sentences.
pub(super) const fn text(title: &'static str) -> Column {
    Column { title, content: Content::Text }
}

/// A column of numbers.
pub(super) const fn numbers(title: &'static str) -> Column {
    Column { title, content: Content::Numbers }
}

impl Table {
    /// Rows of one table at most; what is left out is counted below it.
    const ROWS_MAX: usize = 200;

    /// Columns in which nothing stands are left out.
    pub(super) fn new(caption: Line, columns: Vec<Column>, rows: Vec<Vec<Line>>) -> Self {
        let left_out = rows.len().saturating_sub(Self::ROWS_MAX);
        let rows: Vec<Vec<Line>> = rows.into_iter().take(Self::ROWS_MAX).collect();
        let is_blank = |row: &Vec<Line>, index: usize| row.get(index).is_none_or(Line::is_blank);
        let has = |index| rows.iter().any(|row| !is_blank(row, index));
        let kept: Vec<bool> = (0..columns.len()).map(has).collect();
        let rows = rows.into_iter().map(|row| keep(row, &kept)).collect();
        Self { caption, columns: keep(columns, &kept), rows, left_out }
    }
}

/// Those of several that are kept.
fn keep<T>(all: Vec<T>, kept: &[bool]) -> Vec<T> {
    all.into_iter().zip(kept).filter_map(|(one, kept)| kept.then_some(one)).collect()
}

impl Section {
    pub(super) fn new(look: Look, title: impl Into<Line>) -> Self {
        Self { look, title: title.into(), tlp: None, blocks: Vec::new() }
    }

    pub(super) fn labelled(mut self, tlp: Tlp) -> Self {
        self.tlp = Some(tlp);
        self
    }

    pub(super) fn with(mut self, blocks: impl IntoIterator<Item = Block>) -> Self {
        self.blocks.extend(blocks);
        self
    }
}

/// A piece of a line.
pub(super) enum Piece {
    /// Our own words, numbers, names of members.
    Text(String),
    /// What somebody said.
    Said(String),
    /// Our own words, strongly.
    Strong(String),
    /// Our own words, on the side.
    Muted(String),
    /// Something that someone must act on.
    Alert(String),
    /// A record's name.
    Id(String),
    /// How the number before it is known; nothing if it is proven.
    Mark(Provenance),
    /// A bar from 0 to 100 beside a number that says the same.
    Meter(u8),
    /// A label.
    Label(Tlp),
}

/// A line of text.
#[derive(Default)]
pub(super) struct Line(pub(super) Vec<Piece>);

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::new().text(text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self(vec![Piece::Text(text)])
    }
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn and(mut self, piece: Piece) -> Self {
        self.0.push(piece);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.and(Piece::Text(text.to_owned()))
    }

    pub(super) fn said(self, said: &Said) -> Self {
        self.and(Piece::Said(said.shown()))
    }

    /// What was said, or our own words if nothing was.
    pub(super) fn said_or(self, said: &Said, otherwise: &str) -> Self {
        if said.is_empty() { self.muted(otherwise) } else { self.said(said) }
    }

    pub(super) fn strong(self, text: &str) -> Self {
        self.and(Piece::Strong(text.to_owned()))
    }

    pub(super) fn muted(self, text: &str) -> Self {
        self.and(Piece::Muted(text.to_owned()))
    }

    pub(super) fn alert(self, text: &str) -> Self {
        self.and(Piece::Alert(text.to_owned()))
    }

    pub(super) fn id(self, id: &str) -> Self {
        self.and(Piece::Id(id.to_owned()))
    }

    pub(super) fn mark(self, provenance: Provenance) -> Self {
        self.and(Piece::Mark(provenance))
    }

    pub(super) fn meter(self, percent: u8) -> Self {
        self.and(Piece::Meter(percent))
    }

    pub(super) fn label(self, tlp: Tlp) -> Self {
        self.and(Piece::Label(tlp))
    }

    /// Everything that was said, with commas.
    pub(super) fn all(self, said: &[Said]) -> Self {
        said.iter().enumerate().fold(self, |line, (index, each)| {
            if index == 0 { line.said(each) } else { line.text(", ").said(each) }
        })
    }

    /// Whether there is nothing to be seen.
    pub(super) fn is_blank(&self) -> bool {
        let is_blank = |piece: &Piece| matches!(piece, Piece::Said(text) | Piece::Muted(text) if text.is_empty());
        self.0.iter().all(is_blank)
    }

    /// Another line behind this one.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}
