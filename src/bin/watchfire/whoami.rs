//! `watchfire whoami`: who the hub takes this profile for.

use watchfire::model::fingerprint::Fingerprint;
use watchfire::wire::pb;

use crate::context::Context;
use crate::output;

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let caller = &client.welcome().caller;
    let role = pb::Role::try_from(caller.role).map_or("?", |role| role.as_str_name());
    output::line(&format!("member    {}", output::clean(&caller.name)))?;
    if !caller.display_name.is_empty() {
        output::line(&format!("name      {}", output::clean(&caller.display_name)))?;
    }
    output::line(&format!("role      {}", role.trim_start_matches("ROLE_").to_ascii_lowercase()))?;
    output::line(&format!("exchange  {}", client.pin().exchange().name()))?;
    output::line(&format!("in words  {}", client.pin().fingerprint().words()))?;
    let key = client.signer()?.key().id();
    output::line(&format!("key       {key}"))?;
    output::line(&format!("in words  {}", Fingerprint::of_key(key).words()))?;
    Ok(output::line(&format!("admitted  at sequence {}", caller.admitted_sequence))?)
}
