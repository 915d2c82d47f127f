//! `watchfire sight RECORD --count N`: we looked on our platform, and saw it so many times.

use watchfire::model::names::RecordName;
use watchfire::model::platform::Platform;
use watchfire::model::time::Timestamp;
use watchfire::wire::pb;

use crate::context::Context;
use crate::figures;
use crate::moments;
use crate::statement;
use crate::statement::StatementFlags;

const EXAMPLES: &str = "Examples:
  watchfire sight RECORD --count 3 --last-seen 2026-03-01
  watchfire sight RECORD --count 0 --text 'Looked back 90 days.'

Without --tlp, --audience and --recipient it has the record's label and readers.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The indicator or operation that was looked for, by its full name.
    record: RecordName,
    /// How many times it was seen; 0: looked, and not seen.
    #[arg(long, value_parser = figures::count)]
    count: u64,
    /// Where.
    #[arg(long)]
    platform: Option<Platform>,
    /// When it was first seen: a day, a time with its zone, or now.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    first_seen: Option<Timestamp>,
    /// When it was last seen.
    #[arg(long, value_name = "TIME", value_parser = moments::moment)]
    last_seen: Option<Timestamp>,
    /// More about it.
    #[arg(long, default_value = "", hide_default_value = true)]
    text: String,
    #[command(flatten)]
    flags: StatementFlags,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let sighting = pb::Sighting {
        of: args.record.to_string(),
        count: args.count,
        first_seen_time: moments::to_wire(args.first_seen),
        last_seen_time: moments::to_wire(args.last_seen),
        platform: args.platform.map(|platform| platform.to_string()).unwrap_or_default(),
        description: args.text,
    };
    statement::say(context, pb::body::Content::Sighting(sighting), &args.flags).await
}
