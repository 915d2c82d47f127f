//! The only place that prints. Data goes to standard output, everything else to standard error.
//!
//! What members reported is hostile until shown otherwise: control and invisible characters never reach a
//! terminal.

use std::io;
use std::io::Write as _;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use watchfire::model::visible::escaped;
pub(crate) use watchfire::model::visible::visible as clean;

/// How records are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people: defanged, cut to fit.
    Table,
    /// For programs: one JSON object a line.
    Jsonl,
}

/// Prints a line of data. What is for people is clean already; of JSON what a terminal would obey is escaped.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", escaped(text))
}

/// Prints data as it is.
pub(crate) fn raw(bytes: &[u8]) -> io::Result<()> {
    io::stdout().lock().write_all(bytes)
}

/// Sees to it that what was printed has left.
pub(crate) fn flush() -> io::Result<()> {
    io::stdout().lock().flush()
}

/// Tells people something that is not data. It is no fault if nobody listens.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// A bar on standard error if that is a terminal; nothing at all if not.
pub(crate) fn progress(what: &'static str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX)).with_message(what);
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    // The template is a constant; without it the bar has its plain look.
    style.map_or_else(|_invalid| bar.clone(), |style| bar.clone().with_style(style))
}

/// A count on standard error, for what has no known end; nothing at all if that is no terminal.
pub(crate) fn counter(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    let style = ProgressStyle::with_template("{msg} {pos} ({per_sec})");
    style.map_or_else(|_invalid| bar.clone(), |style| bar.clone().with_style(style))
}
