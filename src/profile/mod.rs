//! A member's folder: where its hub is, whom it trusts, its keys, and what it has not yet heard back about.
//!
//! Private files are mode 0600 and are refused when anyone else may read them; every write is whole or absent.

mod authority;
mod confirmed;
mod cursors;
mod enrolment;
mod epochs;
mod files;
mod journal;
mod outbox;
mod overlay;
mod sent;
mod settings;

use std::path::Path;
use std::path::PathBuf;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::model::names::Digest;
use crate::model::roster::Role;
use crate::model::time::Timestamp;
use crate::signing::SecretKey;
use crate::tls::ClientTls;

pub use self::authority::AUTHORITY_DAYS;
pub use self::authority::Authority;
pub use self::authority::CERTIFICATE_DAYS;
pub use self::authority::IssuedCertificate;
pub use self::authority::REVOCATION_LIST_DAYS;
pub use self::authority::RevokedCertificate;
pub use self::authority::validity;
pub use self::confirmed::ConfirmedKeys;
pub use self::cursors::Offered;
pub use self::cursors::SavedCursor;
pub use self::enrolment::Enrolment;
pub use self::epochs::AcceptedEpoch;
pub use self::files::FileVersion;
pub use self::files::ProfileError;
pub use self::files::create_folder;
pub use self::files::read;
pub use self::files::read_private;
pub use self::files::write_private;
pub use self::files::write_public;
pub use self::journal::Journal;
pub use self::journal::JournalEntry;
pub use self::journal::OwnHead;
pub use self::outbox::Outbox;
pub use self::outbox::Waiting;
pub use self::overlay::CONFIDENCE_MAX;
pub use self::overlay::OVERLAYS_MAX;
pub use self::overlay::Overlay;
pub use self::overlay::Overlays;
pub use self::sent::SENT_AGE_MAX;
pub use self::sent::SENT_BYTES_MAX;
pub use self::sent::SENT_FILES_MAX;
pub use self::sent::Sent;
pub use self::sent::SentFolder;
pub use self::sent::Span;
pub use self::settings::Settings;
pub use self::settings::role_from_word;

const SETTINGS: &str = "profile.toml";
const CA: &str = "ca.pem";
const CERTIFICATE: &str = "tls.pem";
const TLS_KEY: &str = "tls.key";
const NEXT_TLS_KEY: &str = "tls.key.next";
const SIGNING_KEY: &str = "signing.key";
const NEXT_SIGNING_KEY: &str = "signing.key.next";
const RECOVERY_KEY: &str = "recovery.key";
const GENESIS: &str = "genesis.envelope";
/// Files of evidence of one moment; further ones take each other's place.
const EVIDENCE_MAX: usize = 100;
const KNOWN_KEYS: &str = "known_keys.json";
const IMPORTED: &str = "imported.json";
const CHECKPOINT: &str = "checkpoint";
const LAST_MARK: &str = "mark";
const EVIDENCE: &str = "evidence";
const REPORTS: &str = "reports";
const HEADS: &str = "heads.json";
const NAMESPACE: &str = "namespace";
const CURSORS: &str = "cursors";
const OUTBOX: &str = "outbox";
const SENT: &str = "sent";

/// An opened profile.
#[derive(Clone, Debug)]
pub struct Profile {
    folder: PathBuf,
    settings: Settings,
}

/// What becomes a profile.
pub struct NewProfile<'a> {
    /// Where the hub is and who the member is.
    pub settings: &'a Settings,
    /// The hub's authority, PEM.
    pub ca_pem: &'a str,
    /// The member's certificate, PEM.
    pub certificate_pem: &'a str,
    /// Its private key, PEM.
    pub tls_key_pem: &'a str,
    /// Signs records.
    pub signing_key: &'a SecretKey,
    /// Signs key changes when the signing key is lost.
    pub recovery_key: &'a SecretKey,
    /// The exchange's founding envelope, encoded.
    pub genesis: &'a [u8],
}

/// Which of a member's own keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnKey {
    /// Signs records.
    Signing,
    /// Will sign records once it is registered.
    NextSigning,
    /// Signs key changes when the signing key is lost.
    Recovery,
}

impl OwnKey {
    const fn file(self) -> &'static str {
        match self {
            Self::Signing => SIGNING_KEY,
            Self::NextSigning => NEXT_SIGNING_KEY,
            Self::Recovery => RECOVERY_KEY,
        }
    }
}

