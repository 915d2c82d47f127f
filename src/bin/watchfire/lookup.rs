//! `watchfire lookup VALUE...`: what is known about values, however they are written.

use watchfire::client::LookUpOptions;

use crate::context::Context;
use crate::output;
use crate::output::Format;
use crate::records::Shown;
use crate::table;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// A domain, URL, profile, handle, e-mail or IP address, or hash; defanged or not.
    #[arg(required = true, value_name = "VALUE")]
    values: Vec<String>,
    /// How to show records.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let mut shown = Shown::new(args.format);
    let results = client.look_up(&args.values, &LookUpOptions::default()).await?;
    for (value, found) in args.values.iter().zip(results) {
        let value = table::harmless(value);
        if let Some(refused) = &found.refused {
            output::note(&output::clean(&format!("{value}: {}", refused.message)));
        } else if found.entries.is_empty() {
            output::note(&format!("{value}: nothing is known"));
        }
        shown.show(&found.entries)?;
        if found.more {
            output::note(&format!("{value}: there is more than is shown"));
        }
    }
    Ok(client.remember_roster().await?)
}
