//! `watchfire keys cosign-log-key`: a company vouches for the log's next key, when the old one is lost.

use std::path::Path;

use anyhow::Context as _;
use watchfire::client::KnownRoster;
use watchfire::client::Pin;
use watchfire::client::Signer;
use watchfire::client::SuccessionRequest;
use watchfire::profile;
use watchfire::profile::OwnKey;
use watchfire::profile::Profile;

use crate::failure::Failure;
use crate::output;

/// The hub cannot serve meanwhile: what the profile knows of the log is what the request is judged by.
pub(crate) fn run(profile: &Profile, file: &Path, out: &Path, said: &str) -> anyhow::Result<()> {
    let text = String::from_utf8(profile::read(file)?).context("the request is not UTF-8")?;
    let request = SuccessionRequest::parse(&text)?;
    if !request.fingerprint()?.is_said_by(said) {
        return Err(Failure::OtherLogKey.into());
    }
    let known = KnownRoster::load(profile, &Pin::open(&profile.genesis()?)?)?;
    let seen = known.remembered_size(profile)?;
    let signer = Signer::of(profile, OwnKey::Signing)?;
    let answer = request.cosign(&signer, &known, seen)?;
    profile::write_public(out, answer.to_json().as_bytes())?;
    output::line(&format!("Signed for the entry at sequence {}:", request.sequence()))?;
    Ok(output::line(&format!("  send {} to the operator", out.display()))?)
}
