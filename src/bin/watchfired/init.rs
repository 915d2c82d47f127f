//! `watchfired init`: a new exchange. The operator's keys and the authority's key lie in the operator's profile
//! only; `serve` never reads them.

use std::fs;
use std::io;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context as _;
use prost::Message as _;
use rustix::fs::FlockOperation;
use watchfire::client::Founding;
use watchfire::client::found;
use watchfire::model::fingerprint::Fingerprint;
use watchfire::model::names::ExchangeName;
use watchfire::model::names::MemberId;
use watchfire::model::roster::Role;
use watchfire::model::time::Clock as _;
use watchfire::model::time::SystemClock;
use watchfire::model::time::Timestamp;
use watchfire::pki;
use watchfire::pki::CertificateAuthority;
use watchfire::pki::CertificateRequest;
use watchfire::profile;
use watchfire::profile::AUTHORITY_DAYS;
use watchfire::profile::Authority;
use watchfire::profile::CERTIFICATE_DAYS;
use watchfire::profile::NewProfile;
use watchfire::profile::Profile;
use watchfire::profile::Settings;
use watchfire::profile::write_private;
use watchfire::profile::write_public;
use watchfire::signing::SecretKey;

use crate::audit_log;

const OPERATOR: &str = "operator";
/// Says that a folder is being filled, and by whom: what is in it then may be made anew.
const UNFINISHED: &str = "init.unfinished";
/// Comes last: without it nothing is served.
const GENESIS: &str = "genesis.envelope";
const PORT: u16 = 7443;

const SAMPLE_CONFIG: &str = "\
# Where the hub listens. Every other setting has a default; the sample in the documentation shows them all.
listen = \"127.0.0.1:7443\"
";

/// Makes a new exchange: authority, server certificate, log key, operator, founding record.
#[derive(Debug, clap::Args)]
pub(crate) struct InitArgs {
    /// The new data directory; must be empty or absent.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The exchange's name: 3 to 40 of a-z, 0-9 and hyphen.
    #[arg(long, value_name = "NAME")]
    exchange: String,
    /// A host name or address under which members reach the hub; may be repeated. The first is the one that
    /// profiles use.
    #[arg(long = "host", value_name = "HOST", default_values_t = ["localhost".to_owned(), "127.0.0.1".to_owned()])]
    hosts: Vec<String>,
}

/// Everything that founds an exchange.
struct Founded {
    exchange: ExchangeName,
    trust_domain: String,
    operator: MemberId,
    operator_key: SecretKey,
    recovery_key: SecretKey,
    log_key: SecretKey,
    ca: CertificateAuthority,
    genesis: Vec<u8>,
}

/// Runs the command.
pub(crate) fn run(args: InitArgs) -> anyhow::Result<()> {
    let InitArgs { data, exchange: title, hosts } = args;
    let now = SystemClock::default().now();
    demand_empty(&data)?;
    let founded = make(&title, now)?;
    profile::create_folder(&data)?;
    let _held = hold(&data)?;
    clear(&data).context("what an earlier init left cannot be removed")?;
    // Absolute, since the operator's profile names it and may be used from anywhere.
    let data =
        fs::canonicalize(&data).with_context(|| format!("{} cannot be found", data.display()))?;
    write_hub(&data, &founded, &hosts, now)?;
    write_operator(&data, &founded, &hosts, now)?;
    write_public(&data.join(GENESIS), &founded.genesis)?;
    fs::remove_file(data.join(UNFINISHED)).context("the exchange is founded, but for a file")?;
    let reported = report(&data, &founded).context("the account cannot be printed");
    audit_log::note_in(&data, "init", &founded.exchange.name());
    reported
}

