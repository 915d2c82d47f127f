//! `watchfire epoch sign|accept`: a log that was restored.

use std::path::PathBuf;

use prost::Message as _;
use watchfire::client::Client;
use watchfire::client::SignEpoch;
use watchfire::client::sign_epoch;
use watchfire::profile;

use crate::context::Context;
use crate::output;
use crate::publish::send_waiting;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// As the operator: sign that a restored log goes on in a new epoch. The hub is not asked.
    Sign(SignArgs),
    /// Accept that the hub's log was restored, and send again what it has lost.
    Accept,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SignArgs {
    /// The checkpoint that the restored log ends with, as watchfired restore left it.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// The epoch; without it, the next one.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(2..))]
    epoch: Option<u32>,
    /// Why the log was restored, for members to read.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The file to write, for watchfired begin-epoch.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Sign(args) => sign(context, &args),
        Command::Accept => accept(context).await,
    }
}

fn sign(context: &Context, args: &SignArgs) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let note = String::from_utf8(profile::read(&args.checkpoint)?)?;
    let what = SignEpoch { checkpoint: &note, epoch: args.epoch, reason: &args.reason };
    let signed = sign_epoch(&profile, &what)?;
    profile::write_public(&args.out, &signed.encode_to_vec())?;
    output::line("Signed: everything that is not in the log of this checkpoint is void.")?;
    for line in note.lines() {
        output::line(&output::clean(line))?;
    }
    output::line(&format!(
        "Next: watchfired begin-epoch --data DIR --signed {}",
        args.out.display()
    ))?;
    Ok(())
}

async fn accept(context: &Context) -> anyhow::Result<()> {
    let (client, accepted) = Client::accept_epoch(context.profile()?).await?;
    match accepted {
        None => output::line(&format!(
            "the log is in epoch {}, as this profile knows",
            client.welcome().epoch
        ))?,
        Some(accepted) => {
            output::line(&accepted.epoch.to_string())?;
            match accepted.epoch.proven {
                Some(size) => output::line(&format!(
                    "it begins with the first {size} entries that this profile remembers"
                ))?,
                None => output::note(
                    "warning: this profile remembers no checkpoint from before that place: that the log begins as it \
                     was is the operator's word",
                ),
            }
            output::line(&format!(
                "accepted: epoch {}; {} batches wait to be sent again",
                accepted.epoch.epoch, accepted.batches
            ))?;
        }
    }
    // Also when an earlier acceptance was cut off.
    send_waiting(&client).await?;
    client.roster().await?;
    Ok(client.remember_roster().await?)
}
