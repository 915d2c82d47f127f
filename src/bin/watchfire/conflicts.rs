//! `watchfire conflicts`: publishers that signed two records under one name and revision.

use watchfire::client::KnownConflict;

use crate::context::Context;
use crate::output;

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    let conflicts = context.connect().await?.conflicts().await?;
    if conflicts.is_empty() {
        output::note("nobody whose records you may read signed two under one name and revision");
    }
    for KnownConflict { name, first, notice, condition, evidence } in conflicts {
        output::line(&format!(
            "{name}: the one at sequence {first} stands; the hub noted another at {notice}. Evidence: {}",
            evidence.display()
        ))?;
        if let Some(condition) = condition {
            output::line(&output::clean(&format!("  it proves this if {condition}")))?;
        }
    }
    Ok(())
}