impl Profile {
    /// Opens a folder; refuses one whose private files others may read.
    pub fn open(folder: &Path) -> Result<Self, ProfileError> {
        let path = folder.join(SETTINGS);
        if !path.exists() && Enrolment::is_pending(folder) {
            return Err(ProfileError::NotAccepted { folder: folder.to_owned() });
        }
        let settings = Settings::parse(&files::read_text(&path)?, &path)?;
        for name in [TLS_KEY, SIGNING_KEY, RECOVERY_KEY, NAMESPACE] {
            let path = folder.join(name);
            // A key may be kept elsewhere, or be lost; it is missed when it is needed.
            if path.exists() {
                files::demand_private(&path)?;
            }
        }
        Ok(Self { folder: folder.to_owned(), settings })
    }

    /// Makes a new one in a folder that is empty or absent.
    pub fn create(folder: &Path, new: &NewProfile<'_>) -> Result<Self, ProfileError> {
        files::demand_empty(folder)?;
        create_folder(folder)?;
        write_namespace(folder)?;
        let profile = Self { folder: folder.to_owned(), settings: new.settings.clone() };
        profile.save_key(OwnKey::Recovery, new.recovery_key)?;
        profile.save_key(OwnKey::Signing, new.signing_key)?;
        write_private(&folder.join(TLS_KEY), new.tls_key_pem.as_bytes())?;
        profile.complete(new.ca_pem, new.certificate_pem, new.genesis)?;
        Ok(profile)
    }

