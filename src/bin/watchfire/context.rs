//! What every command may need: which profile, and a connection with it.

use std::path::PathBuf;

use watchfire::client::Client;
use watchfire::model::names::RecordName;
use watchfire::model::names::RevisionName;
use watchfire::profile::Profile;

use crate::failure::Failure;

/// The options of every command.
#[derive(Debug, clap::Args)]
pub(crate) struct Context {
    /// The member's folder.
    #[arg(long, global = true, value_name = "DIR", env = "WATCHFIRE_PROFILE")]
    profile: Option<PathBuf>,
    /// Speak to the hub at this address instead of the profile's.
    #[arg(long, global = true, value_name = "HOST:PORT", env = "WATCHFIRE_ADDRESS")]
    address: Option<String>,
}

impl Context {
    /// The folder that was named.
    pub(crate) fn folder(&self) -> Result<&PathBuf, Failure> {
        let missing =
            || Failure::Usage("name a profile: --profile DIR, or WATCHFIRE_PROFILE".to_owned());
        self.profile.as_ref().ok_or_else(missing)
    }

    /// Opens the profile.
    pub(crate) fn profile(&self) -> anyhow::Result<Profile> {
        Ok(Profile::open(self.folder()?)?.at_address(self.address.clone()))
    }

    /// Opens the profile and connects.
    pub(crate) async fn connect(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(self.profile()?).await?)
    }
}

/// A record as people name it: in full, or by its id alone if it is one's own.
pub(crate) fn record_name(text: &str, profile: &Profile) -> Result<RevisionName, Failure> {
    let own = |id: &str| format!("{}/records/{id}", profile.settings().member.name());
    let full = if text.contains('/') { text.to_owned() } else { own(text) };
    full.parse().map_err(|error| Failure::Usage(format!("{text} is no record: {error}")))
}

/// A record without a revision.
pub(crate) fn whole_record(text: &str, profile: &Profile) -> Result<RecordName, Failure> {
    match record_name(text, profile)? {
        RevisionName { record, revision: None } => Ok(record),
        RevisionName { .. } => {
            Err(Failure::Usage(format!("{text} must be named without a revision")))
        }
    }
}
