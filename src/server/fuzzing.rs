//! What `tests/fuzz` reaches of this module and nothing else does: its parsers of foreign bytes, which stay private.

use std::path::Path;

use crate::server::Config;
use crate::server::ConfigError;

/// The configuration that a text is.
pub fn config(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/data/watchfired.toml"))
}
