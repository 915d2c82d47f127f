//! `watchfire status`: how profile and hub stand, and what ends within fourteen days.

use std::path::Path;
use std::time::Duration;

use watchfire::client::Client;
use watchfire::client::Finality;
use watchfire::client::Verifier;
use watchfire::model::roster::KeyReset;
use watchfire::model::roster::Role;
use watchfire::model::time::Timestamp;
use watchfire::model::witnesses::Witnesses;
use watchfire::pki;
use watchfire::profile;
use watchfire::profile::Profile;

use crate::context::Context;
use crate::crl::now;
use crate::output;

/// How long before its end something is warned of.
const WARNING: Duration = Duration::from_hours(14 * 24);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say how far the log is final: so many of these members have cosigned it. Without it the profile's `witnesses`
    /// hold, if it has any.
    #[arg(long, value_name = "K:MEMBER,MEMBER,...")]
    witnesses: Option<Witnesses>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    let witnesses = args.witnesses.or_else(|| profile.settings().witnesses.clone());
    local(&profile, now())?;
    let client = Client::connect(profile).await?;
    let welcome = client.welcome();
    let version = output::clean(&welcome.version);
    output::line(&format!(
        "hub          {} (watchfired {version})",
        client.profile().settings().address
    ))?;
    output::line(&format!(
        "log          {} entries, epoch {}",
        welcome.checkpoint.size, welcome.epoch
    ))?;
    if let Some(time) = welcome.time {
        output::line(&format!("hub's time   {time}"))?;
    }
    if let Some(witnesses) = witnesses {
        finality(&client, &witnesses).await?;
    }
    let verifier = client.roster().await?;
    warn_of_resets(&verifier, client.profile())?;
    Ok(client.remember_roster().await?)
}

/// Keys that the operator put in the place of a member's, and that the user has not compared with the member yet.
fn warn_of_resets(verifier: &Verifier, profile: &Profile) -> anyhow::Result<()> {
    let confirmed = profile.confirmed_keys()?.resets();
    let roster = verifier.roster();
    for member in roster.members() {
        let resets = roster.resets_of(&member.id);
        let is_open =
            |reset: &&KeyReset| !confirmed.contains(&(member.id.clone(), reset.fingerprint));
        if let Some(reset) = resets.iter().rev().find(is_open) {
            let (id, folder) = (&member.id, profile.folder().display());
            output::note(&format!(
                "warning: the operator reset the keys of {id} at sequence {}; what {id} says since is unconfirmed: \
                 watchfire --profile {folder} keys confirm {id}",
                reset.at
            ));
        }
    }
    Ok(())
}

/// How far enough witnesses have cosigned.
async fn finality(client: &Client, witnesses: &Witnesses) -> anyhow::Result<()> {
    let Finality { checkpoint: _, final_size, cosigned } = client.finality(witnesses).await?;
    let (needed, named) = (witnesses.needed(), witnesses.members().len());
    output::line(&format!("final        {final_size} entries, by {needed} of {named} witnesses"))?;
    for member in witnesses.members() {
        let said = match cosigned.get(member) {
            Some(size) => format!("{size} entries"),
            None => "nothing".to_owned(),
        };
        output::line(&format!("witness      {member} has cosigned {said}"))?;
    }
    Ok(())
}

/// What can be said without the hub.
fn local(profile: &Profile, now: Timestamp) -> anyhow::Result<()> {
    let settings = profile.settings();
    output::line(&format!("member       {} ({})", settings.member.name(), settings.role.as_str()))?;
    output::line(&format!("exchange     {}", settings.exchange.name()))?;
    let folder = profile.folder().display();
    let certificate = pki::inspect(&profile.certificate_pem()?)?;
    let renew = format!("watchfire --profile {folder} renew");
    ends("certificate", certificate.not_after.into(), now, &renew)?;
    let authority = pki::inspect(&profile.ca_pem()?)?;
    ends("authority", authority.not_after.into(), now, "the operator must found a new authority")?;
    if settings.role == Role::Operator {
        operator(profile, now)?;
    }
    let waiting = profile.outbox()?.waiting()?.len();
    output::line(&format!("outbox       {waiting} batches wait"))?;
    if waiting > 0 {
        output::note(&format!(
            "warning: send what waits: watchfire --profile {folder} publish --outbox"
        ));
    }
    Ok(())
}

/// What the operator answers for: the revocation list and the hub's certificate.
fn operator(profile: &Profile, now: Timestamp) -> anyhow::Result<()> {
    let folder = profile.folder().display();
    let tls = profile.settings().hub_data.as_ref().map(|data| data.join("tls"));
    let installed = tls.as_ref().map(|tls| tls.join("crl.pem")).filter(|path| path.exists());
    let list = installed.unwrap_or_else(|| profile.revocation_list_path());
    let end = pki::next_update(&text(&list)?)?;
    ends("revocations", end.into(), now, &format!("watchfire --profile {folder} crl renew"))?;
    let server = tls.map(|tls| tls.join("server.pem")).filter(|path| path.exists());
    if let Some(server) = server {
        let end = pki::inspect(&text(&server)?)?.not_after;
        let renew = format!("watchfire --profile {folder} renew --server-host HOST");
        ends("hub's cert.", end.into(), now, &renew)?;
    }
    Ok(())
}

fn text(path: &Path) -> anyhow::Result<String> {
    Ok(String::from_utf8(profile::read(path)?)?)
}

/// Says when something ends, and warns if that is soon.
fn ends(what: &str, end: Timestamp, now: Timestamp, remedy: &str) -> anyhow::Result<()> {
    output::line(&format!("{what:<12} until {end}"))?;
    if let Some(warning) = warning(what, end, now) {
        output::note(&format!("warning: {warning}: {remedy}"));
    }
    Ok(())
}

fn warning(what: &str, end: Timestamp, now: Timestamp) -> Option<String> {
    const DAY: u64 = 24 * 3600;
    if end <= now {
        return Some(format!("{what} has ended"));
    }
    let left = end.saturating_since(now);
    (left <= WARNING).then(|| format!("{what} ends in {} days", left.as_secs() / DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_within_fourteen_days_is_warned_of() {
        let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let after = |seconds| warning("it", now.saturating_add(Duration::from_secs(seconds)), now);
        assert_eq!(after(0).as_deref(), Some("it has ended"));
        assert_eq!(after(3600).as_deref(), Some("it ends in 0 days"));
        assert_eq!(after(14 * 24 * 3600).as_deref(), Some("it ends in 14 days"));
        assert_eq!(after(14 * 24 * 3600 + 1), None);
    }
}
