//! `watchfire techniques WORDS`: the operator's frameworks, or those of files, searched by words, codes and tactics.

use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;
use watchfire::client::ListedFramework;
use watchfire::client::ListedTechnique;
use watchfire::client::TechniqueSearch;
use watchfire::client::TechniquesFound;
use watchfire::interop::framework::Framework;
use watchfire::interop::framework::FrameworkFile;
use watchfire::interop::framework::Frameworks;
use watchfire::interop::framework::Tactic;
use watchfire::interop::framework::TechniqueQuery;
use watchfire::model::limits;
use watchfire::model::text;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::output::Format;
use crate::table;
use crate::table::cut_to;
use crate::table::harmless_text;

const EXAMPLES: &str = "Examples:
  watchfire techniques inauthentic accounts
  watchfire techniques --code T0013 --code online-operations-kill-chain/0.6.2
  watchfire techniques --tactic TA15 --framework disarm --format jsonl
  watchfire techniques --file DISARM-1.6.json hashtag

Words are found whatever their case; of three letters or more, also where a longer word begins with them. With --file \
  nothing is asked of the hub.";

/// Characters of what a technique means, in a table.
const MEANS_MAX: usize = 90;

#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Words of codes, names, tactics and descriptions, all of which a technique must have.
    #[arg(value_name = "WORDS")]
    words: Vec<String>,
    /// A code, T0013, or with its framework, disarm/T0013; may be repeated.
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<String>,
    /// A tactic or phase, by its code or its name.
    #[arg(long, value_name = "TACTIC", default_value = "", hide_default_value = true)]
    tactic: String,
    /// A framework: disarm, online-operations-kill-chain, attack.
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    framework: String,
    /// A version of it: 1.6.
    #[arg(long, value_name = "VERSION", default_value = "", hide_default_value = true)]
    release: String,
    /// Search this file instead of the operator's: a STIX bundle, a MISP galaxy, the kill-chain CSV; may be repeated.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to show techniques.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let found =
        if args.files.is_empty() { of_hub(context, &args).await? } else { of_files(&args)? };
    let TechniquesFound { techniques, frameworks, .. } = found;
    match args.format {
        Format::Jsonl => {
            for one in &techniques {
                output::line(&json_of(one).to_string())?;
            }
        }
        Format::Table if techniques.is_empty() => {}
        Format::Table => output::raw(table_of(&techniques).as_bytes())?,
    }
    if techniques.is_empty() {
        output::note(&nothing(&frameworks));
    }
    Ok(output::flush()?)
}

async fn of_hub(context: &Context, args: &Args) -> anyhow::Result<TechniquesFound> {
    let client = context.connect().await?;
    let search = TechniqueSearch {
        text: args.words.join(" "),
        framework: args.framework.clone(),
        version: args.release.clone(),
        external_ids: args.codes.clone(),
        tactic: args.tactic.clone(),
    };
    let mut all = TechniquesFound::default();
    let mut token = String::new();
    loop {
        let page = client.techniques(&search, limits::PAGE_ENTRIES_MAX, &token).await?;
        all.techniques.extend(page.techniques);
        all.frameworks = page.frameworks;
        match page.next {
            Some(next) => token = next,
            None => break,
        }
    }
    client.remember_roster().await?;
    Ok(all)
}

fn of_files(args: &Args) -> anyhow::Result<TechniquesFound> {
    let named = |path: &PathBuf| FrameworkFile { path: path.clone(), ..FrameworkFile::default() };
    let files: Vec<FrameworkFile> = args.files.iter().map(named).collect();
    let frameworks = Frameworks::load(&files)?;
    let words = if args.words.is_empty() {
        Vec::new()
    } else {
        let query = text::query_words(&args.words.join(" "));
        query.map_err(|error| Failure::Usage(error.to_string()))?
    };
    let query = TechniqueQuery {
        words,
        framework: args.framework.clone(),
        version: args.release.clone(),
        external_ids: args.codes.clone(),
        tactic: args.tactic.clone(),
    };
    let found = frameworks.search(&query).into_iter();
    let listed = |(framework, technique): (&Framework, &_)| ListedTechnique {
        framework: framework.name.clone(),
        version: framework.version.clone(),
        technique: Clone::clone(technique),
    };
    let summary = |one: &Framework| ListedFramework {
        name: one.name.clone(),
        version: one.version.clone(),
        techniques: u64::try_from(one.techniques.len()).unwrap_or(u64::MAX),
    };
    Ok(TechniquesFound {
        techniques: found.map(listed).collect(),
        frameworks: frameworks.all().iter().map(summary).collect(),
        next: None,
    })
}

fn json_of(one: &ListedTechnique) -> Value {
    let ListedTechnique { framework, version, technique } = one;
    let tactic = |tactic: &Tactic| json!({"external_id": tactic.external_id, "name": tactic.name});
    json!({
        "framework": framework,
        "version": version,
        "external_id": technique.external_id,
        "name": technique.name,
        "description": technique.description,
        "tactics": technique.tactics.iter().map(tactic).collect::<Vec<_>>(),
        "parent": technique.parent,
        "retired": technique.retired,
    })
}

/// One technique alone has its description whole.
fn table_of(techniques: &[ListedTechnique]) -> String {
    let mut table = table::plain(&["TECHNIQUE", "VERSION", "NAME", "TACTIC", "MEANS"]);
    let most = if techniques.len() == 1 { limits::TEXT_BYTES_MAX } else { MEANS_MAX };
    for ListedTechnique { framework, version, technique } in techniques {
        let tactics: Vec<&str> = technique.tactics.iter().map(|one| one.name.as_str()).collect();
        let retired = if technique.retired { " (given up)" } else { "" };
        table.add_row([
            harmless_text(&format!("{framework}/{}", technique.external_id)),
            harmless_text(version),
            harmless_text(&format!("{}{retired}", technique.name)),
            harmless_text(&tactics.join(", ")),
            cut_to(&harmless_text(&technique.description), most),
        ]);
    }
    table::trimmed(&table)
}

/// Why nothing was found.
fn nothing(frameworks: &[ListedFramework]) -> String {
    if frameworks.is_empty() {
        return "The operator supplies no framework: name a file with --file.".to_owned();
    }
    let names = frameworks.iter().map(|one| {
        let title = format!("{} {}", one.name, one.version);
        format!("{} ({})", harmless_text(title.trim_end()), one.techniques)
    });
    format!("No technique has all of it. There are: {}.", names.collect::<Vec<_>>().join(", "))
}
