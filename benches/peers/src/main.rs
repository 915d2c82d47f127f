//! The same work against NATS JetStream and etcd, and the limits of this machine. `run` beside this crate starts
//! the servers, interleaves the rounds with those of `watchfire bench`, and prints the table.

mod etcd;
mod limits;
mod nats;
mod work;

use std::path::PathBuf;

use clap::Parser as _;

#[derive(clap::Parser)]
enum Command {
    /// The limits of this machine.
    Limits {
        /// A folder on the file system whose syncs are measured.
        #[arg(long)]
        folder: PathBuf,
        /// Where ca.pem, server.pem and server.key are.
        #[arg(long)]
        pki: PathBuf,
    },
    /// One work against NATS JetStream.
    Nats(Target),
    /// One work against etcd.
    Etcd(Target),
}

/// A server, and what to do there.
#[derive(clap::Args)]
struct Target {
    /// Where it listens.
    #[arg(long)]
    address: String,
    /// Where ca.pem, client.pem and client.key are.
    #[arg(long)]
    pki: PathBuf,
    /// `unary-N`, `pipelined-N`, `batches-SIZE-WRITERS`, `latency`, `replay`, `replaypages`, `fanoutbatches-SIZE`, `fanoutunary-N`.
    #[arg(long)]
    work: String,
    /// Records.
    #[arg(long, default_value_t = 20_000)]
    records: usize,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    // As a task among those of the connection, as Watchfire's own load is.
    runtime.block_on(runtime.spawn(run()))?
}

async fn run() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Limits { folder, pki } => limits::run(&folder, &pki).await?,
        Command::Nats(target) => {
            let done = nats::run(&target, target.work.parse()?, target.records).await?;
            println!("{}", done.to_json(&target.work));
        }
        Command::Etcd(target) => {
            let done = etcd::run(&target, target.work.parse()?, target.records).await?;
            println!("{}", done.to_json(&target.work));
        }
    }
    Ok(())
}
