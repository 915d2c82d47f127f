//! `watchfire overlay set|list|clear`: the reader's own confidence in others' records. Nobody else learns of it.

use watchfire::model::names::RecordName;
use watchfire::profile::CONFIDENCE_MAX;
use watchfire::profile::Overlay;
use watchfire::profile::Profile;

use crate::context::Context;
use crate::context::whole_record;
use crate::crl::now;
use crate::failure::Failure;
use crate::output;
use crate::output::Format;
use crate::table;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Set how sure you are of a record; it is shown beside what its publisher states.
    Set {
        /// The record, by its full name.
        record: String,
        /// How sure you are, 0 to 100.
        #[arg(long, value_name = "0..100",
            value_parser = clap::value_parser!(u8).range(0..=i64::from(CONFIDENCE_MAX)))]
        confidence: u8,
        /// Why.
        #[arg(long, default_value = "", hide_default_value = true)]
        text: String,
    },
    /// List every record that you have a confidence of your own in.
    List {
        /// How to show them.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Forget your own confidence in a record.
    Clear {
        /// The record, by its full name.
        record: String,
    },
}

/// An id alone would be one's own record, and of those one states the confidence in the record. The hub is not asked
/// whether the record is there: nobody else learns whose records one weighs.
fn named_in_full(text: &str, profile: &Profile) -> Result<RecordName, Failure> {
    if !text.contains('/') {
        let why = format!("name the record in full, members/MEMBER/records/{text}");
        return Err(Failure::Usage(why));
    }
    whole_record(text, profile)
}

pub(crate) fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let mut overlays = profile.overlays()?;
    match command {
        Command::Set { record, confidence, text } => {
            let name = named_in_full(&record, &profile)?;
            let told = format!("{name} has the confidence {confidence} for you.");
            overlays.set(name, Overlay { confidence, text, set_time: now().to_string() })?;
            Ok(output::line(&told)?)
        }
        Command::Clear { record } => {
            let name = named_in_full(&record, &profile)?;
            let told = if overlays.clear(&name)? {
                "has no confidence of yours any more"
            } else {
                "had no confidence of yours: nothing changes"
            };
            Ok(output::line(&format!("{name} {told}."))?)
        }
        Command::List { format } => {
            let mut table = table::plain(&["RECORD", "CONFIDENCE", "SET", "WHY"]);
            for (record, overlay) in overlays.iter() {
                if format == Format::Jsonl {
                    let json =
                        serde_json::json!({ "name": record.to_string(), "overlay": overlay });
                    output::line(&json.to_string())?;
                    continue;
                }
                table.add_row([
                    record.to_string(),
                    overlay.confidence.to_string(),
                    overlay.set_time.clone(),
                    output::clean(&overlay.text),
                ]);
            }
            if format == Format::Table {
                output::line(&table.to_string())?;
            }
            Ok(())
        }
    }
}
