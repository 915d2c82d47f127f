//! A profile in the making: keys are there, the operator's grant is not. Private keys never leave the folder.

use std::path::Path;
use std::path::PathBuf;

use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::pki::CertificateRequest;
use crate::profile::OwnKey;
use crate::profile::Profile;
use crate::profile::ProfileError;
use crate::profile::Settings;
use crate::profile::files;
use crate::signing::SecretKey;

const REQUEST: &str = "request.json";

/// A folder that waits for its grant.
pub struct Enrolment {
    folder: PathBuf,
    /// Signs records.
    pub signing_key: SecretKey,
    /// Signs key changes when the signing key is lost.
    pub recovery_key: SecretKey,
    /// PKCS#10, PEM: what the operator certifies.
    pub certificate_request_pem: String,
}

impl Enrolment {
    /// Makes new keys in a folder that is empty or absent.
    pub fn create(folder: &Path, member: &MemberId) -> Result<Self, ProfileError> {
        files::demand_empty(folder)?;
        files::create_folder(folder)?;
        let unmade = |error: crate::signing::InvalidKey| ProfileError::Malformed {
            path: folder.to_owned(),
            why: error.to_string(),
        };
        let request = CertificateRequest::generate(member.as_str())?;
        let enrolment = Self {
            folder: folder.to_owned(),
            signing_key: SecretKey::generate().map_err(unmade)?,
            recovery_key: SecretKey::generate().map_err(unmade)?,
            certificate_request_pem: request.request_pem,
        };
        super::write_namespace(folder)?;
        super::write_key(&folder.join(OwnKey::Signing.file()), &enrolment.signing_key)?;
        super::write_key(&folder.join(OwnKey::Recovery.file()), &enrolment.recovery_key)?;
        files::write_private(&folder.join(super::TLS_KEY), request.key_pem.as_bytes())?;
        Ok(enrolment)
    }

    /// Where the request lies that goes to the operator.
    pub fn request_path(folder: &Path) -> PathBuf {
        folder.join(REQUEST)
    }

    /// Writes the request that goes to the operator; it holds nothing secret.
    pub fn save_request(&self, json: &str) -> Result<(), ProfileError> {
        files::write_public(&self.folder.join(REQUEST), json.as_bytes())
    }

    /// The request as it was written.
    pub fn request(folder: &Path) -> Result<String, ProfileError> {
        files::read_text(&folder.join(REQUEST))
    }

    /// Whether a folder waits for its grant.
    pub(super) fn is_pending(folder: &Path) -> bool {
        folder.join(REQUEST).exists()
    }

    /// Completes the profile with what the grant brings.
    pub fn accept(
        folder: &Path,
        settings: &Settings,
        ca_pem: &str,
        certificate_pem: &str,
        genesis: &[u8],
    ) -> Result<Profile, ProfileError> {
        let profile = Profile { folder: folder.to_owned(), settings: settings.clone() };
        profile.complete(ca_pem, certificate_pem, genesis)?;
        files::remove(&folder.join(REQUEST))?;
        Profile::open(folder)
    }

    /// The exchange of a name as people give it: with or without `exchanges/`.
    pub fn exchange(text: &str) -> Result<ExchangeName, crate::model::names::InvalidName> {
        let whole = text.starts_with("exchanges/");
        if whole {
            ExchangeName::from_name(text)
        } else {
            ExchangeName::from_name(&format!("exchanges/{text}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enrolment_waits_for_its_grant_and_then_is_a_profile() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("acme");
        let settings = crate::profile::tests::settings();
        let enrolment = Enrolment::create(&folder, &settings.member).unwrap();
        enrolment.save_request("{}").unwrap();
        assert!(matches!(Profile::open(&folder), Err(ProfileError::NotAccepted { .. })));
        let profile =
            Enrolment::accept(&folder, &settings, "ca", "certificate", b"genesis").unwrap();
        assert_eq!(profile.key(OwnKey::Signing).unwrap().id(), enrolment.signing_key.id());
        assert!(!Enrolment::is_pending(&folder));
    }
}
