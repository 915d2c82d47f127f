//! A file of any of the known formats, told apart by what stands in it and not by its name.

use serde::Deserialize;

use crate::interop::framework::Framework;
use crate::interop::framework::build;
use crate::interop::framework::galaxy;
use crate::interop::framework::kill_chain;
use crate::interop::framework::stix;
use crate::model::limits;

/// Why a file is no framework that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}{what}")]
pub struct FrameworkError {
    /// Where, with a colon and a blank behind it; empty for the whole.
    place: String,
    /// What is wrong.
    what: String,
}

impl FrameworkError {
    pub(super) fn at(place: &str, what: impl Into<String>) -> Self {
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        Self { place, what: what.into() }
    }

    pub(super) fn whole(what: impl Into<String>) -> Self {
        Self::at("", what)
    }
}

/// What JSON files have at their top; what else they have is passed over.
#[derive(Deserialize)]
struct Top {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    objects: Option<stix::Objects>,
    #[serde(default)]
    values: Option<galaxy::Values>,
    #[serde(default)]
    version: Option<u64>,
}

impl Framework {
    /// Reads a file. `name` and `version` count before what the file and its name say, if they are not empty.
    pub fn parse(
        file_name: &str,
        text: &[u8],
        name: &str,
        version: &str,
    ) -> Result<Self, FrameworkError> {
        if text.len() > limits::FRAMEWORK_FILE_BYTES_MAX {
            let most = limits::FRAMEWORK_FILE_BYTES_MAX;
            return Err(FrameworkError::whole(format!("it is larger than {most} bytes")));
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let or = |given: &str, found: String| {
            if given.is_empty() { found } else { given.to_owned() }
        };
        if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            let found = kill_chain::techniques(text)?;
            let name = or(name, kill_chain::NAME.to_owned());
            return build::framework(&name, &or(version, build::version_in(file_name)), found);
        }
        let malformed = |error: serde_json::Error| FrameworkError::whole(error.to_string());
        let top: Top = serde_json::from_slice(text).map_err(malformed)?;
        match top {
            Top { objects: Some(objects), values: None, .. } => {
                let (own, found) = stix::techniques(objects)?;
                let version = or(version, build::version_in(file_name));
                build::framework(&or(name, own), &version, found)
            }
            Top { kind, objects: None, values: Some(values), version: own } => {
                let found = galaxy::techniques(values)?;
                let name = or(name, galaxy::name(&kind));
                let own = own.map_or_else(String::new, |own| format!("misp-galaxy-{own}"));
                build::framework(&name, &or(version, own), found)
            }
            Top { .. } => Err(FrameworkError::whole(
                "it is neither a STIX bundle (objects) nor a galaxy cluster (values)",
            )),
        }
    }
}