    /// Adds what a grant brings to a folder that has its keys already.
    fn complete(&self, ca: &str, certificate: &str, genesis: &[u8]) -> Result<(), ProfileError> {
        create_folder(&self.folder.join(CURSORS))?;
        create_folder(&self.folder.join(OUTBOX))?;
        write_public(&self.folder.join(CA), ca.as_bytes())?;
        write_public(&self.folder.join(CERTIFICATE), certificate.as_bytes())?;
        write_public(&self.folder.join(GENESIS), genesis)?;
        // Last: a folder with settings is a whole profile.
        write_public(&self.folder.join(SETTINGS), self.settings.to_toml().as_bytes())
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the hub is and who the member is.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same profile, speaking to another address.
    #[must_use]
    pub fn at_address(mut self, address: Option<String>) -> Self {
        if let Some(address) = address {
            self.settings.address = address;
        }
        self
    }

    /// What a connection needs.
    pub fn tls(&self) -> Result<ClientTls, ProfileError> {
        Ok(ClientTls {
            ca_pem: self.ca_pem()?,
            certificate_pem: self.certificate_pem()?,
            key_pem: read_private(&self.folder.join(TLS_KEY))?.as_str().to_owned(),
            server_name: self.settings.server_name.clone(),
        })
    }

    /// The hub's authority, PEM.
    pub fn ca_pem(&self) -> Result<String, ProfileError> {
        files::read_text(&self.folder.join(CA))
    }

    /// The member's certificate, PEM.
    pub fn certificate_pem(&self) -> Result<String, ProfileError> {
        files::read_text(&self.folder.join(CERTIFICATE))
    }

    /// Keeps the TLS key of a renewal until its certificate comes.
    pub fn save_next_tls_key(&self, key_pem: &str) -> Result<(), ProfileError> {
        write_private(&self.folder.join(NEXT_TLS_KEY), key_pem.as_bytes())
    }

    /// Puts a renewed certificate in the old one's place, with the key that was kept for it. A crash between the
    /// two leaves a pair that does not fit, and the same grant accepted again mends it.
    pub fn replace_certificate(&self, certificate_pem: &str) -> Result<(), ProfileError> {
        let next = self.folder.join(NEXT_TLS_KEY);
        if next.exists() {
            files::rename(&next, &self.folder.join(TLS_KEY))?;
        }
        write_public(&self.folder.join(CERTIFICATE), certificate_pem.as_bytes())
    }

    /// Where the operator keeps the last revocation list.
    pub fn revocation_list_path(&self) -> PathBuf {
        self.folder.join("crl.pem")
    }

    /// One of the member's own keys.
    pub fn key(&self, which: OwnKey) -> Result<SecretKey, ProfileError> {
        read_key(&self.folder.join(which.file()))
    }

    /// Whether that key is there.
    pub fn has_key(&self, which: OwnKey) -> bool {
        self.folder.join(which.file()).exists()
    }

    /// Writes one of the member's own keys.
    pub fn save_key(&self, which: OwnKey, key: &SecretKey) -> Result<(), ProfileError> {
        write_key(&self.folder.join(which.file()), key)
    }

    /// Lets the next signing key take the place of the one before, which is gone then.
    pub fn promote_next_key(&self) -> Result<(), ProfileError> {
        files::rename(&self.folder.join(NEXT_SIGNING_KEY), &self.folder.join(SIGNING_KEY))
    }

    /// The founding envelope that was pinned when the profile was made.
    pub fn genesis(&self) -> Result<Vec<u8>, ProfileError> {
        read(&self.folder.join(GENESIS))
    }

    /// The secret namespace of the ids of imported records.
    pub fn namespace(&self) -> Result<Uuid, ProfileError> {
        let path = self.folder.join(NAMESPACE);
        let text = read_private(&path)?;
        text.trim().parse().map_err(|_not_a_uuid| ProfileError::Malformed {
            path,
            why: "it must hold one UUID".to_owned(),
        })
    }

    /// What is known of other members' keys; `None` if nothing yet.
    pub fn known_keys(&self) -> Result<Option<String>, ProfileError> {
        let path = self.folder.join(KNOWN_KEYS);
        if path.exists() { files::read_text(&path).map(Some) } else { Ok(None) }
    }

    /// Saves what is known of other members' keys.
    pub fn save_known_keys(&self, json: &str) -> Result<(), ProfileError> {
        write_public(&self.folder.join(KNOWN_KEYS), json.as_bytes())
    }

    /// The versions of objects of others that were imported; `None` if none yet.
    pub fn imported(&self) -> Result<Option<String>, ProfileError> {
        let path = self.folder.join(IMPORTED);
        if path.exists() { files::read_text(&path).map(Some) } else { Ok(None) }
    }

    /// Saves the versions of objects of others that were imported.
    pub fn save_imported(&self, json: &str) -> Result<(), ProfileError> {
        write_private(&self.folder.join(IMPORTED), json.as_bytes())
    }

    /// The newest checkpoint of the log that was seen, a signed note; `None` if none was yet.
    pub fn checkpoint(&self) -> Result<Option<String>, ProfileError> {
        let path = self.folder.join(CHECKPOINT);
        if path.exists() { files::read_text(&path).map(Some) } else { Ok(None) }
    }

    /// Saves the newest checkpoint of the log that was seen.
    pub fn save_checkpoint(&self, note: &str) -> Result<(), ProfileError> {
        write_public(&self.folder.join(CHECKPOINT), note.as_bytes())
    }

    /// The newest statement that the hub signed with a mark, as it was saved; `None` if none was yet.
    pub fn last_mark(&self) -> Result<Option<String>, ProfileError> {
        let path = self.folder.join(LAST_MARK);
        if path.exists() { files::read_text(&path).map(Some) } else { Ok(None) }
    }

    /// Saves the newest statement that the hub signed with a mark.
    pub fn save_last_mark(&self, text: &str) -> Result<(), ProfileError> {
        write_public(&self.folder.join(LAST_MARK), text.as_bytes())
    }

    /// Keeps a file of evidence that was found at a time; where. What was kept before stays.
    pub fn save_evidence(&self, time: &str, text: &str) -> Result<PathBuf, ProfileError> {
        let folder = self.folder.join(EVIDENCE);
        create_folder(&folder)?;
        let name = time.replace(':', "-");
        let free = |path: &PathBuf| !path.exists();
        let names = (1..).map(|number| folder.join(format!("{name}.{number}.json")));
        let path = names.take(EVIDENCE_MAX).find(free).unwrap_or_else(|| folder.join("last.json"));
        write_public(&path, text.as_bytes())?;
        Ok(path)
    }

    /// Keeps what was handed in as evidence under its digest, and the hub's receipt for it under the time that it signed;
    /// where. What was kept before stays: an earlier receipt says more than a later one.
    pub fn save_report(
        &self,
        digest: &Digest,
        evidence: &[u8],
        (time, receipt): (Timestamp, &str),
    ) -> Result<[PathBuf; 2], ProfileError> {
        let folder = self.folder.join(REPORTS);
        create_folder(&folder)?;
        let (name, time) = (hex::encode(digest), time.to_string().replace(':', "-"));
        let paths = [
            folder.join(format!("{name}.json")),
            folder.join(format!("{name}.{time}.receipt.json")),
        ];
        let [sent, kept] = &paths;
        write_public(sent, evidence)?;
        write_public(kept, receipt.as_bytes())?;
        Ok(paths)
    }

    /// What this member has receipts for.
    pub fn journal(&self) -> Journal {
        Journal::at(journal::path(&self.folder))
    }

    /// What was seen of publishers' heads, as JSON; `None` if nothing was.
    pub fn heads(&self) -> Result<Option<String>, ProfileError> {
        let path = self.folder.join(HEADS);
        if path.exists() { files::read_text(&path).map(Some) } else { Ok(None) }
    }

    /// Writes what was seen of publishers' heads.
    pub fn save_heads(&self, json: &str) -> Result<(), ProfileError> {
        write_private(&self.folder.join(HEADS), json.as_bytes())
    }

    /// Envelopes that were signed and not yet answered.
    pub fn outbox(&self) -> Result<Outbox, ProfileError> {
        Outbox::at(&self.folder.join(OUTBOX))
    }

    /// Envelopes that were taken in, kept for a while.
    pub fn sent(&self) -> Result<SentFolder, ProfileError> {
        SentFolder::at(&self.folder.join(SENT), &self.folder.join(OUTBOX))
    }

    /// The member's own view of others' records.
    pub fn overlays(&self) -> Result<Overlays, ProfileError> {
        Overlays::load(overlay::path(&self.folder))
    }

    /// The resets of members' keys that the user confirmed.
    pub fn confirmed_keys(&self) -> Result<ConfirmedKeys, ProfileError> {
        ConfirmedKeys::load(confirmed::path(&self.folder))
    }

    /// What tells one version of the file of confirmed resets from the next; `None` if there is no file.
    pub fn confirmed_keys_version(&self) -> Option<FileVersion> {
        files::version(&confirmed::path(&self.folder))
    }

    /// Where a named cursor is kept.
    pub fn cursor_path(&self, name: &str) -> PathBuf {
        self.folder.join(CURSORS).join(format!("{name}.json"))
    }

    /// The authority's side, which only the operator's profile has.
    pub fn authority(&self) -> Result<Authority, ProfileError> {
        if self.settings.role != Role::Operator {
            return Err(ProfileError::NotOperator);
        }
        Authority::open(&self.folder)
    }
}

fn write_namespace(folder: &Path) -> Result<(), ProfileError> {
    write_private(&folder.join(NAMESPACE), format!("{}\n", Uuid::new_v4()).as_bytes())
}

fn read_key(path: &Path) -> Result<SecretKey, ProfileError> {
    SecretKey::from_pem(&read_private(path)?)
        .map_err(|error| ProfileError::Malformed { path: path.to_owned(), why: error.to_string() })
}

fn write_key(path: &Path, key: &SecretKey) -> Result<(), ProfileError> {
    let pem: Zeroizing<String> = key.to_pem().map_err(|error| ProfileError::Malformed {
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    write_private(path, pem.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            address: "127.0.0.1:7443".to_owned(),
            server_name: "localhost".to_owned(),
            exchange: crate::model::names::ExchangeName::from_name(
                "exchanges/spring-0123456789abcdef",
            )
            .unwrap(),
            trust_domain: "spring.watchfire.internal".to_owned(),
            member: "acme-video".parse().unwrap(),
            role: Role::Company,
            hub_data: None,
            witnesses: None,
        }
    }

    fn create(folder: &Path) -> Profile {
        let key = SecretKey::generate().unwrap();
        let new = NewProfile {
            settings: &settings(),
            ca_pem: "ca",
            certificate_pem: "certificate",
            tls_key_pem: "key",
            signing_key: &key,
            recovery_key: &SecretKey::generate().unwrap(),
            genesis: b"genesis",
        };
        Profile::create(folder, &new).unwrap()
    }

    #[test]
    fn a_profile_survives_its_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("acme");
        let made = create(&folder);
        let opened = Profile::open(&folder).unwrap();
        assert_eq!(opened.settings(), &settings());
        let key = |profile: &Profile| profile.key(OwnKey::Signing).unwrap().id();
        assert_eq!(key(&opened), key(&made));
        assert_eq!(opened.genesis().unwrap(), b"genesis");
        assert_eq!(opened.namespace().unwrap(), made.namespace().unwrap());
    }

    #[test]
    fn a_private_file_that_others_may_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("acme");
        create(&folder);
        for name in [TLS_KEY, SIGNING_KEY, RECOVERY_KEY, NAMESPACE] {
            let path = folder.join(name);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            let error = Profile::open(&folder).unwrap_err();
            assert!(matches!(error, ProfileError::TooOpen { .. }), "{name}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Profile::open(&folder).unwrap();
    }

    #[test]
    fn a_folder_with_content_is_not_written_over() {
        let place = tempfile::tempdir().unwrap();
        create(&place.path().join("acme"));
        let error = files::demand_empty(&place.path().join("acme")).unwrap_err();
        assert!(matches!(error, ProfileError::Occupied { .. }));
    }

    #[test]
    fn a_company_has_no_authority() {
        let place = tempfile::tempdir().unwrap();
        let profile = create(&place.path().join("acme"));
        assert!(matches!(profile.authority(), Err(ProfileError::NotOperator)));
    }
}
