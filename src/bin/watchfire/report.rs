//! `watchfire report EVIDENCE`: hand evidence that the hub or a publisher cheated to the exchange, and keep what the hub
//! signs for it.

use std::path::PathBuf;

use watchfire::client::Evidence;
use watchfire::client::HandedIn;
use watchfire::client::Reportable;
use watchfire::client::Reporter;
use watchfire::client::Verdict;
use watchfire::client::reportable;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::verify;

const NOTES: &str = "What came from the hub as it came may hold bodies of records. It is left out, since no verdict rests on it. Headers \
                     and counts go only where the verdict rests on them.\n\n\
                     The hub's receipt says what was handed in and when: the hub cannot say later that it was not told. What the \
                     log looks like does not matter for this command. If the hub refuses, or signs something else, hand the file \
                     to the operator and the auditors in another way.";

#[derive(Debug, clap::Args)]
#[command(after_help = NOTES)]
pub(crate) struct Args {
    /// The file of evidence: a command that found something told its name.
    #[arg(value_name = "EVIDENCE")]
    file: PathBuf,
    /// Hand in also what came from the hub as it came, bodies of records included: the operator and the auditors, who
    /// read no bodies otherwise, read them then.
    #[arg(long)]
    with_received: bool,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let path = args.file.display();
    let none = || Failure::Usage(output::clean(&format!("{path}: it is not a file of evidence")));
    let evidence = verify::evidence(&args.file)?.ok_or_else(none)?;
    let unfit = |error| Failure::Usage(output::clean(&format!("{path}: {error}")));
    let reportable = evidence.and_then(|evidence| reportable(&evidence, args.with_received));
    let Reportable { evidence, verdict, received_left_out, others_left_out, others_kept } =
        reportable.map_err(unfit)?;
    let handed_in = hand_in(context, &evidence).await?;
    let HandedIn { digest, time, sent, receipt } = handed_in;
    output::line(&format!("handed in  {}", hex::encode(digest)))?;
    output::line(&format!("taken in   {time}, as the hub signed"))?;
    output::line(&format!("sent       {}", sent.display()))?;
    output::line(&format!("receipt    {}", receipt.display()))?;
    output::note("watchfire verify shows the receipt to anyone who knows the log key");
    if received_left_out > 0 {
        output::note(&format!(
            "left out: {received_left_out} exhibits of what came, which may hold bodies (--with-received sends them)"
        ));
    }
    if others_left_out > 0 {
        output::note(&format!(
            "left out: {others_left_out} headers and counts, which the verdict does not rest on"
        ));
    }
    if others_kept > 0 {
        output::note(&format!(
            "handed in with {others_kept} headers or counts, on which the verdict rests: the operator and the auditors \
             see from them which records there are, and whom these name"
        ));
    }
    if verdict == Verdict::Unproven {
        output::note("it proves nothing by itself: who reads it has your word for what came");
    }
    Ok(())
}

async fn hand_in(context: &Context, evidence: &Evidence) -> anyhow::Result<HandedIn> {
    let mut reporter = Reporter::connect(context.profile()?).await?;
    Ok(reporter.report(evidence).await?)
}
