//! `watchfire renew`: certificates before they end. A member asks, the operator grants, the member accepts.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use watchfire::client::Grant;
use watchfire::client::Granted;
use watchfire::client::InvalidPaper;
use watchfire::client::Pin;
use watchfire::client::RenewalRequest;
use watchfire::client::Signer;
use watchfire::model::roster::Role;
use watchfire::pki::CertificateRequest;
use watchfire::profile;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;

use crate::context::Context;
use crate::crl;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As the operator: grant this request of a member.
    #[arg(long, value_name = "FILE", requires = "out")]
    request: Option<PathBuf>,
    /// Where the grant goes; without --request, where the member's own request goes.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// As the operator: renew the hub's certificate for these hosts instead.
    #[arg(long = "server-host", value_name = "HOST", conflicts_with = "request")]
    server_hosts: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: Args) -> anyhow::Result<()> {
    let profile = context.profile()?;
    match (args.request, args.out) {
        _ if !args.server_hosts.is_empty() => server(&profile, &args.server_hosts),
        (Some(request), Some(out)) => grant(context, &request, &out).await,
        (None, _) if profile.settings().role == Role::Operator => own(&profile),
        (_, out) => ask(&profile, out),
    }
}

/// The operator certifies itself.
fn own(profile: &Profile) -> anyhow::Result<()> {
    let settings = profile.settings();
    let request = CertificateRequest::generate(settings.member.as_str())?;
    let authority = profile.authority()?;
    let pem = &request.request_pem;
    let issued =
        authority.issue_member(&settings.trust_domain, &settings.member, pem, crl::now())?;
    profile.save_next_tls_key(&request.key_pem)?;
    profile.replace_certificate(&issued.certificate_pem)?;
    Ok(output::line("The certificate is renewed.")?)
}

/// A member asks: the new private key stays here.
fn ask(profile: &Profile, out: Option<PathBuf>) -> anyhow::Result<()> {
    let out = out.unwrap_or_else(|| profile.folder().join("renewal.json"));
    let signer = Signer::of(profile, OwnKey::Signing)?;
    let request = CertificateRequest::generate(profile.settings().member.as_str())?;
    profile.save_next_tls_key(&request.key_pem)?;
    let paper = RenewalRequest::new(&signer, &request.request_pem);
    profile::write_public(&out, paper.to_json().as_bytes())?;
    output::line(&format!("Send {} to the operator, who answers with a grant:", out.display()))?;
    output::line("  watchfire --profile OPERATOR renew --request FILE --out GRANT")?;
    let folder = profile.folder().display();
    Ok(output::line(&format!("  watchfire --profile {folder} accept GRANT"))?)
}

/// The operator grants what a member in good standing asks for.
async fn grant(context: &Context, file: &Path, out: &Path) -> anyhow::Result<()> {
    let client = context.connect().await?;
    let profile = client.profile();
    let authority = profile.authority()?;
    let text = String::from_utf8(profile::read(file)?).context("the request is not UTF-8")?;
    let verifier = client.roster().await?;
    let (request, member) = RenewalRequest::parse(&text, &verifier)?;
    let role = verifier
        .roster()
        .member(&member)
        .map(|member| member.role)
        .ok_or_else(|| InvalidPaper::new("renewal request", "there is no such member"))?;
    let settings = profile.settings();
    let pem = request.certificate_request_pem();
    let issued = authority.issue_member(&settings.trust_domain, &member, pem, client.now())?;
    let grant = Grant::new(&Granted {
        pin: &Pin::open(&profile.genesis()?)?,
        settings,
        member: &member,
        role,
        ca_pem: authority.certificate_pem(),
        certificate_pem: &issued.certificate_pem,
    });
    profile::write_public(out, grant.to_json().as_bytes())?;
    Ok(output::line(&format!("The grant for {member} is in {}.", out.display()))?)
}

/// The hub's own certificate; a running hub takes it up by itself.
fn server(profile: &Profile, hosts: &[String]) -> anyhow::Result<()> {
    let tls = profile.settings().hub_data.as_ref().map(|data| data.join("tls"));
    let tls = tls.filter(|tls| tls.is_dir()).ok_or_else(|| {
        Failure::Usage(
            "the hub's data directory is not on this machine: set hub_data in profile.toml"
                .to_owned(),
        )
    })?;
    let request = CertificateRequest::generate("watchfired")?;
    let issued = profile.authority()?.issue_server(hosts, &request.request_pem, crl::now())?;
    profile::write_private(&tls.join("server.key"), request.key_pem.as_bytes())?;
    profile::write_public(&tls.join("server.pem"), issued.certificate_pem.as_bytes())?;
    Ok(output::line(&format!("{} is renewed.", tls.join("server.pem").display()))?)
}
