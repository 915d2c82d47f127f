//! The hub's configuration: read once, parsed twice. First the file as it is written, unknown keys refused; then the
//! values as they may be, each checked, with the key named in the error.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::exchange::Retention;
use crate::interop::framework::FrameworkFile;
use crate::model::limits;
use crate::server::audit;
use crate::server::audit::AuditConfig;
use crate::server::traces::TracesConfig;
use crate::tls::ConnectionLimits;
use crate::tls::TlsFiles;

/// Where the hub listens unless it is told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:7443";
/// The name of the file in a data directory.
const FILE_NAME: &str = "watchfired.toml";
const DRAIN_SECONDS_DEFAULT: u64 = 10;
const OPEN_SECONDS_DEFAULT: u64 = 60;
/// Bytes of the audit log in one file.
const AUDIT_BYTES_DEFAULT: u64 = 64 * 1024 * 1024;
const AUDIT_BYTES_MIN: u64 = 64 * 1024;
/// The share of calls and commits that have a span.
const TRACES_RATIO_DEFAULT: f64 = 0.01;

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
    /// Where who did what is written, if it is.
    pub audit: Option<AuditConfig>,
    /// Where traces go, if they do.
    pub traces: Option<TracesConfig>,
    /// Where all of it was read.
    origin: Origin,
}

/// Where a configuration was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Origin {
    /// A file that must be there.
    file: Option<PathBuf>,
    /// A data directory, whose own file need not be there.
    data: Option<PathBuf>,
    /// Whether it was there: then it has to be.
    has_own_file: bool,
    /// Whether `listen` was said on the command line.
    listens_elsewhere: bool,
}

