//! `watchfire crl renew`: the next revocation list, put where the hub reads it.

use watchfire::model::time::Clock as _;
use watchfire::model::time::SystemClock;
use watchfire::model::time::Timestamp;
use watchfire::profile::Profile;
use watchfire::profile::REVOCATION_LIST_DAYS;
use watchfire::profile::write_public;

use crate::context::Context;
use crate::output;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Make the next list, for 90 days, with everything that is revoked.
    Renew,
}

pub(crate) fn run(context: &Context, command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Renew => renew(&context.profile()?, now()),
    }
}

/// Makes the next list and installs it in the hub's data directory if that is on this machine.
pub(crate) fn renew(profile: &Profile, now: Timestamp) -> anyhow::Result<()> {
    let list = profile.authority()?.next_revocation_list(now)?;
    let own = profile.revocation_list_path();
    write_public(&own, list.as_bytes())?;
    let tls = profile.settings().hub_data.as_ref().map(|data| data.join("tls"));
    match tls.filter(|tls| tls.is_dir()) {
        Some(tls) => {
            let path = tls.join("crl.pem");
            write_public(&path, list.as_bytes())?;
            output::line(&format!("{} holds for {REVOCATION_LIST_DAYS} days.", path.display()))?;
        }
        None => {
            output::line(&format!("Put {} into tls/ of the hub's data directory.", own.display()))?;
        }
    }
    Ok(())
}

/// The time.
pub(crate) fn now() -> Timestamp {
    SystemClock::default().now()
}
