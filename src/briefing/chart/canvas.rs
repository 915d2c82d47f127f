//! What all charts are drawn on and with.

use std::ops::Range;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::drawing::DrawingAreaErrorKind;
use plotters::drawing::IntoDrawingArea as _;
use plotters::style::Color as _;
use plotters::style::IntoFont as _;
use plotters::style::RGBColor;
use plotters::style::TextStyle;
use plotters::style::text_anchor::HPos;
use plotters::style::text_anchor::Pos;
use plotters::style::text_anchor::VPos;

use crate::briefing::chart::Svg;

/// Words. The style sheet names these colours too.
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x29, 0x37);
/// Words on the side.
pub(super) const MUTED: RGBColor = RGBColor(0x5b, 0x64, 0x70);
/// Lines that guide the eye.
pub(super) const GRID: RGBColor = RGBColor(0xd5, 0xd9, 0xdf);
/// The bars.
pub(super) const BAR: RGBColor = RGBColor(0x2b, 0x5c, 0x8a);
/// The bars of the other side.
pub(super) const OTHER: RGBColor = RGBColor(0xb4, 0x6a, 0x1b);
/// The inside of bars that are only claimed.
pub(super) const HOLLOW: RGBColor = RGBColor(0xee, 0xf1, 0xf5);

/// Why a chart was not drawn. Drawing into a text has no reason to fail.
pub(super) type Fault = DrawingAreaErrorKind<std::io::Error>;

/// Where charts are drawn, in pixels from the upper left.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws something of this size.
pub(super) fn draw(
    (width, height): (u32, u32),
    content: impl FnOnce(&Canvas<'_>) -> Result<(), Fault>,
) -> Result<Svg, Fault> {
    let mut whole = String::new();
    {
        let canvas = SVGBackend::with_string(&mut whole, (width, height)).into_drawing_area();
        content(&canvas)?;
        canvas.present()?;
    }
    // The page writes the outer element itself, with a title and a role.
    let inner = whole.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
    let elements = inner.map(|(elements, _)| elements.to_owned()).unwrap_or_default();
    Ok(Svg { width, height, elements })
}

/// Text that stands so to its point.
pub(super) fn text(color: RGBColor, horizontal: HPos, vertical: VPos) -> TextStyle<'static> {
    // plotters writes sizes divided by 1.24: these are 12 pixels.
    let font = ("sans-serif", 14.88).into_font();
    TextStyle { font, color: color.to_backend_color(), pos: Pos::new(horizontal, vertical) }
}

/// A large number as a length. Above 2^52 the last digits do not matter to the eye.
pub(super) fn length(value: u64) -> f64 {
    let high = u32::try_from(value >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high).mul_add(4_294_967_296.0, f64::from(low))
}

/// The rows of a chart as a range of heights.
pub(super) fn rows(count: usize) -> Range<f64> {
    0.0..f64::from(u32::try_from(count).unwrap_or(u32::MAX).max(1))
}

/// Pixels for so many rows.
pub(super) fn row_pixels(count: usize) -> u32 {
    const ROW: u32 = 24;
    u32::try_from(count).unwrap_or(u32::MAX).clamp(1, 1000).saturating_mul(ROW)
}

/// Pixels as plotters counts them.
pub(super) fn pixels(pixels: u32) -> i32 {
    i32::try_from(pixels).unwrap_or(i32::MAX)
}

/// Each item with the height of its row's middle.
pub(super) fn with_middle<T>(items: &[T]) -> impl Iterator<Item = (f64, &T)> {
    (0_u32..).zip(items).map(|(index, item)| (f64::from(index) + 0.5, item))
}

/// The text, cut at so many columns with an ellipsis; a character that is not ASCII counts as two.
pub(super) fn cut(text: &str, columns: usize) -> String {
    let mut used = 0_usize;
    let fits = text.char_indices().find(|(_, character)| {
        used = used.saturating_add(if character.is_ascii() { 1 } else { 2 });
        used > columns
    });
    let Some((end, _)) = fits else { return text.to_owned() };
    format!("{}…", text.get(..end).unwrap_or_default().trim_end())
}
