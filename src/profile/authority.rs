//! The operator's side of a profile: the certificate authority, what it issued and what it revoked.
//!
//! The hub never reads any of this; it only gets the finished lists and certificates.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use serde::Deserialize;
use serde::Serialize;

use crate::model::names::MemberId;
use crate::model::time::Timestamp;
use crate::pki::CertificateAuthority;
use crate::pki::Issued;
use crate::pki::Validity;
use crate::profile::ProfileError;
use crate::profile::files;

const CA_KEY: &str = "ca.key";
const ISSUED: &str = "issued.jsonl";
const REVOKED: &str = "revoked.json";
/// Clocks differ: a certificate must hold at a peer whose clock stands a little behind.
const CLOCK_SLACK: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// How long a revocation list holds.
pub const REVOCATION_LIST_DAYS: u32 = 90;
/// How long a certificate holds.
pub const CERTIFICATE_DAYS: u32 = 365;
/// How long an authority holds.
pub const AUTHORITY_DAYS: u32 = 3650;

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct IssuedCertificate {
    /// To whom.
    pub member: String,
    /// Lower-case hex.
    pub serial: String,
    /// Microseconds since 1970.
    pub issued_micros: u64,
    /// Microseconds since 1970.
    pub not_after_micros: u64,
}

/// A certificate that no longer holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct RevokedCertificate {
    /// Lower-case hex.
    pub serial: String,
    /// Microseconds since 1970.
    pub revoked_micros: u64,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct Revocations {
    number: u64,
    revoked: Vec<RevokedCertificate>,
}

/// The certificate authority with its books.
pub struct Authority {
    folder: PathBuf,
    ca: CertificateAuthority,
}

/// From an hour ago, for so many days.
pub fn validity(now: Timestamp, days: u32) -> Validity {
    let now = SystemTime::from(now);
    Validity {
        not_before: now.checked_sub(CLOCK_SLACK).unwrap_or(now),
        not_after: now + DAY * days,
    }
}

impl Authority {
    /// Writes the key of a new authority into the operator's folder.
    pub fn create(folder: &Path, ca: CertificateAuthority) -> Result<Self, ProfileError> {
        files::create_folder(folder)?;
        files::write_private(&folder.join(CA_KEY), ca.key_pem().as_bytes())?;
        Ok(Self { folder: folder.to_owned(), ca })
    }

    pub(super) fn open(folder: &Path) -> Result<Self, ProfileError> {
        let key = files::read_private(&folder.join(CA_KEY))?;
        let certificate = files::read_text(&folder.join(super::CA))?;
        let ca = CertificateAuthority::from_pem(&certificate, &key)?;
        Ok(Self { folder: folder.to_owned(), ca })
    }

