//! Charts as SVG, without fonts, files or network: plotters with its SVG backend alone.
//!
//! A chart never says more than the table beside it. Its colours are the few of `canvas`, so that the page's style
//! sheet can exchange them in the dark.

mod bars;
mod canvas;
mod columns;
mod diverging;
mod heat;
mod ranges;

use std::time::Duration;

use crate::briefing::chart::canvas::Fault;

/// A drawing with its words for those who do not see it.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: String,
    /// What it shows, for those who hear the page.
    pub(super) description: String,
    /// How large.
    pub(super) size: Size,
    /// What is drawn.
    pub(super) drawing: Drawing,
}

/// How large a chart is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Beside its table.
    Wide,
    /// One of several beside each other.
    Small,
}

/// What is drawn. Labels are cut to fit; they must be fit to be shown.
pub(super) enum Drawing {
    /// Bars to the right, against a common largest value.
    Bars {
        /// From the top.
        rows: Vec<Bar>,
        /// The value of a full bar.
        full: u64,
    },
    /// Columns over time.
    Columns(Vec<Bar>),
    /// Two bars a row, away from the middle.
    Diverging {
        /// What the left side is.
        left: &'static str,
        /// What the right side is.
        right: &'static str,
        /// From the top.
        rows: Vec<Opposed>,
    },
    /// From p50 to p90, on a logarithmic axis between these two.
    Ranges {
        /// From the top.
        rows: Vec<Range>,
        /// The axis holds these.
        axis: (Duration, Duration),
    },
    /// Fields in rows, darker for more.
    Heat {
        /// From the top.
        rows: Vec<HeatRow>,
        /// The value of the darkest field.
        most: u64,
    },
}

/// A bar or column.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: u64,
    /// Behind the value: the mark of where it comes from.
    pub(super) mark: &'static str,
}

/// Two bars that oppose each other.
pub(super) struct Opposed {
    pub(super) label: String,
    pub(super) left: u64,
    pub(super) left_mark: &'static str,
    pub(super) right: u64,
    pub(super) right_mark: &'static str,
}

/// A time from p50 to p90.
pub(super) struct Range {
    pub(super) label: String,
    pub(super) p50: Duration,
    pub(super) p90: Duration,
    pub(super) is_proven: bool,
}

/// Fields under one label.
pub(super) struct HeatRow {
    pub(super) label: String,
    pub(super) cells: Vec<HeatCell>,
}

/// A field.
pub(super) struct HeatCell {
    pub(super) label: String,
    pub(super) value: u64,
}

/// A chart that was drawn.
pub(super) struct Svg {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Elements to stand within `<svg>`; text in them is escaped.
    pub(super) elements: String,
}

/// Rows of one chart at most: beyond them the table has to do.
pub(super) const ROWS_MAX: usize = 24;

impl Chart {
    /// Draws it; `None` if that fails, so that the table stands alone.
    pub(super) fn svg(&self) -> Option<Svg> {
        let drawn: Result<Svg, Fault> = match &self.drawing {
            Drawing::Bars { rows, full } => bars::draw(rows, *full, self.size),
            Drawing::Columns(columns) => columns::draw(columns),
            Drawing::Diverging { left, right, rows } => diverging::draw((left, right), rows),
            Drawing::Ranges { rows, axis } => ranges::draw(rows, *axis),
            Drawing::Heat { rows, most } => heat::draw(rows, *most),
        };
        drawn.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, value: u64) -> Bar {
        Bar { label: label.to_owned(), value, mark: "†" }
    }

    fn svg(drawing: Drawing) -> Svg {
        let chart =
            Chart { title: String::new(), description: String::new(), size: Size::Wide, drawing };
        chart.svg().unwrap()
    }

    #[test]
    fn labels_and_values_are_drawn_and_escaped() {
        let rows = vec![bar("<script>&\"'", 13_466), bar("zero", 0)];
        let drawn = svg(Drawing::Bars { rows, full: 13_466 });
        assert!(drawn.elements.contains("&lt;script&gt;&amp;&quot;&apos;"), "{}", drawn.elements);
        assert!(drawn.elements.contains("13,466†"));
        assert!(!drawn.elements.contains("svg") && !drawn.elements.contains("<script"));
    }

    #[test]
    fn the_largest_numbers_and_none_can_be_drawn() {
        for value in [0, 1, u64::MAX] {
            assert!(svg(Drawing::Bars { rows: vec![bar("a", value)], full: value }).height > 0);
            assert!(svg(Drawing::Columns(vec![bar("a", value)])).elements.contains("<text"));
            let opposed = Opposed {
                label: "a".to_owned(),
                left: value,
                left_mark: "",
                right: 0,
                right_mark: "",
            };
            let drawn = svg(Drawing::Diverging { left: "l", right: "r", rows: vec![opposed] });
            assert!(drawn.elements.contains("<text"));
        }
        assert!(svg(Drawing::Bars { rows: Vec::new(), full: 0 }).width > 0);
        assert!(svg(Drawing::Columns(Vec::new())).width > 0);
    }

    #[test]
    fn fields_are_drawn_with_code_and_number_and_escaped() {
        let cell = |label: &str, value| HeatCell { label: label.to_owned(), value };
        let cells = vec![cell("T0013", 3), cell("<b>", u64::MAX), cell("a", 0), cell("b", 1)];
        let rows = vec![HeatRow { label: "<i>".to_owned(), cells }];
        let drawn = svg(Drawing::Heat { rows, most: u64::MAX });
        assert!(drawn.elements.contains("T0013") && drawn.elements.contains("&lt;b&gt;"));
        assert!(!drawn.elements.contains("<i>") && drawn.elements.contains("&lt;i&gt;"));
        assert_eq!(drawn.height, 48, "three fields a line");
        let rows = (0..1000).map(|_| HeatRow { label: String::new(), cells: vec![cell("a", 1)] });
        let drawn = svg(Drawing::Heat { rows: rows.collect(), most: 1 });
        assert!(drawn.height <= 24 * 24, "{}", drawn.height);
        assert!(svg(Drawing::Heat { rows: Vec::new(), most: 0 }).width > 0);
    }

    #[test]
    fn times_of_any_length_can_be_drawn() {
        for (p50, p90) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::from_secs(5), Duration::from_secs(5000)),
            (Duration::from_secs(9), Duration::from_secs(1)),
            (Duration::ZERO, Duration::MAX),
        ] {
            let row = Range { label: "a".to_owned(), p50, p90, is_proven: false };
            let drawn = svg(Drawing::Ranges { rows: vec![row], axis: (p50, p90) });
            assert!(drawn.elements.contains("<rect"), "{p50:?} {p90:?}");
            assert!(!drawn.elements.contains("NaN") && !drawn.elements.contains("inf"));
        }
    }
}
