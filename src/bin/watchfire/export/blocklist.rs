//! `watchfire export blocklist`: one value a line, for a firewall or a script.

use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::interop::blocklist::Allowed;
use watchfire::interop::blocklist::Blocklist;
use watchfire::interop::blocklist::Listed;
use watchfire::interop::blocklist::Rules;
use watchfire::interop::blocklist::Sort;
use watchfire::interop::exported::ExportedRecord;
use watchfire::interop::warning_list::WarningLists;
use watchfire::model::filter::Filter;
use watchfire::model::handling::Tlp;
use watchfire::model::header::BodyKind;
use watchfire::model::names::RecordName;
use watchfire::model::time::Timestamp;
use watchfire::profile;

use crate::context::Context;
use crate::export::Common;
use crate::export::follow;
use crate::export::follow::FollowFlags;
use crate::export::place::Place;
use crate::export::product::Product;
use crate::export::product::once;
use crate::failure::Failure;
use crate::output;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// What the lines are: domains, urls or handles.
    #[arg(long, value_name = "domains|urls|handles")]
    format: Sort,
    #[command(flatten)]
    common: Common,
    /// The file; standard output if none is named.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Leave out records with a stricter label than this.
    #[arg(long, value_name = "LABEL", default_value = "amber+strict")]
    tlp_max: Tlp,
    /// Leave out what its publisher is less sure of, or does not say: 0 to 100.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    confidence_min: Option<u32>,
    /// Warning lists of common values, in the format of MISP, besides the built-in one: a file, or a folder of them; may
    /// be repeated. What they call common is left out.
    #[arg(long = "warning-list", value_name = "PATH")]
    warning_lists: Vec<PathBuf>,
    /// Leave in what a warning list calls common.
    #[arg(long)]
    with_warned: bool,
    /// What is never blocked, whoever says so: a file with a domain, a URL or platform:handle a line; may be repeated.
    #[arg(long = "allow", value_name = "FILE")]
    allow: Vec<PathBuf>,
    /// Leave out the first line, which says what the list is.
    #[arg(long)]
    bare: bool,
    #[command(flatten)]
    follow: FollowFlags,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let exchange = profile.settings().exchange.to_string();
    let rules = rules(&args)?;
    let mut list = ListFile {
        target: target(&args, &exchange)?,
        head: (!args.bare)
            .then(|| format!("# watchfire blocklist {}; {exchange}", args.format.as_str())),
        list: Blocklist::new(rules),
        listed: None,
    };
    // Nothing else can be on it; what was taken back comes anyhow.
    let narrow = |filter: Filter| {
        let is_open = filter.body_kinds.is_empty();
        let body_kinds = if is_open { vec![BodyKind::Indicator] } else { filter.body_kinds };
        Filter { body_kinds, ..filter }
    };
    if args.follow.is_on() {
        let Target::Place { place, .. } = &list.target else {
            return Err(Failure::Usage("--follow needs --out FILE".to_owned()).into());
        };
        let state = place.state("records.db");
        return follow::run_with(context, &args.common, &args.follow, state, list, narrow).await;
    }
    let client = context.connect().await?;
    let filter = narrow(args.common.filter(&client).await?);
    once(&client, filter, &mut list).await
}

fn rules(args: &Args) -> anyhow::Result<Rules> {
    let mut allowed = String::new();
    for path in &args.allow {
        let text = String::from_utf8(profile::read(path)?)
            .map_err(|_other| Failure::Usage(format!("{} is not UTF-8", path.display())))?;
        // Each file by itself first, so that the line that is told is its own.
        Allowed::parse(&text)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        allowed.push_str(&text);
        allowed.push('\n');
    }
    Ok(Rules {
        sort: args.format,
        bare_handles: args.common.filter.is_of_one_platform(),
        tlp_max: args.tlp_max,
        confidence_min: args.confidence_min,
        with_warned: args.with_warned,
        warnings: WarningLists::built_in().with_files(&args.warning_lists)?,
        allowed: Allowed::parse(&allowed)
            .map_err(|error| Failure::Usage(format!("--allow: {error}")))?,
    })
}

fn target(args: &Args, exchange: &str) -> anyhow::Result<Target> {
    let Some(path) = &args.out else { return Ok(Target::Output) };
    if !args.follow.is_on() && !Place::is_followed(path) {
        return Ok(Target::File(path.clone()));
    }
    let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.with_context(|| format!("{} is no name of a file", path.display()))?;
    let what = format!("a block list of {} of {exchange}\n", args.format.as_str());
    Ok(Target::Place { place: Place::file(path, &what)?, name })
}

/// Where the list goes.
enum Target {
    Output,
    File(PathBuf),
    Place { place: Place, name: String },
}

/// A list, and where it goes.
struct ListFile {
    target: Target,
    /// How the first line begins; none if there is none.
    head: Option<String>,
    list: Blocklist,
    /// What was written last.
    listed: Option<Listed>,
}

impl ListFile {
    fn text(&self, listed: &Listed, now: Timestamp) -> String {
        let mut text = String::new();
        if let Some(head) = &self.head {
            let next = listed.next_change.map_or("never".to_owned(), |time| time.to_string());
            let count = listed.lines.len();
            text = format!("{head}; made {now}; {count} values; changes by itself: {next}\n");
        }
        for line in &listed.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

impl Product for ListFile {
    fn put(&mut self, record: ExportedRecord) -> anyhow::Result<()> {
        Ok(self.list.put(&record)?)
    }

    fn remove(&mut self, name: &RecordName) -> anyhow::Result<()> {
        self.list.remove(name);
        Ok(())
    }

    fn clear(&mut self) -> anyhow::Result<()> {
        self.list.clear();
        Ok(())
    }

    fn write(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let listed = self.list.listed(now);
        let is_same =
            |was: &Listed| was.lines == listed.lines && was.next_change == listed.next_change;
        if !self.listed.as_ref().is_some_and(is_same) {
            let text = self.text(&listed, now);
            match &mut self.target {
                Target::Output => output::raw(text.as_bytes())?,
                Target::File(path) => profile::write_public(path, text.as_bytes())?,
                Target::Place { place, name } => {
                    place.put(name, text.as_bytes())?;
                    place.settle()?;
                }
            }
        }
        self.listed = Some(listed);
        Ok(())
    }

    fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        self.listed.as_ref()?.next_change.filter(|time| *time > now)
    }

    fn tell(&self) {
        let Some(listed) = &self.listed else { return };
        output::note(&format!("{} values", listed.lines.len()));
        for (why, count) in &listed.left_out {
            output::note(&format!("left out: {count} records {}", why.as_str()));
        }
    }
}
