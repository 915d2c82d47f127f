//! `watchfire enroll MEMBER --out DIR`: keys and a request. Private keys never leave the folder.

use std::path::PathBuf;

use watchfire::client::JoinRequest;
use watchfire::model::names::MemberId;
use watchfire::profile::Enrolment;

use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The member's id: 3 to 40 of a-z, 0-9 and hyphen.
    member: MemberId,
    /// The new folder; must be empty or absent.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The exchange's full name, as its operator gave it: its digits are the fingerprint of the exchange's keys,
    /// and the new keys prove that they are meant for it alone.
    #[arg(long, value_name = "NAME", env = "WATCHFIRE_EXCHANGE")]
    exchange: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Args { member, out, exchange } = args;
    let exchange = Enrolment::exchange(exchange)
        .map_err(|error| Failure::Usage(format!("{exchange} is no exchange: {error}")))?;
    let enrolment = Enrolment::create(out, member)?;
    let keys = [&enrolment.signing_key, &enrolment.recovery_key];
    let request = JoinRequest::new(&exchange, member, keys, &enrolment.certificate_request_pem);
    enrolment.save_request(&request.to_json())?;
    output::line(&format!("The keys of {member} are in {}.", out.display()))?;
    output::line(&format!("  signing key   {}", enrolment.signing_key.id()))?;
    output::line(&format!("  recovery key  {}", enrolment.recovery_key.id()))?;
    output::line(&format!("  in words      {}", request.fingerprint()?.words()))?;
    output::line("Next:")?;
    let path = Enrolment::request_path(out);
    output::line(&format!(
        "  send {} to the operator, which holds nothing secret, and tell it the words by another way",
        path.display()
    ))?;
    Ok(output::line(&format!("  watchfire --profile {} accept GRANT", out.display()))?)
}
