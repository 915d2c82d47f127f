//! A field for each technique, phase by phase: the more operations used it, the darker. The number stands in the
//! field, so that nothing hangs on the colour.

use plotters::element::Rectangle;
use plotters::element::Text;
use plotters::style::Color as _;
use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::VPos;

use crate::briefing::chart::HeatCell;
use crate::briefing::chart::HeatRow;
use crate::briefing::chart::ROWS_MAX;
use crate::briefing::chart::Svg;
use crate::briefing::chart::canvas;
use crate::briefing::chart::canvas::Fault;
use crate::briefing::chart::canvas::GRID;
use crate::briefing::chart::canvas::INK;
use crate::briefing::words;

/// One hue from light to dark, told apart by lightness alone: in grey, and by whoever sees fewer colours. They are the
/// same in the dark, since the words in them are.
const SHADES: [RGBColor; 5] = [
    RGBColor(0xdc, 0xe8, 0xf4),
    RGBColor(0xa9, 0xc6, 0xe2),
    RGBColor(0x6c, 0x9c, 0xc9),
    RGBColor(0x2f, 0x62, 0x96),
    RGBColor(0x12, 0x3b, 0x63),
];
/// Words in the light fields, of which there are so many, and in the dark ones.
const ON_LIGHT: (usize, RGBColor) = (3, RGBColor(0x10, 0x18, 0x20));
const ON_DARK: RGBColor = RGBColor(0xff, 0xff, 0xff);

const WIDTH: u32 = 430;
/// Room for labels.
const LEFT: u32 = 148;
const LABEL_COLUMNS: usize = 18;
/// A field with the room around it.
const FIELD: u32 = 92;
const FIELDS: usize = 3;
const ROW: u32 = 24;
const CODE_COLUMNS: usize = 9;

pub(super) fn draw(rows: &[HeatRow], most: u64) -> Result<Svg, Fault> {
    let lines: Vec<(&str, &[HeatCell])> = rows.iter().flat_map(lines_of).take(ROWS_MAX).collect();
    let height = canvas::row_pixels(lines.len());
    canvas::draw((WIDTH, height), |root| {
        for (line, (label, cells)) in (0_u32..).zip(lines) {
            let top = line.saturating_mul(ROW);
            let middle = canvas::pixels(top.saturating_add(ROW / 2));
            let text = canvas::cut(label, LABEL_COLUMNS);
            let at = (canvas::pixels(LEFT.saturating_sub(8)), middle);
            root.draw(&Text::new(text, at, canvas::text(INK, HPos::Right, VPos::Center)))?;
            for (place, cell) in (0_u32..).zip(cells) {
                let left = LEFT.saturating_add(place.saturating_mul(FIELD));
                let (left, right) =
                    (canvas::pixels(left), canvas::pixels(left.saturating_add(FIELD - 4)));
                let (shade, ink) = shade(cell.value, most);
                let corners = [(left, middle - 10), (right, middle + 10)];
                root.draw(&Rectangle::new(corners, shade.filled()))?;
                root.draw(&Rectangle::new(corners, GRID.stroke_width(1)))?;
                let code = canvas::cut(&cell.label, CODE_COLUMNS);
                let style = canvas::text(ink, HPos::Left, VPos::Center);
                root.draw(&Text::new(code, (left + 5, middle), style))?;
                let style = canvas::text(ink, HPos::Right, VPos::Center);
                root.draw(&Text::new(words::number(cell.value), (right - 5, middle), style))?;
            }
        }
        Ok(())
    })
}

/// A phase in lines of a few fields; its label stands at the first.
fn lines_of(row: &HeatRow) -> impl Iterator<Item = (&str, &[HeatCell])> {
    let labels = std::iter::once(row.label.as_str()).chain(std::iter::repeat(""));
    labels.zip(row.cells.chunks(FIELDS))
}

fn shade(value: u64, most: u64) -> (RGBColor, RGBColor) {
    let steps = u64::try_from(SHADES.len()).unwrap_or(1);
    // Few operations have a shade each; many share them.
    let step = if most <= steps {
        value
    } else {
        u64::try_from((u128::from(value) * u128::from(steps)).div_ceil(u128::from(most)))
            .unwrap_or(steps)
    };
    let place = usize::try_from(step.clamp(1, steps).saturating_sub(1)).unwrap_or_default();
    let shade = SHADES.get(place).copied().unwrap_or(ON_DARK);
    (shade, if place < ON_LIGHT.0 { ON_LIGHT.1 } else { ON_DARK })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast, as WCAG 2 defines them.
    fn luminance(color: RGBColor) -> f64 {
        let channel = |value: u8| {
            let value = f64::from(value) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(color.0) + 0.7152 * channel(color.1) + 0.0722 * channel(color.2)
    }

    #[test]
    fn every_number_can_be_read_and_every_shade_told_apart_by_lightness() {
        for (at, shade) in SHADES.into_iter().enumerate() {
            let ink = if at < ON_LIGHT.0 { ON_LIGHT.1 } else { ON_DARK };
            let (one, other) = (luminance(shade), luminance(ink));
            let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(contrast >= 4.5, "{at}: {contrast}");
        }
        let lights: Vec<f64> = SHADES.into_iter().map(luminance).collect();
        for pair in lights.windows(2) {
            assert!(pair[0] / pair[1] > 1.3, "{lights:?}");
        }
    }

    #[test]
    fn more_is_darker_whatever_the_numbers() {
        for most in [1, 3, 5, 7, 1000, u64::MAX] {
            let light = |value| luminance(shade(value, most).0);
            assert!(
                light(most) <= light(most / 2 + 1) && light(most / 2 + 1) <= light(1),
                "{most}"
            );
        }
        assert_eq!(shade(5, 5).0, SHADES[4]);
        assert_eq!(shade(0, 0).0, SHADES[0]);
    }

    #[test]
    fn fields_fit_the_drawing() {
        let fields = u32::try_from(FIELDS).unwrap();
        assert!(LEFT + fields * FIELD <= WIDTH);
    }
}
