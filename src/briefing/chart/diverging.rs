//! Two bars a row, away from the middle: given and received.

use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::DrawingArea;
use plotters::element::EmptyElement;
use plotters::element::PathElement;
use plotters::element::Rectangle;
use plotters::element::Text;
use plotters::style::Color as _;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::VPos;

use crate::briefing::chart::Opposed;
use crate::briefing::chart::ROWS_MAX;
use crate::briefing::chart::Svg;
use crate::briefing::chart::canvas;
use crate::briefing::chart::canvas::BAR;
use crate::briefing::chart::canvas::Fault;
use crate::briefing::chart::canvas::GRID;
use crate::briefing::chart::canvas::INK;
use crate::briefing::chart::canvas::MUTED;
use crate::briefing::chart::canvas::OTHER;
use crate::briefing::words;

const WIDTH: u32 = 430;
/// Room for labels, and for values on either side.
const LEFT: u32 = 190;
const RIGHT: u32 = 60;
/// The line that names the sides.
const TOP: u32 = 22;
const LABEL_COLUMNS: usize = 18;

type Area<'a> =
    DrawingArea<plotters::backend::SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) fn draw(sides: (&str, &str), rows: &[Opposed]) -> Result<Svg, Fault> {
    let rows = rows.get(..ROWS_MAX).unwrap_or(rows);
    let most = rows.iter().map(|row| row.left.max(row.right)).max().unwrap_or(0).max(1);
    let height = canvas::row_pixels(rows.len()).saturating_add(TOP);
    canvas::draw((WIDTH, height), |root| {
        let (most, left) = (canvas::length(most), canvas::pixels(LEFT));
        let area = root.apply_coord_spec(Cartesian2d::<RangedCoordf64, RangedCoordf64>::new(
            -most..most,
            canvas::rows(rows.len()),
            (
                left..canvas::pixels(WIDTH.saturating_sub(RIGHT)),
                canvas::pixels(TOP)..canvas::pixels(height),
            ),
        ));
        head(&area, sides)?;
        let axis = [(0.0, 0.0), (0.0, canvas::rows(rows.len()).end)];
        area.draw(&PathElement::new(axis, GRID.stroke_width(1)))?;
        for (middle, row) in canvas::with_middle(rows) {
            draw_row(&area, middle, row)?;
            let name = canvas::text(INK, HPos::Left, VPos::Center);
            let text = Text::new(canvas::cut(&row.label, LABEL_COLUMNS), (-left, 0), name);
            area.draw(&(EmptyElement::at((-most, middle)) + text))?;
        }
        Ok(())
    })
}

fn head(area: &Area<'_>, (left, right): (&str, &str)) -> Result<(), Fault> {
    let style = canvas::text(MUTED, HPos::Right, VPos::Bottom);
    area.draw(&(EmptyElement::at((0.0, 0.0)) + Text::new(left.to_owned(), (-6, -4), style)))?;
    let style = canvas::text(MUTED, HPos::Left, VPos::Bottom);
    area.draw(&(EmptyElement::at((0.0, 0.0)) + Text::new(right.to_owned(), (6, -4), style)))
}

fn draw_row(area: &Area<'_>, middle: f64, row: &Opposed) -> Result<(), Fault> {
    let (left, right) = (-canvas::length(row.left), canvas::length(row.right));
    area.draw(&Rectangle::new([(left, middle - 0.3), (0.0, middle + 0.3)], BAR.filled()))?;
    area.draw(&Rectangle::new([(0.0, middle - 0.3), (right, middle + 0.3)], OTHER.filled()))?;
    let style = canvas::text(INK, HPos::Right, VPos::Center);
    let text = format!("{}{}", words::number(row.left), row.left_mark);
    area.draw(&(EmptyElement::at((left, middle)) + Text::new(text, (-6, 0), style)))?;
    let style = canvas::text(INK, HPos::Left, VPos::Center);
    let text = format!("{}{}", words::number(row.right), row.right_mark);
    area.draw(&(EmptyElement::at((right, middle)) + Text::new(text, (6, 0), style)))
}
