//! `watchfire keys list|rotate|retire|reset|confirm|cosign-log-key`.

use std::path::PathBuf;

use watchfire::client::Client;
use watchfire::client::OperatorChange;
use watchfire::client::Receipt;
use watchfire::client::Signer;
use watchfire::client::Verifier;
use watchfire::model::fingerprint::Fingerprint;
use watchfire::model::names::KeyId;
use watchfire::model::names::MemberId;
use watchfire::model::names::Sequence;
use watchfire::model::roster::KeyUse;
use watchfire::model::roster::RegisteredKey;
use watchfire::profile::OwnKey;
use watchfire::signing::SecretKey;

use crate::context::Context;
use crate::cosign_log_key;
use crate::handling_flags::member;
use crate::key_confirm;
use crate::key_reset;
use crate::output;
use crate::publish::send_waiting;
use crate::table;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// List keys, retired ones included, as the log has them; of one member, also in words.
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
        /// The old key was stolen: what it signed from this sequence on is in doubt.
        #[arg(long, value_name = "SEQUENCE")]
        compromised_since: Option<u64>,
    },
    /// Retire a key of one's own; as the operator, with --member, one of a member's.
    Retire {
        /// The key: 64 hex digits.
        key: KeyId,
        /// As the operator: whose key it is.
        #[arg(long, value_parser = member, conflicts_with = "with_recovery_key")]
        member: Option<MemberId>,
        /// Sign the change with the recovery key.
        #[arg(long)]
        with_recovery_key: bool,
        /// It was stolen: what it signed from this sequence on is in doubt. A key that is retired may be said to have
        /// been stolen later, or earlier than was thought.
        #[arg(long, value_name = "SEQUENCE")]
        compromised_since: Option<u64>,
    },
    /// As the operator: put new keys in the place of all that a member has lost, by its request, as `enroll` writes
    /// it. Everyone else holds what the member says since as unconfirmed, until they confirm its new keys.
    Reset {
        /// The member's request for its new keys.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Where the grant goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Why, for the other members to read.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Vouch for the log's next key, because its key is lost; the hub is not asked.
    CosignLogKey {
        /// What the operator asks to be signed.
        #[arg(long, value_name = "FILE")]
        request: PathBuf,
        /// Where the signature goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The fingerprint of the new log key as the operator said it, by another way: twelve words, or 64 hex digits.
        #[arg(long = "as", value_name = "FINGERPRINT")]
        said: String,
    },
    /// Show the keys that the operator put in the place of a member's; once compared with the member, confirm them.
    Confirm {
        /// Whose keys.
        #[arg(value_parser = member)]
        member: MemberId,
        /// The fingerprint as the member itself says it, by another way: twelve words, or 64 hex digits.
        #[arg(long = "as", value_name = "FINGERPRINT")]
        said: Option<String>,
    },
}

pub(crate) async fn run(context: &Context, command: Command) -> anyhow::Result<()> {
    // Without the hub, which cannot serve when this is asked for.
    if let Command::CosignLogKey { request, out, said } = &command {
        return cosign_log_key::run(&context.profile()?, request, out, said);
    }
    let client = context.connect().await?;
    match command {
        Command::CosignLogKey { .. } => {}
        Command::List { member } => list(&client, member.as_ref()).await?,
        Command::Rotate { with_recovery_key, compromised_since } => {
            rotate(&client, voucher(with_recovery_key), compromised_since.map(Sequence)).await?;
        }
        Command::Retire { key, member, with_recovery_key, compromised_since } => {
            let since = compromised_since.map(Sequence);
            let receipt = if let Some(member) = member {
                client.change_roster(&member, OperatorChange::RetireKey(key, since)).await?
            } else {
                let signer = client.signer_with(voucher(with_recovery_key))?;
                client.retire_key(&signer, key, since).await?
            };
            tell_retired(&key, since, &receipt)?;
        }
        Command::Reset { request, out, reason } => {
            key_reset::run(&client, &request, &out, reason).await?;
        }
        Command::Confirm { member, said } => {
            key_confirm::run(&client, &member, said.as_deref()).await?;
        }
    }
    Ok(client.remember_roster().await?)
}

const fn voucher(with_recovery_key: bool) -> OwnKey {
    if with_recovery_key { OwnKey::Recovery } else { OwnKey::Signing }
}

async fn list(client: &Client, only: Option<&MemberId>) -> anyhow::Result<()> {
    let verifier = client.roster().await?;
    let roster = verifier.roster();
    let mut table = table::plain(&["MEMBER", "USE", "FROM", "UNTIL", "KEY"]);
    for member in roster.members().filter(|member| only.is_none_or(|only| member.id == *only)) {
        let mut keys: Vec<_> = roster.keys_of(&member.id).collect();
        keys.sort_by_key(|key| (key.valid_from, key.id));
        for key in keys {
            table.add_row([
                member.id.to_string(),
                word(key.key_use).to_owned(),
                key.valid_from.to_string(),
                until(key),
                shown(key, only, &verifier),
            ]);
        }
    }
    Ok(output::line(&table.to_string())?)
}

/// What people call the use of a key.
pub(crate) const fn word(key_use: KeyUse) -> &'static str {
    match key_use {
        KeyUse::Signing => "signing",
        KeyUse::Recovery => "recovery",
    }
}

fn until(key: &RegisteredKey) -> String {
    match (key.retired_at, key.compromised_since) {
        (None, _) => String::new(),
        (Some(end), None) => end.to_string(),
        (Some(end), Some(since)) => format!("{end} (in doubt since {since})"),
    }
}

/// The key; of one member also in words, six to a line.
fn shown(key: &RegisteredKey, only: Option<&MemberId>, verifier: &Verifier) -> String {
    let mut lines = vec![key.id.to_string()];
    if only.is_some() {
        let words = Fingerprint::of_key(key.id).words();
        let words: Vec<&str> = words.split(' ').collect();
        lines.extend(words.chunks(6).map(|words| words.join(" ")));
    }
    if let Some(reset) = key.reset {
        let unconfirmed = if verifier.is_unconfirmed(&key.id) { ", unconfirmed" } else { "" };
        lines.push(format!("(the operator's reset at {}{unconfirmed})", reset.at));
    }
    lines.join("\n")
}

/// Adds a key, lets it take the old one's place, and retires with it whatever other signing key is left. Each step
/// is on the disk before the next, and a rotation that was cut off goes on with the key that it had made.
async fn rotate(
    client: &Client,
    voucher: OwnKey,
    compromised_since: Option<Sequence>,
) -> anyhow::Result<()> {
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
    let id = next.key().id();
    output::line(&format!("new key  {id}"))?;
    output::line(&format!("in words {}", Fingerprint::of_key(id).words()))?;
    for old in left_over(client, &next).await? {
        let receipt = client.retire_key(&next, old, compromised_since).await?;
        tell_retired(&old, compromised_since, &receipt)?;
    }
    Ok(())
}

fn tell_retired(key: &KeyId, since: Option<Sequence>, receipt: &Receipt) -> anyhow::Result<()> {
    let doubt = since.map(|since| format!(", in doubt since {since}")).unwrap_or_default();
    Ok(output::line(&format!("old key  {key}, retired at sequence {}{doubt}", receipt.sequence))?)
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
