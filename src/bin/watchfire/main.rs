//! `watchfire`: a member's command line. One file a command; this one parses, calls, and gives the exit code.

mod accept;
mod acknowledge;
mod act;
mod admit;
mod ask;
mod attribute;
mod audience;
mod audit;
mod bench;
mod briefing;
mod completions;
mod conflicts;
mod context;
mod cosign;
mod cosign_log_key;
mod crl;
mod demo;
mod ends;
mod enroll;
mod epoch;
mod export;
mod failure;
mod figures;
mod filter_flags;
mod follow;
mod get;
mod handling_flags;
mod heads;
mod jsonl_line;
mod keeper;
mod key_confirm;
mod key_reset;
mod keys;
mod ledger;
mod ledger_table;
mod link;
mod links;
mod links_text;
mod list;
mod lookup;
mod manual;
mod moments;
mod note;
mod operation_claims;
mod operation_subjects;
mod operation_text;
mod opine;
mod output;
mod overlay;
mod own_hub;
mod publish;
mod publish_csv;
mod publish_indicator;
mod publish_jsonl;
mod publish_operation;
mod publish_stix;
mod quota;
mod recalls;
mod records;
mod renew;
mod reply;
mod report;
mod reports;
mod search;
mod show;
mod sight;
mod standing;
mod statement;
mod status;
mod stop;
mod subscribe;
mod subscriptions;
mod support;
mod table;
mod takedown;
mod techniques;
mod verify;
mod when;
mod whoami;
mod withdraw;
mod words;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;
use tokio_util::task::TaskTracker;
use watchfire::signing::leave_no_core_file;

use crate::context::Context;

/// Publishing spends a fifth of its time in the system's allocator; this one takes less.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Publish and subscribe to signed indicators of foreign influence operations.
///
/// Exit codes: 0 done, 1 a local fault, 2 usage, 3 refused by the hub, 4 the hub is unreachable, 5 something that
/// the hub or a file holds does not verify, 6 the hub's log was restored: watchfire epoch accept.
#[derive(Debug, Parser)]
#[command(name = "watchfire", version = watchfire::VERSION, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    context: Context,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make keys and a request to join an exchange; private keys never leave the folder.
    Enroll(enroll::Args),
    /// As the operator: admit a member.
    Admit(admit::Args),
    /// Complete an enrolment, or a renewal, with what the operator granted.
    Accept(accept::Args),
    /// As the operator: from now on a member may neither read nor write.
    Suspend(standing::Args),
    /// As the operator: a suspended member may read and write again.
    Reinstate(standing::Args),
    /// As the operator: suspend a member and revoke its certificates.
    Revoke(standing::Args),
    /// As the operator: the list of revoked certificates.
    #[command(subcommand)]
    Crl(crl::Command),
    /// Renew a certificate before it ends.
    Renew(renew::Args),
    /// Publish records.
    Publish(Box<publish::Args>),
    /// Stream records, each verified.
    Subscribe(Box<subscribe::Args>),
    /// What the hub keeps of one's subscriptions: list, make, move, forget them.
    Subscriptions(subscriptions::Args),
    /// Say how often a record's asset was seen on one's own platform.
    Sight(sight::Args),
    /// Agree with a record, or dispute it.
    Opine(opine::Args),
    /// Report what was done about an indicator or an operation.
    Act(act::Args),
    /// Ask whether anyone knows more about a record or a value.
    Ask(ask::Args),
    /// Answer a question.
    Reply(reply::Args),
    /// Say anything else about a record.
    Note(note::Args),
    /// Say who is behind an operation.
    Attribute(attribute::Args),
    /// Say how two records or values are related.
    Link(Box<link::Args>),
    /// Take a record back.
    Withdraw(withdraw::Args),
    /// Answer a withdrawal: what became of one's copy.
    Acknowledge(acknowledge::Args),
    /// What was taken back, who could see it, and who has answered.
    Recalls(recalls::Args),
    /// As the operator: withdraw a record of a member.
    Takedown(takedown::Args),
    /// Groups of members of one's own.
    #[command(subcommand)]
    Audience(audience::Command),
    /// How much one may ask of the hub; as the operator, set how much a member may.
    Quota(quota::Args),
    /// Show one record.
    Get(get::Args),
    /// List the latest revisions of records.
    List(list::Args),
    /// Find indicators by value, however it is written.
    Lookup(lookup::Args),
    /// One's own confidence in others' records; nobody else learns of it.
    #[command(subcommand)]
    Overlay(overlay::Command),
    /// Write the pack for the regular meeting: one page for the browser, and Markdown.
    Briefing(briefing::Args),
    /// Write what one may read in a format of other tools.
    #[command(subcommand)]
    Export(export::Command),
    /// Search records by words and what they say.
    Search(Box<search::Args>),
    /// Search frameworks of techniques: the operator's, or a file's.
    Techniques(techniques::Args),
    /// Show an operation whole, each claim with who says so.
    Show(show::Args),
    /// Show what is linked with a record or a value, step by step.
    Links(links::Args),
    /// Show who gave and received what, and how long sharing took.
    Ledger(ledger::Args),
    /// Show who the hub takes this profile for.
    Whoami,
    /// Show how the profile and the hub stand, and what ends soon.
    Status(status::Args),
    /// Be a witness: check the newest checkpoint against what is remembered, and cosign it.
    Cosign(cosign::Args),
    /// What publishers sign of their own entries, so that none can be left out unseen.
    #[command(subcommand)]
    Heads(heads::Command),
    /// Keys of members, and one's own.
    #[command(subcommand)]
    Keys(keys::Command),
    /// A log that was restored: sign that it goes on, or accept it.
    #[command(subcommand)]
    Epoch(epoch::Command),
    /// Check every leaf of the log against what the hub signs, without seeing a body.
    Audit(audit::Args),
    /// List publishers that signed two records under one name and revision, with evidence.
    Conflicts,
    /// Check saved entries, evidence against a hub, or its receipt for evidence, offline.
    Verify(verify::Args),
    /// Hand evidence that the hub or a publisher cheated to the exchange, and keep the hub's receipt.
    Report(report::Args),
    /// What was handed in as evidence, and what it comes to.
    Reports(reports::Args),
    /// Measure a hub: throughput, latency, processor time, memory.
    Bench(bench::Args),
    /// Watch the whole path work, on a throw-away exchange.
    Demo(demo::Args),
    /// Print completions for a shell.
    Completions(completions::Args),
    /// Write manual pages.
    Manual(manual::Args),
}