/// A folder may hold what an earlier init left that was cut off: nobody was told of it, and nothing was served from it.
fn demand_empty(data: &Path) -> anyhow::Result<()> {
    let was_cut_off = data.join(UNFINISHED).exists() && !data.join(GENESIS).exists();
    match fs::read_dir(data).map(|entries| entries.take(1).count()) {
        Ok(0) => Ok(()),
        Ok(_) if was_cut_off => Ok(()),
        Ok(_) => anyhow::bail!("{} is not empty: name a new folder", data.display()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", data.display())),
    }
}

/// Marks a folder as being filled. The mark is locked for as long as this process fills it.
fn hold(data: &Path) -> anyhow::Result<fs::File> {
    let path = data.join(UNFINISHED);
    let mark = fs::File::options().create(true).append(true).open(&path);
    let mark = mark.with_context(|| format!("{} cannot be written", path.display()))?;
    rustix::fs::flock(&mark, FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("another init of {} is at work", data.display()))?;
    Ok(mark)
}

/// Removes what an earlier init wrote: what it writes, and nothing else.
fn clear(data: &Path) -> io::Result<()> {
    for name in ["log.key", "watchfired.toml"] {
        match fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    for name in ["tls", "profiles"] {
        match fs::remove_dir_all(data.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn make(title: &str, now: Timestamp) -> anyhow::Result<Founded> {
    let operator: MemberId = OPERATOR.parse()?;
    let trust_domain = format!("{title}.watchfire.internal");
    let (operator_key, recovery_key) = (SecretKey::generate()?, SecretKey::generate()?);
    let log_key = SecretKey::generate()?;
    let ca = CertificateAuthority::generate(
        &format!("{title} certificate authority"),
        profile::validity(now, AUTHORITY_DAYS),
    )?;
    let ca_der = pki::inspect(ca.certificate_pem())?.der;
    let founding = Founding {
        title,
        trust_domain: &trust_domain,
        operator: &operator,
        operator_key: &operator_key,
        operator_recovery_key: &recovery_key,
        log_key_spki: &log_key.spki(),
        ca_der: &ca_der,
    };
    let (exchange, genesis) = found(&founding, now)?;
    let genesis = genesis.encode_to_vec();
    Ok(Founded {
        exchange,
        trust_domain,
        operator,
        operator_key,
        recovery_key,
        log_key,
        ca,
        genesis,
    })
}

/// What the hub reads.
fn write_hub(
    data: &Path,
    founded: &Founded,
    hosts: &[String],
    now: Timestamp,
) -> anyhow::Result<()> {
    let tls = data.join("tls");
    profile::create_folder(&tls)?;
    let request = CertificateRequest::generate("watchfired")?;
    let server = founded
        .ca
        .issue_server(hosts, &request.request_pem, profile::validity(now, CERTIFICATE_DAYS))
        .context("a host is neither a name nor an address")?;
    write_public(&tls.join("ca.pem"), founded.ca.certificate_pem().as_bytes())?;
    write_public(&tls.join("server.pem"), server.certificate_pem.as_bytes())?;
    write_private(&tls.join("server.key"), request.key_pem.as_bytes())?;
    write_private(&data.join("log.key"), founded.log_key.to_pem()?.as_bytes())?;
    write_public(&data.join("watchfired.toml"), SAMPLE_CONFIG.as_bytes())?;
    Ok(())
}

/// What only the operator reads, and the first revocation list, which needs the authority's key.
fn write_operator(
    data: &Path,
    founded: &Founded,
    hosts: &[String],
    now: Timestamp,
) -> anyhow::Result<()> {
    let folder = data.join("profiles").join(OPERATOR);
    let host = hosts.first().map_or("localhost", String::as_str);
    let settings = Settings {
        address: address(host),
        server_name: host.to_owned(),
        exchange: founded.exchange.clone(),
        trust_domain: founded.trust_domain.clone(),
        member: founded.operator.clone(),
        role: Role::Operator,
        hub_data: Some(data.to_owned()),
        witnesses: None,
    };
    let request = CertificateRequest::generate(OPERATOR)?;
    let validity = profile::validity(now, CERTIFICATE_DAYS);
    let issued = founded.ca.issue_member(
        &founded.trust_domain,
        &founded.operator,
        &request.request_pem,
        validity,
    )?;
    let made = Profile::create(
        &folder,
        &NewProfile {
            settings: &settings,
            ca_pem: founded.ca.certificate_pem(),
            certificate_pem: &issued.certificate_pem,
            tls_key_pem: &request.key_pem,
            signing_key: &founded.operator_key,
            recovery_key: &founded.recovery_key,
            genesis: &founded.genesis,
        },
    )?;
    let ca = CertificateAuthority::from_pem(founded.ca.certificate_pem(), founded.ca.key_pem())?;
    let authority = Authority::create(&folder, ca)?;
    authority.note_issued(&founded.operator, &issued, now)?;
    let list = authority.next_revocation_list(now)?;
    write_public(&made.revocation_list_path(), list.as_bytes())?;
    write_public(&data.join("tls").join("crl.pem"), list.as_bytes())?;
    Ok(())
}

/// An address of IPv6 stands in brackets before a port.
fn address(host: &str) -> String {
    if host.contains(':') { format!("[{host}]:{PORT}") } else { format!("{host}:{PORT}") }
}

fn report(data: &Path, founded: &Founded) -> io::Result<()> {
    let (data, operator) = (data.display(), data.join("profiles").join(OPERATOR));
    let operator = operator.display();
    let mut out = io::stdout().lock();
    writeln!(out, "The exchange {} is founded in {data}.", founded.exchange.name())?;
    let (operator_key, log_key) = (founded.operator_key.spki(), founded.log_key.spki());
    let words = Fingerprint::of_keys(&[&operator_key, &log_key]).words();
    writeln!(out, "  in words      {words}")?;
    writeln!(out, "  operator key  {}", founded.operator_key.id())?;
    writeln!(out, "  log key       {}", founded.log_key.id())?;
    writeln!(
        out,
        "  operator      {operator} (holds the authority's key: it can be kept off this machine)"
    )?;
    writeln!(out, "  revocations   empty, for 90 days: watchfire --profile {operator} crl renew")?;
    writeln!(out)?;
    writeln!(out, "Next:")?;
    writeln!(out, "  watchfired serve --data {data}")?;
    writeln!(out, "  watchfire --profile {operator} admit MEMBER --role company --out DIR")?;
    writeln!(out, "  watchfire --profile DIR status")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use watchfire::client::Pin;

    use super::*;

    fn init(data: &Path) -> anyhow::Result<()> {
        run(InitArgs {
            data: data.to_owned(),
            exchange: "spring".to_owned(),
            hosts: vec!["hub.example".to_owned(), "192.0.2.1".to_owned()],
        })
    }

    #[test]
    fn a_new_exchange_has_all_that_the_hub_and_the_operator_need() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("hub");
        init(&data).unwrap();
        let operator = Profile::open(&data.join("profiles/operator")).unwrap();
        assert_eq!(operator.settings().address, "hub.example:7443");
        let pin = Pin::open(&fs::read(data.join("genesis.envelope")).unwrap()).unwrap();
        assert_eq!(pin.exchange(), &operator.settings().exchange);
        let ca = fs::read_to_string(data.join("tls/ca.pem")).unwrap();
        pin.check_authority(&pki::inspect(&ca).unwrap().der).unwrap();
        let log_key =
            SecretKey::from_pem(&fs::read_to_string(data.join("log.key")).unwrap()).unwrap();
        assert_eq!(log_key.id(), pin.log_key_id());
        operator.authority().unwrap();
        pki::next_update(&fs::read_to_string(data.join("tls/crl.pem")).unwrap()).unwrap();
        toml::from_str::<toml::Table>(&fs::read_to_string(data.join("watchfired.toml")).unwrap())
            .unwrap();
    }

    #[test]
    fn private_files_are_private() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("hub");
        init(&data).unwrap();
        let mode = |path: &str| fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
        for private in [
            "log.key",
            "tls/server.key",
            "profiles/operator/ca.key",
            "profiles/operator/signing.key",
        ] {
            assert_eq!(mode(private), 0o600, "{private}");
        }
        for folder in ["", "tls", "profiles", "profiles/operator"] {
            assert_eq!(mode(folder), 0o700, "{folder}");
        }
    }

    #[test]
    fn an_init_that_was_cut_off_is_begun_anew_and_one_that_was_not_never() {
        let place = tempfile::tempdir().unwrap();
        let data = place.path().join("hub");
        init(&data).unwrap();
        let key = fs::read(data.join("log.key")).unwrap();
        // At its end: nothing may be made anew.
        fs::write(data.join(UNFINISHED), "").unwrap();
        assert!(init(&data).unwrap_err().to_string().contains("not empty"));
        assert_eq!(fs::read(data.join("log.key")).unwrap(), key);
        fs::remove_file(data.join(GENESIS)).unwrap();
        init(&data).unwrap();
        assert!(data.join(GENESIS).exists() && !data.join(UNFINISHED).exists());
        assert_ne!(fs::read(data.join("log.key")).unwrap(), key);
    }

    #[test]
    fn a_folder_with_content_is_refused() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("something"), "").unwrap();
        assert!(init(place.path()).unwrap_err().to_string().contains("not empty"));
    }
}
