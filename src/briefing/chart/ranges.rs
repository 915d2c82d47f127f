//! From p50 to p90 on a logarithmic axis: milliseconds and weeks in one picture.

use std::time::Duration;

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::combinators::IntoLogRange as _;
use plotters::coord::combinators::LogCoord;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::DrawingArea;
use plotters::element::EmptyElement;
use plotters::element::PathElement;
use plotters::element::Rectangle;
use plotters::element::Text;
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::VPos;

use crate::briefing::chart::ROWS_MAX;
use crate::briefing::chart::Range;
use crate::briefing::chart::Svg;
use crate::briefing::chart::canvas;
use crate::briefing::chart::canvas::BAR;
use crate::briefing::chart::canvas::Fault;
use crate::briefing::chart::canvas::GRID;
use crate::briefing::chart::canvas::HOLLOW;
use crate::briefing::chart::canvas::INK;
use crate::briefing::chart::canvas::MUTED;

/// The axis begins here: what is faster is drawn as this.
const SHORTEST: f64 = 0.001;
/// The axis ends here: three hundred years.
const LONGEST: f64 = 1e10;
/// Where the axis may have a line.
const TICKS: [(f64, &str); 12] = [
    (0.001, "1 ms"),
    (0.01, "10 ms"),
    (0.1, "100 ms"),
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (600.0, "10 min"),
    (3600.0, "1 h"),
    (21_600.0, "6 h"),
    (86_400.0, "1 d"),
    (604_800.0, "7 d"),
    (2_592_000.0, "30 d"),
];
/// The line of the axis' words.
const BOTTOM: u32 = 22;

type Area<'a> =
    DrawingArea<plotters::backend::SVGBackend<'a>, Cartesian2d<LogCoord<f64>, RangedCoordf64>>;

const WIDTH: u32 = 430;
/// Room for labels.
const LEFT: u32 = 178;
const LABEL_COLUMNS: usize = 23;
/// Room for half of the last word on the axis, which stands in the middle below its line.
const RIGHT: u32 = 28;
/// Words on the axis: more would run into each other.
const TICKS_MAX: usize = 5;

pub(super) fn draw(rows: &[Range], axis: (Duration, Duration)) -> Result<Svg, Fault> {
    let rows = rows.get(..ROWS_MAX).unwrap_or(rows);
    let below = canvas::row_pixels(rows.len());
    let (from, to) = decades(axis);
    canvas::draw((WIDTH, below.saturating_add(BOTTOM)), |root| {
        let area = root.apply_coord_spec(Cartesian2d::<LogCoord<f64>, RangedCoordf64>::new(
            (from..to).log_scale(),
            canvas::rows(rows.len()),
            (
                canvas::pixels(LEFT)..canvas::pixels(WIDTH.saturating_sub(RIGHT)),
                0..canvas::pixels(below),
            ),
        ));
        draw_ticks(&area, (from, to), canvas::rows(rows.len()).end)?;
        for (middle, row) in canvas::with_middle(rows) {
            draw_row(&area, middle, row)?;
            let style = canvas::text(INK, HPos::Right, VPos::Center);
            let text = canvas::cut(&row.label, LABEL_COLUMNS);
            area.draw(&(EmptyElement::at((from, middle)) + Text::new(text, (-8, 0), style)))?;
        }
        Ok(())
    })
}

fn draw_row(area: &Area<'_>, middle: f64, row: &Range) -> Result<(), Fault> {
    let (low, high) = (seconds(row.p50.min(row.p90)), seconds(row.p50.max(row.p90)));
    let corners = [(low, middle - 0.26), (high, middle + 0.26)];
    if row.is_proven {
        area.draw(&Rectangle::new(corners, BAR.filled()))?;
    } else {
        area.draw(&Rectangle::new(corners, HOLLOW.filled()))?;
        area.draw(&Rectangle::new(corners, BAR.stroke_width(1)))?;
    }
    // Both ends are drawn also when they are one.
    for end in [low, high] {
        let ends = [(end, middle - 0.36), (end, middle + 0.36)];
        area.draw(&PathElement::new(ends, BAR.stroke_width(2)))?;
    }
    Ok(())
}

fn draw_ticks(area: &Area<'_>, (from, to): (f64, f64), bottom: f64) -> Result<(), Fault> {
    let within: Vec<&(f64, &str)> =
        TICKS.iter().filter(|(at, _)| (from..=to).contains(at)).collect();
    let every = within.len().div_ceil(TICKS_MAX).max(1);
    for (at, name) in within.into_iter().step_by(every) {
        let line = [(*at, 0.0), (*at, bottom)];
        area.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
        let style = canvas::text(MUTED, HPos::Center, VPos::Top);
        let text = Text::new((*name).to_owned(), (0, 6), style);
        area.draw(&(EmptyElement::at((*at, bottom)) + text))?;
    }
    Ok(())
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64().clamp(SHORTEST, LONGEST)
}

/// Powers of ten around the two, apart from each other.
fn decades((shortest, longest): (Duration, Duration)) -> (f64, f64) {
    let (low, high) = (seconds(shortest.min(longest)), seconds(shortest.max(longest)));
    let from = 10_f64.powf((low * 0.999).log10().floor());
    let to = 10_f64.powf((high * 1.001).log10().ceil());
    (from, to.max(from * 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the widest fonts that a browser may take for words of 12 pixels.
    const LETTER: u32 = 9;

    #[test]
    fn the_last_word_on_the_axis_has_room() {
        for (_, name) in TICKS {
            let letters = u32::try_from(name.len()).unwrap();
            assert!(letters * LETTER / 2 < RIGHT, "{name}");
        }
    }

    #[test]
    fn an_axis_may_end_with_any_word() {
        let ms = Duration::from_millis;
        let row = Range { label: "x".into(), p50: ms(20), p90: ms(90), is_proven: true };
        let drawn = draw(&[row], (ms(20), ms(90))).unwrap();
        assert!(drawn.elements.contains("100 ms"));
    }
}
