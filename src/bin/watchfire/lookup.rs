//! `watchfire lookup VALUE...`: what is known about values, however they are written, and who knows it.

use watchfire::client::LookUpOptions;
use watchfire::client::LookedUp;
use watchfire::model::names::MemberId;
use watchfire::model::names::RecordName;
use watchfire::model::observable::ObservableKind;
use watchfire::model::platform::Platform;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::output::Format;
use crate::records::Shown;
use crate::table;
use crate::words::Kinds;

const EXAMPLES: &str = "Examples:
  watchfire lookup news[.]example 'https://x.com/example_voice' --active-only
  watchfire lookup --kind media-hash --distance 16 f162eb9daab170c0567fe3632d9a5548c5612982dd5e374a7424ebbc8a835c95";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// A domain, URL, profile, handle, e-mail or IP address, or hash; defanged or not.
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// The kind of the values, where it is not plain: account, media-hash, ...
    #[arg(long, value_parser = Kinds)]
    kind: Option<ObservableKind>,
    /// Their platform, where it is not plain.
    #[arg(long)]
    platform: Option<Platform>,
    /// Leave out what should no longer be acted on.
    #[arg(long)]
    active_only: bool,
    /// For PDQ hashes: also those that differ in at most so many of 256 bits; 31 if it is not said.
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u32).range(0..=31))]
    distance: Option<u32>,
    /// How to show records.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let options = LookUpOptions {
        kind: args.kind,
        platform: args.platform,
        active_only: args.active_only,
        distance_max: args.distance,
    };
    let mut shown = Shown::with(args.format, client.profile())?;
    let results = client.look_up(&args.values, &options).await?;
    // One table for all of them.
    let (mut entries, mut distances) = (Vec::new(), Vec::new());
    for found in &results {
        let all = found.distances.iter().copied().chain(std::iter::repeat(0));
        distances.extend(all.take(found.entries.len()));
        entries.extend_from_slice(&found.entries);
    }
    shown.matches(&entries, &distances)?;
    let mut refused = 0_usize;
    for (value, found) in args.values.iter().zip(&results) {
        refused += usize::from(found.refused.is_some());
        tell(value, args.kind, found);
    }
    if args.format == Format::Table {
        output::raw(who(&args.values, &results).as_bytes())?;
        output::flush()?;
    }
    client.remember_roster().await?;
    if refused > 0 {
        return Err(
            Failure::Usage(format!("{refused} of the values could not be looked up")).into()
        );
    }
    Ok(())
}

/// What is no record.
fn tell(value: &str, kind: Option<ObservableKind>, found: &LookedUp) {
    let value = table::harmless(value);
    if let Some(refused) = &found.refused {
        output::note(&output::clean(&format!("{value}: {}", refused.message)));
    } else if found.entries.is_empty() && !found.more {
        output::note(&format!("{value}: nothing is known{}", hint(kind, found)));
    }
    if found.more {
        output::note(&format!("{value}: there is more than is shown"));
    }
}

/// A hash of 64 digits is taken for one of a file; it may be one of an image.
fn hint(said: Option<ObservableKind>, found: &LookedUp) -> &'static str {
    let taken_for = found.normal_form.as_ref().map(|form| form.kind);
    let is_hash = taken_for == Some(ObservableKind::FileHash.number());
    if said.is_none() && is_hash {
        " as the hash of a file; for one of an image or video: --kind media-hash"
    } else {
        ""
    }
}

/// Who knows each value, and to which operations they count it.
fn who(values: &[String], results: &[LookedUp]) -> String {
    let mut who = table::plain(&["VALUE", "KNOWN TO", "OPERATIONS"]);
    for (value, found) in values.iter().zip(results) {
        if found.entries.is_empty() {
            continue;
        }
        let publishers = found.publishers();
        let publishers: Vec<&str> = publishers.iter().map(MemberId::as_str).collect();
        let operations: Vec<String> =
            found.operations().iter().map(RecordName::to_string).collect();
        who.add_row([table::harmless(value), publishers.join(", "), operations.join(", ")]);
    }
    if who.is_empty() { String::new() } else { format!("\n{}", table::trimmed(&who)) }
}
