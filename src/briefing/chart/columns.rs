//! Columns over time: how many on each day.

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::element::EmptyElement;
use plotters::element::PathElement;
use plotters::element::Rectangle;
use plotters::element::Text;
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::VPos;

use crate::briefing::chart::Bar;
use crate::briefing::chart::Svg;
use crate::briefing::chart::canvas;
use crate::briefing::chart::canvas::BAR;
use crate::briefing::chart::canvas::Fault;
use crate::briefing::chart::canvas::GRID;
use crate::briefing::chart::canvas::INK;
use crate::briefing::chart::canvas::MUTED;
use crate::briefing::words;

const WIDTH: u32 = 430;
const HEIGHT: u32 = 180;
/// Room for the values above and the days below.
const TOP: i32 = 22;
const BOTTOM: u32 = 24;
/// Columns with a label of their own: more would run into each other.
const LABELS_MAX: usize = 8;

pub(super) fn draw(columns: &[Bar]) -> Result<Svg, Fault> {
    let highest = columns.iter().map(|column| column.value).max().unwrap_or(0).max(1);
    let base = canvas::pixels(HEIGHT.saturating_sub(BOTTOM));
    canvas::draw((WIDTH, HEIGHT), |root| {
        let across = canvas::rows(columns.len());
        let axis = [(across.start, 0.0), (across.end, 0.0)];
        let area = root.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
            across,
            0.0..canvas::length(highest),
            (4..canvas::pixels(WIDTH.saturating_sub(4)), base..TOP),
        ));
        area.draw(&PathElement::new(axis, GRID.stroke_width(1)))?;
        let every = columns.len().div_ceil(LABELS_MAX).max(1);
        for (index, (middle, column)) in canvas::with_middle(columns).enumerate() {
            let top = canvas::length(column.value);
            area.draw(&Rectangle::new([(middle - 0.32, 0.0), (middle + 0.32, top)], BAR.filled()))?;
            if !index.is_multiple_of(every) {
                continue;
            }
            let day = canvas::text(MUTED, HPos::Center, VPos::Top);
            let text = Text::new(column.label.clone(), (0, 6), day);
            area.draw(&(EmptyElement::at((middle, 0.0)) + text))?;
            let value = canvas::text(INK, HPos::Center, VPos::Bottom);
            let text = format!("{}{}", words::number(column.value), column.mark);
            area.draw(&(EmptyElement::at((middle, top)) + Text::new(text, (0, -3), value)))?;
        }
        Ok(())
    })
}
