//! `watchfire accept GRANT`: pins the exchange and completes the profile, or puts a renewed certificate in place.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::client::Grant;
use watchfire::client::InvalidPaper;
use watchfire::client::JoinRequest;
use watchfire::client::Pin;
use watchfire::pki;
use watchfire::profile;
use watchfire::profile::Enrolment;
use watchfire::profile::Profile;
use watchfire::profile::Settings;

use crate::context::Context;
use crate::crl;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What the operator granted.
    grant: PathBuf,
}

pub(crate) fn run(context: &Context, args: &Args) -> anyhow::Result<()> {
    let folder = context.folder()?;
    let text = String::from_utf8(profile::read(&args.grant)?).context("the grant is not UTF-8")?;
    let grant = Grant::parse(&text)?;
    if folder.join("profile.toml").exists() {
        return renew(&Profile::open(folder)?, &grant);
    }
    complete(folder, &grant)
}

/// Completes an enrolment.
pub(crate) fn complete(folder: &Path, grant: &Grant) -> anyhow::Result<()> {
    let request = JoinRequest::parse(&Enrolment::request(folder)?)?;
    let pin = check(grant)?;
    let settings = settings(grant, &pin)?;
    if request.exchange()? != settings.exchange || request.member()? != settings.member {
        let why = "it is not the answer to this folder's request";
        return Err(InvalidPaper::new("grant", why).into());
    }
    let genesis = grant.genesis()?;
    let (ca, certificate) = (&grant.certificate_authority, &grant.certificate);
    let profile = Enrolment::accept(folder, &settings, ca, certificate, &genesis)?;
    // One's own keys are confirmed, if they are to take the place of lost ones: they were made here.
    let keys = request.fingerprint()?;
    profile.confirmed_keys()?.confirm(&settings.member, keys, crl::now())?;
    show(folder, grant, &pin)?;
    Ok(())
}

fn renew(profile: &Profile, grant: &Grant) -> anyhow::Result<()> {
    check(grant)?;
    let same = grant.genesis()? == profile.genesis()?
        && grant.member == profile.settings().member.as_str()
        && grant.certificate_authority == profile.ca_pem()?;
    if !same {
        return Err(InvalidPaper::new("grant", "it is not for this profile").into());
    }
    profile.replace_certificate(&grant.certificate)?;
    Ok(output::line("The certificate is renewed.")?)
}

/// The grant's parts must belong together: founding record, authority, certificate, names.
fn check(grant: &Grant) -> anyhow::Result<Pin> {
    let pin = Pin::open(&grant.genesis()?)?;
    let authority = pki::inspect(&grant.certificate_authority)?;
    pin.check_authority(&authority.der)?;
    let certificate = pki::inspect(&grant.certificate)?;
    let expected = format!("spiffe://{}/members/{}", pin.genesis().trust_domain, grant.member);
    let named = grant.exchange == pin.exchange().name()
        && grant.trust_domain == pin.genesis().trust_domain
        && grant.operator_key == pin.operator_key_id().to_string()
        && grant.log_key == pin.log_key_id().to_string();
    if !named || certificate.uri_names != [expected] {
        return Err(InvalidPaper::new("grant", "its parts do not belong together").into());
    }
    Ok(pin)
}

fn settings(grant: &Grant, pin: &Pin) -> anyhow::Result<Settings> {
    let invalid = |why: String| InvalidPaper::new("grant", why);
    let role = profile::role_from_word(&grant.role)
        .ok_or_else(|| invalid(format!("{} is no role", grant.role)))?;
    let member = grant
        .member
        .parse()
        .map_err(|error: watchfire::model::names::InvalidName| invalid(error.to_string()))?;
    Ok(Settings {
        address: grant.address.clone(),
        server_name: grant.server_name.clone(),
        exchange: pin.exchange().clone(),
        trust_domain: grant.trust_domain.clone(),
        member,
        role,
        hub_data: None,
        witnesses: None,
    })
}

fn show(folder: &Path, grant: &Grant, pin: &Pin) -> anyhow::Result<()> {
    let lines = [
        format!(
            "{} is the profile of {} in {}.",
            folder.display(),
            grant.member,
            pin.exchange().name()
        ),
        "Compare with what the operator told you by another way:".to_owned(),
        format!("  exchange      {}", pin.exchange()),
        format!("  in words      {}", pin.fingerprint().words()),
        format!("  operator key  {}", pin.operator_key_id()),
        format!("  log key       {}", pin.log_key_id()),
    ];
    for line in lines {
        output::line(&line)?;
    }
    Ok(())
}
