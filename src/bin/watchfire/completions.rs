//! `watchfire completions SHELL`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Cli;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "watchfire", &mut script);
    Ok(output::raw(&script)?)
}
