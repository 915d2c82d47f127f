//! `profile.toml`: where the hub is and who the member is.

use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::model::names::ExchangeName;
use crate::model::names::MemberId;
use crate::model::roster::Role;
use crate::model::witnesses::InvalidWitnesses;
use crate::model::witnesses::Witnesses;
use crate::profile::ProfileError;

/// Where the hub is and who the member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `host:port` of the hub.
    pub address: String,
    /// The name in the hub's certificate.
    pub server_name: String,
    /// The exchange.
    pub exchange: ExchangeName,
    /// The SPIFFE trust domain of its certificates.
    pub trust_domain: String,
    /// The member.
    pub member: MemberId,
    /// What it may do, as it was admitted; the roster's word counts.
    pub role: Role,
    /// For the operator: the hub's data directory, where revocation lists and certificates are installed.
    pub hub_data: Option<PathBuf>,
    /// Whose cosignatures make a checkpoint final for this member, if it asks for any.
    pub witnesses: Option<Witnesses>,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct RawSettings {
    address: String,
    server_name: String,
    exchange: String,
    trust_domain: String,
    member: String,
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hub_data: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    witnesses: Option<String>,
}

impl Settings {
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, ProfileError> {
        let malformed = |why: String| ProfileError::Malformed { path: path.to_owned(), why };
        let raw: RawSettings =
            toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        let RawSettings {
            address,
            server_name,
            exchange,
            trust_domain,
            member,
            role,
            hub_data,
            witnesses,
        } = raw;
        let exchange =
            ExchangeName::from_name(&exchange).map_err(|error| malformed(error.to_string()))?;
        let member = member
            .parse()
            .map_err(|error: crate::model::names::InvalidName| malformed(error.to_string()))?;
        let role = role_from_word(&role).ok_or_else(|| malformed(format!("{role} is no role")))?;
        let witnesses = witnesses.map(|text| text.parse()).transpose();
        let witnesses =
            witnesses.map_err(|error: InvalidWitnesses| malformed(format!("witnesses {error}")))?;
        Ok(Self { address, server_name, exchange, trust_domain, member, role, hub_data, witnesses })
    }

    pub(super) fn to_toml(&self) -> String {
        let raw = RawSettings {
            address: self.address.clone(),
            server_name: self.server_name.clone(),
            exchange: self.exchange.name(),
            trust_domain: self.trust_domain.clone(),
            member: self.member.to_string(),
            role: self.role.as_str().to_owned(),
            hub_data: self.hub_data.clone(),
            witnesses: self.witnesses.as_ref().map(ToString::to_string),
        };
        // Seven texts and a path: there is nothing in it that TOML cannot say.
        toml::to_string(&raw).unwrap_or_default()
    }
}

/// The role that people call by this word.
pub fn role_from_word(word: &str) -> Option<Role> {
    [Role::Company, Role::Observer, Role::Auditor, Role::Operator]
        .into_iter()
        .find(|role| role.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let error = Settings::parse(text, Path::new("profile.toml")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn settings_that_do_not_hold_are_named() {
        let settings = crate::profile::tests::settings();
        let text = settings.to_toml();
        assert_eq!(Settings::parse(&text, Path::new("profile.toml")).unwrap(), settings);
        check_refused(&text.replace("company", "king"), "king is no role");
        check_refused(&text.replace("acme-video", "Acme"), "member must be");
        check_refused(&format!("{text}colour = 1\n"), "unknown field");
        check_refused(&format!("{text}witnesses = \"2:birch-social\"\n"), "so many members");
        let asking = format!("{text}witnesses = \"1:birch-social,cedar-chat\"\n");
        let asking = Settings::parse(&asking, Path::new("profile.toml")).unwrap();
        assert_eq!(asking.witnesses, "1:birch-social,cedar-chat".parse().ok());
        assert_eq!(Settings::parse(&asking.to_toml(), Path::new("profile.toml")).unwrap(), asking);
        check_refused(&text.replace("exchanges/", ""), "exchange must be");
    }
}
