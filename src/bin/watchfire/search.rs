//! `watchfire search WORDS`: the latest revisions that have every word and attribute asked for.

use watchfire::client::SearchQuery;
use watchfire::model::limits;

use crate::context::Context;
use crate::filter_flags::FilterFlags;
use crate::output::Format;
use crate::records::Shown;
use crate::when::When;

const EXAMPLES: &str = "Examples:
  watchfire search harbour closed --region GB --since 30d
  watchfire search '@example_voice' --active-only
  watchfire search --technique disarm/T0013 --confidence-min 70 --format jsonl

Words are found whatever their case and accents, defanged or not. Different flags narrow, values of one are \
  alternatives.";

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Words of titles, descriptions, narratives, handles and statements, all of which a record must have.
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    #[command(flatten)]
    filter: FilterFlags,
    /// A technique by its id, T0013, or with its framework, disarm/T0013; may be repeated.
    #[arg(long = "technique", value_name = "TECHNIQUE")]
    techniques: Vec<String>,
    /// A region that an operation came from or aimed at, an ISO 3166 code; may be repeated.
    #[arg(long = "region", value_name = "REGION")]
    regions: Vec<String>,
    /// A language of an operation, a BCP 47 tag; fr also finds fr-CA; may be repeated.
    #[arg(long = "language", value_name = "TAG")]
    languages: Vec<String>,
    /// Taken in since then: 7d, 12h, 30m, a date, or a time in RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Taken in before then.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Only records that state at least this confidence, 0 to 100.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=100))]
    confidence_min: Option<u32>,
    /// Leave out what should no longer be acted on.
    #[arg(long)]
    active_only: bool,
    /// How to show records.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let now = client.now();
    let time = |when: Option<When>| when.map(|when| when.time(now)).transpose();
    let query = SearchQuery {
        text: args.words.join(" "),
        filter: args.filter.filter(client.profile())?,
        techniques: args.techniques,
        regions: args.regions,
        languages: args.languages,
        since: time(args.since)?,
        until: time(args.until)?,
        confidence_min: args.confidence_min,
        active_only: args.active_only,
    };
    args.filter.demand_operations(&client).await?;
    let mut shown = Shown::with(args.format, client.profile())?;
    let mut token = String::new();
    loop {
        let (entries, next) = client.search(&query, limits::PAGE_ENTRIES_MAX, &token).await?;
        shown.show(&entries)?;
        match next {
            Some(next) => token = next,
            None => break,
        }
    }
    shown.end();
    Ok(client.remember_roster().await?)
}