fn main() -> ExitCode {
    let Cli { context, command } = Cli::parse();
    let runtime = leave_no_core_file().and_then(|()| tokio::runtime::Runtime::new());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failure::report(&error.into()),
    };
    match runtime.block_on(run(&context, command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Enroll(args) => enroll::run(&args),
        Command::Admit(args) => admit::run(context, args).await,
        Command::Accept(args) => accept::run(context, &args),
        Command::Suspend(args) => standing::suspend(context, args).await,
        Command::Reinstate(args) => standing::reinstate(context, args).await,
        Command::Revoke(args) => standing::revoke(context, args).await,
        Command::Crl(command) => crl::run(context, &command),
        Command::Renew(args) => renew::run(context, args).await,
        Command::Publish(args) => publish::run(context, *args).await,
        Command::Subscribe(args) => subscribe::run(context, *args).await,
        Command::Subscriptions(args) => subscriptions::run(context, args).await,
        Command::Sight(args) => sight::run(context, args).await,
        Command::Opine(args) => opine::run(context, args).await,
        Command::Act(args) => act::run(context, args).await,
        Command::Ask(args) => ask::run(context, args).await,
        Command::Reply(args) => reply::run(context, args).await,
        Command::Note(args) => note::run(context, args).await,
        Command::Attribute(args) => attribute::run(context, args).await,
        Command::Link(args) => link::run(context, *args).await,
        Command::Withdraw(args) => withdraw::run(context, args).await,
        Command::Acknowledge(args) => acknowledge::run(context, args).await,
        Command::Recalls(args) => recalls::run(context, args).await,
        Command::Takedown(args) => takedown::run(context, args).await,
        Command::Audience(command) => audience::run(context, command).await,
        Command::Quota(args) => quota::run(context, args).await,
        Command::Get(args) => get::run(context, args).await,
        Command::List(args) => list::run(context, args).await,
        Command::Lookup(args) => lookup::run(context, args).await,
        Command::Overlay(command) => overlay::run(context, command),
        Command::Briefing(args) => briefing::run(context, args).await,
        Command::Export(command) => export::run(context, command).await,
        Command::Search(args) => search::run(context, *args).await,
        Command::Techniques(args) => techniques::run(context, args).await,
        Command::Show(args) => show::run(context, args).await,
        Command::Links(args) => links::run(context, args).await,
        Command::Ledger(args) => ledger::run(context, args).await,
        Command::Whoami => whoami::run(context).await,
        Command::Status(args) => status::run(context, args).await,
        Command::Cosign(args) => cosign::run(context, args).await,
        Command::Heads(command) => heads::run(context, command).await,
        Command::Keys(command) => keys::run(context, command).await,
        Command::Epoch(command) => epoch::run(context, command).await,
        Command::Audit(args) => audit::run(context, &args).await,
        Command::Conflicts => conflicts::run(context).await,
        Command::Verify(args) => verify::run(context, &args),
        Command::Report(args) => report::run(context, args).await,
        Command::Reports(args) => reports::run(context, args).await,
        // As a task among those of the connection: this thread would be woken for each message.
        Command::Bench(args) => TaskTracker::new().spawn(bench::run(args)).await?,
        Command::Demo(args) => demo::run(args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Manual(args) => manual::run(&args),
    }
}
