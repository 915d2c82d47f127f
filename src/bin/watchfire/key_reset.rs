//! `watchfire keys reset`: the operator puts new keys in the place of those that a member has lost.
//!
//! The member makes its new keys in a new folder with `enroll`, as when it joined, and sends the request; it gets a new
//! certificate with the grant, and the old ones are revoked, since they lay beside the keys that are lost.

use std::path::Path;

use anyhow::Context as _;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::InvalidPaper;
use watchfire::client::JoinRequest;
use watchfire::client::OperatorChange;
use watchfire::model::names::KeyId;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;
use watchfire::profile;
use watchfire::wire::pb;

use crate::admit;
use crate::crl;
use crate::output;

pub(crate) async fn run(
    client: &Client,
    file: &Path,
    out: &Path,
    reason: String,
) -> anyhow::Result<()> {
    // Before anything is signed: this profile must be an operator's.
    let authority = client.profile().authority()?;
    let text = String::from_utf8(profile::read(file)?).context("the request is not UTF-8")?;
    let request = JoinRequest::parse(&text)?;
    if request.exchange()? != *client.pin().exchange() {
        return Err(InvalidPaper::new("request", "it is for another exchange").into());
    }
    let member = request.member()?;
    let role = client
        .roster()
        .await?
        .roster()
        .member(&member)
        .map(|member| member.role)
        .ok_or_else(|| InvalidPaper::new("request", "there is no such member: admit it"))?;
    admit::show_request(&request)?;
    reset(client, &member, &request, reason).await?;
    let now = client.now();
    let revoked = authority.revoke(&member, now)?;
    output::line(&format!("{revoked} certificates of {member} are revoked."))?;
    crl::renew(client.profile(), now)?;
    let grant = admit::issue(client, &authority, &request, role)?;
    profile::write_public(out, grant.to_json().as_bytes())?;
    output::line(&format!("The grant for {member} is in {}.", out.display()))?;
    admit::tell_the_exchange(client, &grant)?;
    Ok(output::line(&format!(
        "  every other member: watchfire keys confirm {member}, with the words that {member} tells it"
    ))?)
}

async fn reset(
    client: &Client,
    member: &MemberId,
    request: &JoinRequest,
    reason: String,
) -> anyhow::Result<()> {
    let [signing_key, recovery_key] = request.keys()?;
    let id = KeyId::of_spki(&signing_key.spki);
    let change = OperatorChange::ResetKeys(pb::KeyReset {
        signing_key: Some(signing_key),
        recovery_key: Some(recovery_key),
        reason,
    });
    match client.change_roster(member, change).await {
        Ok(receipt) => {
            let place = receipt.sequence;
            Ok(output::line(&format!("The keys of {member} are reset at sequence {place}."))?)
        }
        // An earlier try was cut off behind the reset: the grant is what is missing.
        Err(ClientError::Refused(refused))
            if refused.is(Reason::RosterConflict)
                && admit::holds_key(client, member, id).await? =>
        {
            output::note(&format!("The keys of {member} are these already."));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
