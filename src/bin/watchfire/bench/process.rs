//! What the hub's process used, from the kernel's own account.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

/// Bytes of a block in a file's account, fixed by POSIX' `stat`.
const BLOCK_BYTES: u64 = 512;
/// Ticks of the processor account in a second, fixed by Linux's interface to programs.
const TICKS: u32 = 100;

/// Used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// Bytes of memory.
    pub(crate) resident: u64,
}

/// Reads the account of a process.
pub(crate) fn usage(process: u32) -> anyhow::Result<Usage> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold anything; the fields are counted behind it.
    let fields = stat.rsplit(')').next().context("an unknown form of /proc")?;
    let field =
        |index: usize| fields.split_whitespace().nth(index).and_then(|text| text.parse().ok());
    let ticks = field(11).zip(field(12)).map(|(user, system): (u32, u32)| user + system);
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|text| text.parse::<u64>().ok());
    Ok(Usage {
        cpu: Duration::from_secs(1) * ticks.context("an unknown form of /proc")? / TICKS,
        resident: kib.context("an unknown form of /proc")? * 1024,
    })
}

/// Bytes that the files in a folder take on the disk.
pub(crate) fn stored(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(folder)? {
        bytes += file?.metadata()?.blocks() * BLOCK_BYTES;
    }
    Ok(bytes)
}