    /// Its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        self.ca.certificate_pem()
    }

    /// Certifies a member and writes that down before the certificate is handed out.
    pub fn issue_member(
        &self,
        trust_domain: &str,
        member: &MemberId,
        request_pem: &str,
        now: Timestamp,
    ) -> Result<Issued, ProfileError> {
        let validity = validity(now, CERTIFICATE_DAYS);
        let issued = self.ca.issue_member(trust_domain, member, request_pem, validity)?;
        self.note_issued(member, &issued, now)?;
        Ok(issued)
    }

    /// Writes down that a certificate was issued at this time.
    pub fn note_issued(
        &self,
        member: &MemberId,
        issued: &Issued,
        now: Timestamp,
    ) -> Result<(), ProfileError> {
        self.record(IssuedCertificate {
            member: member.to_string(),
            serial: issued.serial.clone(),
            issued_micros: now.as_micros(),
            not_after_micros: Timestamp::from(validity(now, CERTIFICATE_DAYS).not_after)
                .as_micros(),
        })
    }

    /// Certifies the hub.
    pub fn issue_server(
        &self,
        hosts: &[String],
        request_pem: &str,
        now: Timestamp,
    ) -> Result<Issued, ProfileError> {
        Ok(self.ca.issue_server(hosts, request_pem, validity(now, CERTIFICATE_DAYS))?)
    }

    /// Revokes every certificate of a member that was issued so far; says how many were not revoked before.
    pub fn revoke(&self, member: &MemberId, now: Timestamp) -> Result<usize, ProfileError> {
        let mut revocations = self.revocations()?;
        let before = revocations.revoked.len();
        for issued in self.issued()?.into_iter().filter(|issued| issued.member == member.as_str()) {
            if !revocations.revoked.iter().any(|revoked| revoked.serial == issued.serial) {
                revocations.revoked.push(RevokedCertificate {
                    serial: issued.serial,
                    revoked_micros: now.as_micros(),
                });
            }
        }
        self.save(&revocations)?;
        Ok(revocations.revoked.len().saturating_sub(before))
    }

    /// The next revocation list, PEM. Its number is written down first: no two lists share one.
    pub fn next_revocation_list(&self, now: Timestamp) -> Result<String, ProfileError> {
        let mut revocations = self.revocations()?;
        revocations.number = revocations.number.saturating_add(1);
        self.save(&revocations)?;
        let revoked: Vec<(String, SystemTime)> = revocations
            .revoked
            .iter()
            .map(|revoked| {
                let time = Timestamp::from_micros(revoked.revoked_micros).unwrap_or(now);
                (revoked.serial.clone(), time.into())
            })
            .collect();
        let validity = validity(now, REVOCATION_LIST_DAYS);
        Ok(self.ca.revocation_list(&revoked, revocations.number, validity)?)
    }

    /// Every certificate that was issued to members.
    pub fn issued(&self) -> Result<Vec<IssuedCertificate>, ProfileError> {
        let path = self.folder.join(ISSUED);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let parse = |line: &str| {
            serde_json::from_str(line).map_err(|error| ProfileError::Malformed {
                path: path.clone(),
                why: error.to_string(),
            })
        };
        files::read_text(&path)?.lines().map(parse).collect()
    }

    fn record(&self, certificate: IssuedCertificate) -> Result<(), ProfileError> {
        let mut issued = self.issued()?;
        issued.push(certificate);
        let lines: Vec<String> =
            issued.iter().filter_map(|issued| serde_json::to_string(issued).ok()).collect();
        files::write_private(&self.folder.join(ISSUED), (lines.join("\n") + "\n").as_bytes())
    }

    fn revocations(&self) -> Result<Revocations, ProfileError> {
        let path = self.folder.join(REVOKED);
        if !path.exists() {
            return Ok(Revocations::default());
        }
        serde_json::from_slice(&files::read(&path)?)
            .map_err(|error| ProfileError::Malformed { path, why: error.to_string() })
    }

    fn save(&self, revocations: &Revocations) -> Result<(), ProfileError> {
        let path = self.folder.join(REVOKED);
        let text = serde_json::to_string_pretty(revocations).map_err(|error| {
            ProfileError::Malformed { path: path.clone(), why: error.to_string() }
        })?;
        files::write_private(&path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::CertificateRequest;

    fn authority(folder: &Path) -> (Authority, Timestamp) {
        let now = Timestamp::from_micros(1_800_000_000_000_000).unwrap();
        let ca = CertificateAuthority::generate("spring", validity(now, AUTHORITY_DAYS)).unwrap();
        (Authority::create(folder, ca).unwrap(), now)
    }

    #[test]
    fn every_certificate_of_a_revoked_member_is_revoked_once() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, now) = authority(folder.path());
        let issue = |member: &str| {
            let request = CertificateRequest::generate(member).unwrap();
            authority
                .issue_member("spring.example", &member.parse().unwrap(), &request.request_pem, now)
                .unwrap()
        };
        issue("acme-video");
        issue("acme-video");
        issue("bravo-net");
        assert_eq!(authority.revoke(&"acme-video".parse().unwrap(), now).unwrap(), 2);
        assert_eq!(authority.revoke(&"acme-video".parse().unwrap(), now).unwrap(), 0);
        assert_eq!(authority.issued().unwrap().len(), 3);
    }

    #[test]
    fn no_two_revocation_lists_share_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, now) = authority(folder.path());
        let first = authority.next_revocation_list(now).unwrap();
        let second = authority.next_revocation_list(now).unwrap();
        assert_ne!(first, second);
        assert_eq!(authority.revocations().unwrap().number, 2);
        let end = crate::pki::next_update(&second).unwrap();
        assert_eq!(end, SystemTime::from(now) + DAY * REVOCATION_LIST_DAYS);
    }
}
