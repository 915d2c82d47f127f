//! `watchfire admit`: the operator signs a member's admission; the hub only takes it down.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::client::Client;
use watchfire::client::ClientError;
use watchfire::client::Grant;
use watchfire::client::Granted;
use watchfire::client::JoinRequest;
use watchfire::client::OperatorChange;
use watchfire::model::names::KeyId;
use watchfire::model::names::MemberId;
use watchfire::model::reason::Reason;
use watchfire::model::roster::Role;
use watchfire::profile;
use watchfire::profile::Authority;
use watchfire::profile::Enrolment;
use watchfire::wire::pb;

use crate::accept;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The new member, for a trial: its keys are made here, and a whole profile is written.
    #[arg(required_unless_present = "request", conflicts_with = "request")]
    member: Option<MemberId>,
    /// The request of a member that made its own keys.
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// What the member may do.
    #[arg(long)]
    role: RoleName,
    /// Where the profile goes, or with --request the grant.
    #[arg(long, value_name = "PATH")]
    out: PathBuf,
    /// A name for people.
    #[arg(long, default_value = "")]
    display_name: String,
    /// Let an observer publish indicators.
    #[arg(long)]
    may_publish_indicators: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleName {
    Company,
    Observer,
    Auditor,
}

impl RoleName {
    const fn role(self) -> (Role, pb::Role) {
        match self {
            Self::Company => (Role::Company, pb::Role::Company),
            Self::Observer => (Role::Observer, pb::Role::Observer),
            Self::Auditor => (Role::Auditor, pb::Role::Auditor),
        }
    }
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    // Before anything is made: this profile must be an operator's.
    context.profile()?.authority()?;
    match (&args.member, &args.request) {
        (Some(member), None) => in_one_step(context, member, &args).await,
        (None, Some(file)) => by_request(context, file, &args).await,
        (Some(_), Some(_)) | (None, None) => {
            Err(Failure::Usage("name a member, or a request".to_owned()).into())
        }
    }
}

/// The member's keys are made here, so that the profile is there before anyone is admitted with keys that a
/// crash could lose.
async fn in_one_step(context: &Context, member: &MemberId, args: &Args) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let enrolment = Enrolment::create(&args.out, member)?;
    let keys = [&enrolment.signing_key, &enrolment.recovery_key];
    let exchange = client.pin().exchange();
    let request = JoinRequest::new(exchange, member, keys, &enrolment.certificate_request_pem);
    enrolment.save_request(&request.to_json())?;
    let admitted = admit(&client, &request, args).await;
    let grant = match admitted {
        Ok(grant) => grant,
        Err(error) => {
            if matches!(&error, ClientError::Refused(_) | ClientError::Invalid(_)) {
                // Nobody was admitted with these keys, and nobody will be.
                fs::remove_dir_all(&args.out)
                    .with_context(|| format!("{} stays", args.out.display()))?;
            }
            return Err(error.into());
        }
    };
    accept::complete(&args.out, &grant)?;
    output::line(&format!("Next: watchfire --profile {} status", args.out.display()))?;
    Ok(())
}

async fn by_request(context: &Context, file: &Path, args: &Args) -> anyhow::Result<()> {
    let text = String::from_utf8(profile::read(file)?).context("the request is not UTF-8")?;
    let request = JoinRequest::parse(&text)?;
    let client = context.connect().await?;
    show_request(&request)?;
    let grant = admit(&client, &request, args).await?;
    profile::write_public(&args.out, grant.to_json().as_bytes())?;
    output::line(&format!("The grant for {} is in {}.", grant.member, args.out.display()))?;
    tell_the_exchange(&client, &grant)?;
    Ok(output::line(&format!("  watchfire --profile DIR accept {}", args.out.display()))?)
}

/// What the operator compares with the member, by another way than the request came.
pub(crate) fn show_request(request: &JoinRequest) -> anyhow::Result<()> {
    let [signing_key, recovery_key] = request.keys()?;
    output::line(&format!("The request of {} is for these keys:", request.member()?))?;
    output::line(&format!("  signing key   {}", KeyId::of_spki(&signing_key.spki)))?;
    output::line(&format!("  recovery key  {}", KeyId::of_spki(&recovery_key.spki)))?;
    Ok(output::line(&format!("  in words      {}", request.fingerprint()?.words()))?)
}

/// What the member compares with the operator, by another way than the grant comes.
pub(crate) fn tell_the_exchange(client: &Client, grant: &Grant) -> anyhow::Result<()> {
    output::line(&format!("  tell the member by another way: {}", grant.exchange))?;
    Ok(output::line(&format!("  or in words: {}", client.pin().fingerprint().words()))?)
}

/// Admits the member and certifies it.
async fn admit(client: &Client, request: &JoinRequest, args: &Args) -> Result<Grant, ClientError> {
    let exchange = request.exchange()?;
    if exchange != *client.pin().exchange() {
        let why = format!("it is for {}", exchange.name());
        return Err(watchfire::client::InvalidPaper::new("request", why).into());
    }
    let member = request.member()?;
    let [signing_key, recovery_key] = request.keys()?;
    let id = KeyId::of_spki(&signing_key.spki);
    let (role, wire_role) = args.role.role();
    let admission = pb::Admission {
        role: wire_role.into(),
        signing_key: Some(signing_key),
        recovery_key: Some(recovery_key),
        may_publish_indicators: args.may_publish_indicators,
        display_name: args.display_name.clone(),
    };
    match client.change_roster(&member, OperatorChange::Admit(admission)).await {
        Ok(receipt) => {
            output::note(&format!("{member} is admitted at sequence {}.", receipt.sequence));
        }
        // An earlier try was cut off behind the admission: the grant is what is missing.
        Err(ClientError::Refused(refused))
            if refused.is(Reason::RosterConflict) && holds_key(client, &member, id).await? =>
        {
            output::note(&format!("{member} was admitted before with these keys."));
        }
        Err(error) => return Err(error),
    }
    issue(client, &client.profile().authority()?, request, role)
}

/// Certifies a member that the roster has; what it is handed for that.
pub(crate) fn issue(
    client: &Client,
    authority: &Authority,
    request: &JoinRequest,
    role: Role,
) -> Result<Grant, ClientError> {
    let (member, settings) = (request.member()?, client.profile().settings());
    let pem = request.certificate_request_pem();
    let issued = authority.issue_member(&settings.trust_domain, &member, pem, client.now())?;
    Ok(Grant::new(&Granted {
        pin: client.pin(),
        settings,
        member: &member,
        role,
        ca_pem: authority.certificate_pem(),
        certificate_pem: &issued.certificate_pem,
    }))
}

pub(crate) async fn holds_key(
    client: &Client,
    member: &MemberId,
    id: KeyId,
) -> Result<bool, ClientError> {
    let verifier = client.roster().await?;
    Ok(verifier
        .roster()
        .key(&id)
        .is_some_and(|key| key.member == *member && key.retired_at.is_none()))
}
