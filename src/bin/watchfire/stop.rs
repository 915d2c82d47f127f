//! The word that this process is to stop.

use std::io;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

/// Waits for SIGINT, SIGTERM or SIGHUP.
pub(crate) async fn asked() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // Every arm only waits; none loses anything when it is dropped.
    tokio::select! {
        _asked = interrupt.recv() => {}
        _asked = terminate.recv() => {}
        _asked = hangup.recv() => {}
    }
    Ok(())
}
