//! `watchfire keys list|rotate`.

use watchfire::client::Client;
use watchfire::client::Signer;
use watchfire::model::names::KeyId;
use watchfire::model::names::MemberId;
use watchfire::model::roster::KeyUse;
use watchfire::profile::OwnKey;
use watchfire::signing::SecretKey;

use crate::context::Context;
use crate::handling_flags::member;
use crate::output;
use crate::publish::send_waiting;
use crate::table;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List keys, retired ones included, as the log has them.
    List {
        /// Only this member's.
        #[arg(value_parser = member)]
        member: Option<MemberId>,
    },
    /// Put a new signing key in the old one's place. What the old one signed stays valid.
    Rotate {
        /// Sign the change with the recovery key: the signing key is lost.
        #[arg(long)]
        with_recovery_key: bool,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    let client = context.connect().await?;
    match command {
        Command::List { member } => list(&client, member.as_ref()).await?,
        Command::Rotate { with_recovery_key } => {
            let voucher = if with_recovery_key { OwnKey::Recovery } else { OwnKey::Signing };
            rotate(&client, voucher).await?;
        }
    }
    Ok(client.remember_roster().await?)
}

async fn list(client: &Client, only: Option<&MemberId>) -> anyhow::Result<()> {
    let verifier = client.roster().await?;
    let roster = verifier.roster();
    let mut table = table::plain(&["MEMBER", "USE", "FROM", "UNTIL", "KEY"]);
    for member in roster.members().filter(|member| only.is_none_or(|only| member.id == *only)) {
        let mut keys: Vec<_> = roster.keys_of(&member.id).collect();
        keys.sort_by_key(|key| (key.valid_from, key.id));
        for key in keys {
            let key_use = match key.key_use {
                KeyUse::Signing => "signing",
                KeyUse::Recovery => "recovery",
            };
            let until = match (key.retired_at, key.compromised_since) {
                (None, _) => String::new(),
                (Some(end), None) => end.to_string(),
                (Some(end), Some(since)) => format!("{end} (in doubt since {since})"),
            };
            let from = key.valid_from.to_string();
            table.add_row([
                member.id.to_string(),
                key_use.to_owned(),
                from,
                until,
                key.id.to_string(),
            ]);
        }
    }
    Ok(output::line(&table.to_string())?)
}

/// Adds a key, lets it take the old one's place, and retires with it whatever other signing key is left. Each step
/// is on the disk before the next, and a rotation that was cut off goes on with the key that it had made.
async fn rotate(client: &Client, voucher: OwnKey) -> anyhow::Result<()> {
    send_waiting(client).await?;
    let profile = client.profile();
    if !profile.has_key(OwnKey::NextSigning) {
        profile.save_key(OwnKey::NextSigning, &SecretKey::generate()?)?;
    }
    let next: Signer = client.signer_with(OwnKey::NextSigning)?;
    let registered = client.roster().await?.roster().key(&next.key().id()).is_some();
    if !registered {
        client.add_key(&client.signer_with(voucher)?, next.key()).await?;
    }
    profile.promote_next_key()?;
    output::line(&format!("new key  {}", next.key().id()))?;
    for old in left_over(client, &next).await? {
        let receipt = client.retire_key(&next, old).await?;
        output::line(&format!("old key  {old}, retired at sequence {}", receipt.sequence))?;
    }
    Ok(())
}

/// The signing keys of this member that still hold, but for the one that stays.
async fn left_over(client: &Client, stays: &Signer) -> anyhow::Result<Vec<KeyId>> {
    let verifier = client.roster().await?;
    let keys = verifier.roster().keys_of(stays.member());
    let old = keys.filter(|key| {
        key.key_use == KeyUse::Signing && key.retired_at.is_none() && key.id != stays.key().id()
    });
    Ok(old.map(|key| key.id).collect())
}