/// What a configuration that is read again says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Settings that change while the hub runs.
    pub(super) taken: Vec<&'static str>,
    /// Settings that need a restart.
    pub(super) waiting: Vec<&'static str>,
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
    audit: RawAudit,
    traces: RawTraces,
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAudit {
    enabled: Option<bool>,
    file: Option<PathBuf>,
    bytes: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawTraces {
    endpoint: Option<String>,
    ratio: Option<f64>,
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
        let config = Self::check(raw, folder)?;
        let origin = Origin { file: Some(path.to_owned()), ..Origin::default() };
        Ok(Self { origin, ..config })
    }

    /// The configuration of a data directory: its own file, or the defaults where there is none.
    pub fn of_data(data: &Path) -> Result<Self, ConfigError> {
        let (config, has_own_file) = match Self::read(&data.join(FILE_NAME)) {
            Err(ConfigError::File { cause, .. }) if cause.kind() == ErrorKind::NotFound => {
                (Self::check(RawConfig::default(), data)?, false)
            }
            read => (read?, true),
        };
        let origin = Origin { data: Some(data.to_owned()), has_own_file, ..Origin::default() };
        Ok(Self { origin, ..config })
    }

    /// Where the audit log lies; where it does by default if none is written.
    pub fn audit_file(&self) -> PathBuf {
        let written = self.audit.as_ref().map(|audit| audit.file.clone());
        written.unwrap_or_else(|| audit::default_file(&self.data))
    }

    /// Listens elsewhere than the file says.
    pub fn listen_at(&mut self, address: SocketAddr) {
        self.listen = address;
        self.origin.listens_elsewhere = true;
    }

    /// Reads the same place again.
    pub(super) fn again(&self) -> Result<Self, ConfigError> {
        let mut config = match (&self.origin.file, &self.origin.data) {
            (Some(file), _) => Self::read(file)?,
            (None, Some(data)) => self.of_data_again(data)?,
            (None, None) => self.clone(),
        };
        if self.origin.listens_elsewhere {
            config.listen_at(self.listen);
        }
        Ok(config)
    }

    /// Whoever lost the file did not mean every default.
    fn of_data_again(&self, data: &Path) -> Result<Self, ConfigError> {
        let config = Self::of_data(data)?;
        if self.origin.has_own_file && !config.origin.has_own_file {
            let cause = ErrorKind::NotFound.into();
            return Err(ConfigError::File { path: data.join(FILE_NAME), cause });
        }
        Ok(config)
    }

    /// What another configuration says otherwise.
    pub(super) fn difference(&self, other: &Self) -> Difference {
        let connections = |of: &Self| {
            let ConnectionLimits { total, per_address, per_member, .. } = of.connections;
            (total, per_address, per_member)
        };
        let taken = [
            ("log.filter", self.log_filter == other.log_filter),
            ("retention", self.retention == other.retention),
            ("warnings.lists", self.warning_lists == other.warning_lists),
            ("frameworks", self.frameworks == other.frameworks),
            ("connections", connections(self) == connections(other)),
        ];
        let waiting = [
            ("listen", self.listen == other.listen),
            ("data", self.data == other.data),
            ("workers", self.workers == other.workers),
            ("drain_seconds", self.drain_deadline == other.drain_deadline),
            ("tls", self.tls == other.tls),
            ("connections.handshakes", self.connections.handshakes == other.connections.handshakes),
            ("store.min_free_bytes", self.min_free_bytes == other.min_free_bytes),
            ("store.open_seconds", self.open_deadline == other.open_deadline),
            ("metrics", self.metrics == other.metrics),
            ("taxii", self.taxii == other.taxii),
            ("audit", self.audit == other.audit),
            ("traces", self.traces == other.traces),
            ("log.format", self.log_format == other.log_format),
        ];
        let changed = |settings: &[(&'static str, bool)]| {
            settings.iter().filter(|(_key, same)| !same).map(|(key, _same)| *key).collect()
        };
        Difference { taken: changed(&taken), waiting: changed(&waiting) }
    }

    /// Takes what can change while the hub runs.
    pub(super) fn take(&mut self, other: Self) {
        self.origin = other.origin;
        self.log_filter = other.log_filter;
        self.retention = other.retention;
        self.warning_lists = other.warning_lists;
        self.frameworks = other.frameworks;
        let handshakes = self.connections.handshakes;
        self.connections = ConnectionLimits { handshakes, ..other.connections };
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
            audit,
            traces,
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
            metrics: metrics
                .listen
                .as_deref()
                .map(|text| of_this_machine(text, "metrics.listen"))
                .transpose()?,
            audit: audited(audit, &data)?,
            traces: traced(&traces)?,
            origin: Origin::default(),
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

/// Figures and traces are sent in the clear, so that nobody elsewhere may be able to get them.
fn of_this_machine(text: &str, key: &'static str) -> Result<SocketAddr, ConfigError> {
    let address = address(text, key)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    let fault = "must be an address of loopback, like 127.0.0.1:9464: what goes there is sent in \
                 the clear";
    Err(value(key, fault))
}

fn audited(raw: RawAudit, data: &Path) -> Result<Option<AuditConfig>, ConfigError> {
    let RawAudit { enabled, file, bytes } = raw;
    let bytes = bytes.unwrap_or(AUDIT_BYTES_DEFAULT);
    if bytes < AUDIT_BYTES_MIN {
        return Err(value("audit.bytes", "must be 65536 or more"));
    }
    let file = file.map_or_else(|| audit::default_file(data), |file| data.join(file));
    let data = data.to_owned();
    Ok(enabled.unwrap_or(true).then_some(AuditConfig { file, bytes, data }))
}

fn traced(raw: &RawTraces) -> Result<Option<TracesConfig>, ConfigError> {
    const KEY: &str = "traces.endpoint";
    let ratio = raw.ratio.unwrap_or(TRACES_RATIO_DEFAULT);
    if !(0.0..=1.0).contains(&ratio) {
        return Err(value("traces.ratio", "must be 0 to 1"));
    }
    let Some(endpoint) = &raw.endpoint else { return Ok(None) };
    let address = endpoint.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let address = address.ok_or_else(|| value(KEY, "must be like http://127.0.0.1:4317"))?;
    Ok(Some(TracesConfig { endpoint: of_this_machine(address, KEY)?, ratio }))
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
    fn who_did_what_is_written_unless_that_is_switched_off() {
        let file = |text: &str| check(text).unwrap().audit.map(|audit| audit.file);
        assert_eq!(file(""), Some(PathBuf::from("/data/audit.jsonl")));
        assert_eq!(file("[audit]\nfile = 'a/b'"), Some(PathBuf::from("/data/a/b")));
        assert_eq!(file("[audit]\nfile = '/var/log/b'"), Some(PathBuf::from("/var/log/b")));
        assert_eq!(file("[audit]\nenabled = false"), None);
        let looked_at = |text: &str| check(text).unwrap().audit_file();
        let default = PathBuf::from("/data/audit.jsonl");
        assert_eq!(looked_at(""), default);
        assert_eq!(looked_at("[audit]\nfile = '/var/log/b'"), PathBuf::from("/var/log/b"));
        assert_eq!(looked_at("[audit]\nenabled = false\nfile = 'a/b'"), default);
        assert!(check("[audit]\nbytes = 1").unwrap_err().starts_with("audit.bytes must"));
    }

    #[test]
    fn traces_go_to_this_machine_only_and_only_when_asked() {
        assert_eq!(check("[traces]\nratio = 1.0").unwrap().traces, None);
        let ours = check("[traces]\nendpoint = 'http://127.0.0.1:4317'").unwrap().traces.unwrap();
        assert_eq!(ours.endpoint, "127.0.0.1:4317".parse().unwrap());
        for elsewhere in ["http://192.0.2.1:4317", "https://127.0.0.1:4317", "collector:4317"] {
            let error = check(&format!("[traces]\nendpoint = '{elsewhere}'")).unwrap_err();
            assert!(error.starts_with("traces.endpoint must be"), "{elsewhere}: {error}");
        }
        for ratio in ["-0.1", "1.1", "nan"] {
            let error = check(&format!("[traces]\nratio = {ratio}")).unwrap_err();
            assert!(error.starts_with("traces.ratio must"), "{error}");
        }
    }

    #[test]
    fn what_needs_a_restart_is_told_apart_and_not_taken() {
        let mut running = check("").unwrap();
        let other = "workers = 7\n[log]\nfilter = 'warn'\n[retention]\ndays = 3\n\
                     [connections]\ntotal = 9\nhandshakes = 8";
        let other = check(other).unwrap();
        let found = running.difference(&other);
        assert_eq!(found.taken, ["log.filter", "retention", "connections"]);
        let workers = running.workers;
        assert_eq!(found.waiting, ["workers", "connections.handshakes"]);
        running.take(other.clone());
        assert_eq!((running.workers, running.connections.total), (workers, 9));
        assert_eq!(running.connections.handshakes, 1024);
        let left = running.difference(&other);
        assert!(left.taken.is_empty(), "{left:?}");
        assert_eq!(left.waiting, found.waiting, "it is told again");
    }

    #[test]
    fn a_file_that_went_away_is_no_wish_for_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE_NAME);
        let mut running = Config::of_data(folder.path()).unwrap();
        // It never was there, and is not asked for.
        running.take(running.again().unwrap());
        std::fs::write(&file, "[retention]\ndays = 3").unwrap();
        running.take(running.again().unwrap());
        assert_eq!(running.retention.age, Some(Duration::from_hours(72)));
        std::fs::remove_file(&file).unwrap();
        let gone = running.again();
        assert!(matches!(&gone, Err(ConfigError::File { path, .. }) if *path == file), "{gone:?}");
        std::fs::write(&file, "").unwrap();
        assert_eq!(running.again().unwrap().retention.age, None);
        // What cannot be read is not as if it were not there.
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(matches!(Config::of_data(folder.path()), Err(ConfigError::File { .. })));
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
