//! Bars to the right: how many of each.

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
use crate::briefing::chart::ROWS_MAX;
use crate::briefing::chart::Size;
use crate::briefing::chart::Svg;
use crate::briefing::chart::canvas;
use crate::briefing::chart::canvas::BAR;
use crate::briefing::chart::canvas::Fault;
use crate::briefing::chart::canvas::GRID;
use crate::briefing::chart::canvas::INK;
use crate::briefing::words;

/// Width, room for labels, room for values, columns of a label.
const fn layout(size: Size) -> (u32, u32, u32, usize) {
    match size {
        Size::Wide => (430, 178, 76, 23),
        Size::Small => (290, 118, 62, 14),
    }
}

pub(super) fn draw(rows: &[Bar], full: u64, size: Size) -> Result<Svg, Fault> {
    let rows = rows.get(..ROWS_MAX).unwrap_or(rows);
    let (width, left, right, columns) = layout(size);
    let height = canvas::row_pixels(rows.len());
    canvas::draw((width, height), |root| {
        let area = root.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
            0.0..canvas::length(full.max(1)),
            canvas::rows(rows.len()),
            (
                canvas::pixels(left)..canvas::pixels(width.saturating_sub(right)),
                0..canvas::pixels(height),
            ),
        ));
        let axis = [(0.0, 0.0), (0.0, canvas::rows(rows.len()).end)];
        area.draw(&PathElement::new(axis, GRID.stroke_width(1)))?;
        for (middle, row) in canvas::with_middle(rows) {
            let end = canvas::length(row.value.min(full));
            area.draw(&Rectangle::new([(0.0, middle - 0.3), (end, middle + 0.3)], BAR.filled()))?;
            let label = canvas::text(INK, HPos::Right, VPos::Center);
            let text = canvas::cut(&row.label, columns);
            area.draw(&(EmptyElement::at((0.0, middle)) + Text::new(text, (-8, 0), label)))?;
            let value = canvas::text(INK, HPos::Left, VPos::Center);
            let text = format!("{}{}", words::number(row.value), row.mark);
            area.draw(&(EmptyElement::at((end, middle)) + Text::new(text, (6, 0), value)))?;
        }
        Ok(())
    })
}
