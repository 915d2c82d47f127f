//! `watchfire audit`: every leaf of the log against what the hub signs, without seeing a body.

use std::time::Duration;

use watchfire::client::Audit;
use watchfire::client::Audited;

use crate::context::Context;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on as the log grows, until interrupted or until the hub deviates.
    #[arg(long)]
    follow: bool,
    /// With `--follow`: so many seconds between looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    every: u64,
}

pub(crate) async fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let mut audit = Audit::open(context.connect().await?)?;
    loop {
        let bar = output::progress("leaves", 0);
        let audited = audit.advance(|done, of| {
            bar.set_length(of);
            bar.set_position(done);
        });
        let audited = audited.await?;
        bar.finish_and_clear();
        if !args.follow || audited.fresh > 0 {
            tell(&audited)?;
        }
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(args.every)).await;
    }
}

fn tell(audited: &Audited) -> anyhow::Result<()> {
    let Audited { checkpoint, fresh, accept_time } = audited;
    output::line(&format!(
        "{} entries hold, {fresh} of them new: no place is missing, no time runs backwards, no revision is there twice, and \
         the tree is the one that the hub signs",
        checkpoint.size
    ))?;
    output::line(&format!("epoch       {}", checkpoint.epoch))?;
    output::line(&format!("root        {}", hex::encode(checkpoint.root)))?;
    Ok(output::line(&format!("last entry  {accept_time}"))?)
}
