//! `watchfire export jsonl`: the current state, as JSON lines that `publish --jsonl` takes in again.
//!
//! Lines stand in the order of the log, but that what a record is about stands before it: a later revision of a record
//! may lie behind what was said of its first one.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::NamedTempFile;
use watchfire::client::Client;
use watchfire::client::VerifiedEntry;
use watchfire::client::entry_to_json;
use watchfire::interop::exported::names_of;
use watchfire::model::filter::Filter;
use watchfire::model::names::RecordName;

use crate::context::Context;
use crate::export::Common;
use crate::output;

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// The file, which only you may read; standard output if none is named.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let filter = args.common.filter.filter(client.profile())?;
    args.common.filter.demand_operations(&client).await?;
    match &args.out {
        Some(path) => to_file(&client, &filter, path).await?,
        None => {
            let _stdout = write(&client, &filter, io::stdout()).await?;
        }
    }
    Ok(client.remember_roster().await?)
}

/// Written beside its place and moved there when it is whole.
async fn to_file(client: &Client, filter: &Filter, path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let cannot = || format!("{} cannot be written", path.display());
    let file = NamedTempFile::new_in(folder).with_context(cannot)?;
    let writer = BufWriter::new(file);
    let writer = write(client, filter, writer).await?;
    let file = writer.into_inner().map_err(io::IntoInnerError::into_error).with_context(cannot)?;
    file.as_file().sync_all().with_context(cannot)?;
    file.persist(path).map_err(|error| error.error).with_context(cannot)?;
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(cannot)
}

async fn write<W: Write>(client: &Client, filter: &Filter, writer: W) -> anyhow::Result<W> {
    let mut lines = Lines { writer, told: HashSet::new(), waiting: BTreeMap::new(), count: 0 };
    let mut token = String::new();
    loop {
        let (entries, next) = client.list(filter, &token).await?;
        for entry in entries {
            lines.take(entry)?;
        }
        match next {
            Some(next) => token = next,
            None => break,
        }
    }
    let (writer, count) = lines.end()?;
    output::note(&format!("{count} records are exported."));
    Ok(writer)
}

/// Lines that are held back until what they are about was told.
struct Lines<W> {
    writer: W,
    /// Names of records that were told.
    told: HashSet<RecordName>,
    /// Of records that were not: what is about them, in the order of the log.
    waiting: BTreeMap<RecordName, Vec<VerifiedEntry>>,
    count: usize,
}

impl<W: Write> Lines<W> {
    fn take(&mut self, entry: VerifiedEntry) -> io::Result<()> {
        let mut next = vec![entry];
        while let Some(entry) = next.pop() {
            let missing =
                names_of(entry.record()).into_iter().find(|name| !self.told.contains(*name));
            // What is not in the export at all holds it back until the end, and no longer.
            if let Some(missing) = missing {
                self.waiting.entry(missing.clone()).or_default().push(entry);
                continue;
            }
            self.tell(&entry)?;
            let mut freed = self.waiting.remove(entry.name()).unwrap_or_default();
            freed.reverse();
            next.append(&mut freed);
        }
        Ok(())
    }

    fn tell(&mut self, entry: &VerifiedEntry) -> io::Result<()> {
        writeln!(self.writer, "{}", entry_to_json(entry))?;
        self.told.insert(entry.name().clone());
        self.count += 1;
        Ok(())
    }

    /// What waits for what is not in the export goes as it is, in the order of the log.
    fn end(mut self) -> io::Result<(W, usize)> {
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest: Vec<VerifiedEntry> = waiting.into_values().flatten().collect();
        let left: HashSet<RecordName> = rest.iter().map(|entry| entry.name().clone()).collect();
        rest.sort_by_key(VerifiedEntry::sequence);
        // What is about others' records does not wait for them; what is about such a statement waits for that.
        while !rest.is_empty() {
            let is_ready = |told: &HashSet<RecordName>, entry: &VerifiedEntry| {
                let names = names_of(entry.record());
                names.into_iter().all(|name| told.contains(name) || !left.contains(name))
            };
            let (ready, later): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|entry| is_ready(&self.told, entry));
            // Names of a circle, which only somebody who chooses ids can make, go as they came.
            let (ready, later) =
                if ready.is_empty() { (later, Vec::new()) } else { (ready, later) };
            for entry in &ready {
                self.tell(entry)?;
            }
            rest = later;
        }
        self.writer.flush()?;
        Ok((self.writer, self.count))
    }
}
