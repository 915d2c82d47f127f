//! `watchfire keys confirm MEMBER`: the user compares keys that the operator put in the place of a member's with what
//! that member says they are.
//!
//! What to compare with is not taken from this screen: the user types what the member said, so that a habit of saying
//! yes confirms nothing.

use watchfire::client::Client;
use watchfire::client::Verifier;
use watchfire::model::fingerprint::Fingerprint;
use watchfire::model::names::MemberId;
use watchfire::model::names::Sequence;
use watchfire::model::roster::KeyReset;
use watchfire::model::roster::RegisteredKey;

use crate::failure::Failure;
use crate::keys::word;
use crate::output;

pub(crate) async fn run(
    client: &Client,
    member: &MemberId,
    said: Option<&str>,
) -> anyhow::Result<()> {
    let verifier = client.roster().await?;
    if verifier.roster().member(member).is_none() {
        return Err(Failure::Usage(format!("there is no member {member}")).into());
    }
    let resets = verifier.roster().resets_of(member);
    if resets.is_empty() {
        let why = format!("the operator never reset the keys of {member}: there is nothing to do");
        return Ok(output::line(&why)?);
    }
    let confirmed = client.profile().confirmed_keys()?.resets();
    for reset in &resets {
        let is_confirmed = confirmed.contains(&(member.clone(), reset.fingerprint));
        show(&verifier, member, reset, is_confirmed)?;
    }
    match said {
        None => invite(client, member),
        Some(said) => {
            let meant = resets.iter().find(|reset| reset.fingerprint.is_said_by(said));
            let meant = meant.ok_or_else(|| Failure::OtherKeys(member.clone()))?;
            client.confirm_reset(member, meant.fingerprint).await?;
            Ok(output::line(&format!(
                "Confirmed: what {member} signs with these keys, and with keys that they vouch for, is its own."
            ))?)
        }
    }
}

fn show(
    verifier: &Verifier,
    member: &MemberId,
    reset: &KeyReset,
    is_confirmed: bool,
) -> anyhow::Result<()> {
    let standing = if is_confirmed { "confirmed" } else { "not confirmed" };
    output::line(&format!(
        "The operator reset the keys of {member} at sequence {} ({standing}).",
        reset.at
    ))?;
    let from = Sequence(reset.at.0.saturating_add(1));
    let keys: Vec<&RegisteredKey> = verifier.roster().keys_of(member).collect();
    for key in keys.iter().filter(|key| key.retired_at == Some(from) && key.valid_from < from) {
        fingerprint(&format!("old {} key", word(key.key_use)), Fingerprint::of_key(key.id))?;
    }
    for key in keys.iter().filter(|key| key.reset == Some(*reset) && key.valid_from == from) {
        fingerprint(&format!("new {} key", word(key.key_use)), Fingerprint::of_key(key.id))?;
    }
    fingerprint("new keys together", reset.fingerprint)
}

fn fingerprint(what: &str, fingerprint: Fingerprint) -> anyhow::Result<()> {
    output::line(&format!("  {what:<17}  {fingerprint}"))?;
    Ok(output::line(&format!("  {:<17}  {}", "", fingerprint.words()))?)
}

fn invite(client: &Client, member: &MemberId) -> anyhow::Result<()> {
    let folder = client.profile().folder().display();
    output::line(&format!(
        "Ask {member}, on the phone or in person, for the words of its new keys together, and type them:"
    ))?;
    Ok(output::line(&format!(
        "  watchfire --profile {folder} keys confirm {member} --as \"WORDS\""
    ))?)
}
