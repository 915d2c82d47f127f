//! The hub's configuration: read once, parsed twice. First the file as it is written, unknown keys refused; then the
//! values as they may be, each checked, with the key named in the error.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::exchange::Retention;
use crate::interop::framework::FrameworkFile;
use crate::model::limits;
use crate::tls::ConnectionLimits;
use crate::tls::TlsFiles;

/// Where the hub listens unless it is told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:7443";
/// The name of the file in a data directory.
const FILE_NAME: &str = "watchfired.toml";
const DRAIN_SECONDS_DEFAULT: u64 = 10;
const OPEN_SECONDS_DEFAULT: u64 = 60;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist.
    #[error("{path} is not a configuration of the hub")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A value may not be.
    #[error("{key} {fault}")]
    Value {
        /// Its key.
        key: &'static str,
        /// What is wrong.
        fault: String,
    },
}

/// Everything that the operator may set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The data directory: keys, certificates, the founding record, and the store in `store`.
    pub data: PathBuf,
    /// Certificates and lists.
    pub tls: TlsFiles,
    /// How many connections are taken.
    pub connections: ConnectionLimits,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged, in the notation of `tracing`.
    pub log_filter: String,
    /// How long a shutdown waits for streams to end by themselves.
    pub drain_deadline: Duration,
    /// How long opening the store may take before the process gives up.
    pub open_deadline: Duration,
    /// Bytes that must stay free on the data volume, or publishing stops.
    pub min_free_bytes: u64,
    /// Threads that check signatures and read the disk.
    pub workers: usize,
    /// How long, and how much, bodies are kept.
    pub retention: Retention,
    /// Where the operator's figures are served, if they are; of this machine only.
    pub metrics: Option<SocketAddr>,
    /// Where TAXII is served to members, if it is.
    pub taxii: Option<SocketAddr>,
    /// Lists of common benign values: files or folders in the MISP warning-list format.
    pub warning_lists: Vec<PathBuf>,
    /// Frameworks of techniques.
    pub frameworks: Vec<FrameworkFile>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs, one object a line.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    listen: Option<String>,
    data: Option<PathBuf>,
    workers: Option<usize>,
    drain_seconds: Option<u64>,
    tls: RawTls,
    connections: RawConnections,
    store: RawStore,
    retention: RawRetention,
    warnings: RawWarnings,
    frameworks: Vec<RawFramework>,
    metrics: RawMetrics,
    taxii: RawTaxii,
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTaxii {
    listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawMetrics {
    listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRetention {
    days: Option<u64>,
    bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawWarnings {
    lists: Option<Vec<PathBuf>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFramework {
    file: PathBuf,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    client_ca: Option<Vec<PathBuf>>,
    revocation_lists: Option<Vec<PathBuf>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConnections {
    total: Option<usize>,
    per_address: Option<usize>,
    per_member: Option<usize>,
    handshakes: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawStore {
    min_free_bytes: Option<u64>,
    open_seconds: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawLog {
    format: LogFormat,
    filter: Option<String>,
}

impl Config {
    /// Reads a file; relative paths in it begin at its folder.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| ConfigError::File { path: path.to_owned(), cause })?;
        Self::parse(&text, path)
    }

    /// The configuration that a text of this file is.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let syntax = |cause| ConfigError::Syntax { path: path.to_owned(), cause: Box::new(cause) };
        let raw: RawConfig = toml::from_str(text).map_err(syntax)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::check(raw, folder)
    }

    /// The configuration of a data directory: its own file, or the defaults.
    pub fn of_data(data: &Path) -> Result<Self, ConfigError> {
        let file = data.join(FILE_NAME);
        if file.exists() { Self::read(&file) } else { Self::check(RawConfig::default(), data) }
    }

    fn check(raw: RawConfig, folder: &Path) -> Result<Self, ConfigError> {
        let RawConfig {
            listen,
            data,
            workers,
            drain_seconds,
            tls,
            connections,
            store,
            retention,
            warnings,
            frameworks,
            metrics,
            taxii,
            log,
        } = raw;
        // Through its components, so that `.` disappears.
        let data: PathBuf =
            data.map_or_else(|| folder.to_owned(), |data| folder.join(data)).components().collect();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let filter = log.filter.unwrap_or_else(|| "info".to_owned());
        let _parsed: tracing_subscriber::EnvFilter = filter
            .parse()
            .map_err(|error| value("log.filter", &format!("is no filter: {error}")))?;
        Ok(Self {
            listen: address(listen.as_deref().unwrap_or(LISTEN_DEFAULT), "listen")?,
            tls: tls_files(tls, &data),
            connections: connection_limits(&connections)?,
            log_format: log.format,
            log_filter: filter,
            drain_deadline: seconds(drain_seconds, DRAIN_SECONDS_DEFAULT, "drain_seconds")?,
            open_deadline: seconds(store.open_seconds, OPEN_SECONDS_DEFAULT, "store.open_seconds")?,
            min_free_bytes: store.min_free_bytes.unwrap_or(limits::MIN_FREE_BYTES),
            workers: within(workers, cores, 1..=256, "workers")?,
            retention: kept(&retention)?,
            metrics: metrics.listen.as_deref().map(of_this_machine).transpose()?,
            taxii: taxii.listen.as_deref().map(|text| address(text, "taxii.listen")).transpose()?,
            warning_lists: warnings
                .lists
                .unwrap_or_default()
                .into_iter()
                .map(|path| folder.join(path))
                .collect(),
            frameworks: frameworks
                .into_iter()
                .map(|RawFramework { file, name, version }| FrameworkFile {
                    path: folder.join(file),
                    name,
                    version,
                })
                .collect(),
            data,
        })
    }
}

/// Parses an address to listen on.
pub fn address(text: &str, key: &'static str) -> Result<SocketAddr, ConfigError> {
    text.parse()
        .map_err(|_not_an_address| value(key, "must be an address and a port, like 127.0.0.1:7443"))
}

/// Figures are sent in the clear to whoever asks, so that nobody elsewhere may be able to ask.
fn of_this_machine(text: &str) -> Result<SocketAddr, ConfigError> {
    const KEY: &str = "metrics.listen";
    let address = address(text, KEY)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    let fault = "must be an address of loopback, like 127.0.0.1:9464: figures are sent in the clear \
                 to whoever asks";
    Err(value(KEY, fault))
}

fn tls_files(raw: RawTls, data: &Path) -> TlsFiles {
    let RawTls { certificate, key, client_ca, revocation_lists } = raw;
    let folder = data.join("tls");
    let one = |path: Option<PathBuf>, name: &str| {
        path.map_or_else(|| folder.join(name), |path| data.join(path))
    };
    let many = |paths: Option<Vec<PathBuf>>, name: &str| match paths {
        Some(paths) => paths.into_iter().map(|path| data.join(path)).collect(),
        None => vec![folder.join(name)],
    };
    TlsFiles {
        certificate: one(certificate, "server.pem"),
        key: one(key, "server.key"),
        client_ca: many(client_ca, "ca.pem"),
        revocation_lists: many(revocation_lists, "crl.pem"),
    }
}

fn connection_limits(raw: &RawConnections) -> Result<ConnectionLimits, ConfigError> {
    let RawConnections { total, per_address, per_member, handshakes } = *raw;
    let defaults = ConnectionLimits::default();
    let range = 1..=100_000;
    Ok(ConnectionLimits {
        total: within(total, defaults.total, range.clone(), "connections.total")?,
        per_address: within(
            per_address,
            defaults.per_address,
            range.clone(),
            "connections.per_address",
        )?,
        per_member: within(
            per_member,
            defaults.per_member,
            range.clone(),
            "connections.per_member",
        )?,
        handshakes: within(handshakes, defaults.handshakes, range, "connections.handshakes")?,
    })
}

fn kept(raw: &RawRetention) -> Result<Retention, ConfigError> {
    let RawRetention { days, bytes } = *raw;
    if days.is_some_and(|days| !(1..=36_500).contains(&days)) {
        return Err(value("retention.days", "must be 1 to 36500"));
    }
    if bytes.is_some_and(|bytes| bytes < limits::RETENTION_BYTES_MIN) {
        return Err(value("retention.bytes", "must be 65536 or more"));
    }
    Ok(Retention { age: days.map(|days| Duration::from_hours(days * 24)), bytes })
}

fn seconds(given: Option<u64>, default: u64, key: &'static str) -> Result<Duration, ConfigError> {
    let seconds = given.unwrap_or(default);
    if (1..=3600).contains(&seconds) {
        Ok(Duration::from_secs(seconds))
    } else {
        Err(value(key, "must be 1 to 3600"))
    }
}

fn within(
    given: Option<usize>,
    default: usize,
    range: std::ops::RangeInclusive<usize>,
    key: &'static str,
) -> Result<usize, ConfigError> {
    let number = given.unwrap_or(default);
    if range.contains(&number) {
        Ok(number)
    } else {
        Err(value(key, &format!("must be {} to {}", range.start(), range.end())))
    }
}

fn value(key: &'static str, fault: &str) -> ConfigError {
    ConfigError::Value { key, fault: fault.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What people copy; every key is in it.
    const SAMPLE: &str = include_str!("../../docs/watchfired.sample.toml");

    fn check(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        Config::check(raw, Path::new("/data")).map_err(|error| error.to_string())
    }

    #[test]
    fn the_sample_says_the_defaults() {
        let sample = check(SAMPLE).unwrap();
        let uncommented: String = SAMPLE
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        let explicit = check(&uncommented).unwrap();
        let mut default = check("").unwrap();
        default.workers = explicit.workers;
        assert_eq!(format!("{explicit:?}"), format!("{default:?}"));
        assert_eq!(sample.listen, default.listen);
    }

    #[track_caller]
    fn check_metrics(listen: &str, expected: Option<&str>) {
        let checked = check(&format!("[metrics]\nlisten = '{listen}'"));
        match expected {
            Some(fault) => {
                let error = checked.unwrap_err();
                assert!(error.starts_with(&format!("metrics.listen {fault}")), "{error}");
            }
            None => assert_eq!(checked.unwrap().metrics, Some(listen.parse().unwrap())),
        }
    }

    #[test]
    fn figures_are_served_on_this_machine_only_and_only_when_asked() {
        assert_eq!(check("").unwrap().metrics, None);
        assert_eq!(check("[metrics]").unwrap().metrics, None);
        for ours in ["127.0.0.1:9464", "127.9.0.1:0", "[::1]:9464", "[::ffff:127.0.0.1]:1"] {
            check_metrics(ours, None);
        }
        let elsewhere = [
            "0.0.0.0:9464",
            "[::]:9464",
            "192.0.2.10:9464",
            "10.0.0.1:9464",
            "169.254.0.1:9464",
            "[::ffff:192.0.2.10]:9464",
            "[2001:db8::1]:9464",
            "[fe80::1]:9464",
        ];
        for address in elsewhere {
            check_metrics(address, Some("must be an address of loopback"));
        }
        // A name could come to mean another address.
        for no_address in ["localhost:9464", "127.0.0.1", ":9464", "", "127.0.0.1:70000"] {
            check_metrics(no_address, Some("must be an address and a port"));
        }
        assert!(check("[metrics]\nlissten = '127.0.0.1:1'").unwrap_err().contains("lissten"));
    }

    #[test]
    fn taxii_is_served_only_when_asked() {
        assert_eq!(check("").unwrap().taxii, None);
        assert_eq!(check("[taxii]").unwrap().taxii, None);
        let listen = check("[taxii]\nlisten = '0.0.0.0:7444'").unwrap().taxii;
        assert_eq!(listen, Some("0.0.0.0:7444".parse().unwrap()));
        assert!(check("[taxii]\nlisten = 'here'").unwrap_err().starts_with("taxii.listen must"));
        assert!(check("[taxii]\nport = 7444").unwrap_err().contains("port"));
    }

    #[test]
    fn paths_begin_where_the_sample_says() {
        let text = "data = 'hub'\n[tls]\nkey = 'own.key'\n[warnings]\nlists = ['lists', '/a']\n\
                    [[frameworks]]\nfile = 'disarm.json'\nversion = '1.6'";
        let config = check(text).unwrap();
        let disarm = config.frameworks.first().unwrap();
        assert_eq!(
            (disarm.path.as_path(), disarm.name.as_str()),
            (Path::new("/data/disarm.json"), "")
        );
        assert_eq!(disarm.version, "1.6");
        assert!(check("[[frameworks]]\nname = 'disarm'").unwrap_err().contains("file"));
        assert_eq!(config.data, Path::new("/data/hub"));
        assert_eq!(config.tls.key, Path::new("/data/hub/own.key"));
        assert_eq!(config.warning_lists, [Path::new("/data/lists"), Path::new("/a")]);
    }

    #[test]
    fn a_fault_names_its_key() {
        assert!(check("drain_seconds = 0").unwrap_err().starts_with("drain_seconds must"));
        assert!(check("listen = 'here'").unwrap_err().starts_with("listen must"));
        assert!(
            check("[connections]\nper_member = 0")
                .unwrap_err()
                .starts_with("connections.per_member")
        );
        assert!(check("[log]\nfilter = 'a=b=c'").unwrap_err().starts_with("log.filter"));
        assert!(check("lisen = '127.0.0.1:1'").unwrap_err().contains("lisen"));
    }
}
