//! The client's side: one connection to a hub, and words for why there is none.

use std::io;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::IpAddr as CertifiedAddress;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::Service;
use tower::service_fn;

use crate::tls::gather::Gathering;
use crate::tls::limits;
use crate::tls::refusal;

/// What a member needs to speak to its hub.
#[derive(Clone)]
pub struct ClientTls {
    /// The hub's authority, PEM.
    pub ca_pem: String,
    /// The member's chain, PEM.
    pub certificate_pem: String,
    /// The member's private key, PEM.
    pub key_pem: String,
    /// The name in the hub's certificate.
    pub server_name: String,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The member's own files do not hold what they should.
    #[error("the {0} of the profile cannot be used")]
    Profile(&'static str),
    /// Nobody answers.
    #[error("the hub at {address} cannot be reached: {cause}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        cause: String,
    },
    /// The hub, or the client itself, ended the handshake.
    #[error("the hub at {address} and this profile do not accept each other: {alert}{hint}")]
    Refused {
        /// Where.
        address: String,
        /// What TLS says.
        alert: String,
        /// What may be the cause.
        hint: &'static str,
    },
}

/// Connects, and stays connected: the channel dials again when it must.
///
/// When it returns, the hub has accepted the certificate.
pub async fn connect(address: &str, tls: &ClientTls) -> Result<Channel, ConnectError> {
    let (endpoint, dialler) = (endpoint(tls)?, dialler(address, tls)?);
    let connected = endpoint.connect_with_connector(dialler).await;
    connected.map_err(|error| refused(address, &error))
}

/// A channel that dials at its first call; [`explain`](crate::tls::explain) has words for a call that fails.
pub fn connect_lazily(address: &str, tls: &ClientTls) -> Result<Channel, ConnectError> {
    Ok(endpoint(tls)?.connect_with_connector_lazy(dialler(address, tls)?))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only this kind of name needs brackets")]
fn endpoint(tls: &ClientTls) -> Result<Endpoint, ConnectError> {
    let host = match server_name(tls)? {
        ServerName::IpAddress(CertifiedAddress::V6(_)) => format!("[{}]", tls.server_name),
        _ => tls.server_name.clone(),
    };
    let origin = Uri::try_from(format!("https://{host}"))
        .map_err(|_not_a_name| ConnectError::Profile("server name"))?;
    // The URI is never used to dial, and an https one would demand tonic's own TLS.
    Ok(Endpoint::from_static("http://hub")
        .origin(origin)
        .connect_timeout(limits::CONNECT_MAX)
        .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(limits::CLIENT_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CLIENT_CONNECTION_WINDOW_BYTES))
}

fn dialler(
    address: &str,
    tls: &ClientTls,
) -> Result<
    impl Service<Uri, Response = Dialled, Error = io::Error, Future: Send> + Send + use<>,
    ConnectError,
> {
    let connector = TlsConnector::from(Arc::new(config(tls)?));
    let name = server_name(tls)?;
    let address: Arc<str> = address.into();
    Ok(service_fn(move |_uri: Uri| {
        let (connector, name, address) = (connector.clone(), name.clone(), Arc::clone(&address));
        async move { dial(connector, name, &address).await.map(Gathering::new).map(TokioIo::new) }
    }))
}

type Dialled = TokioIo<Gathering<TlsStream<TcpStream>>>;

fn server_name(tls: &ClientTls) -> Result<ServerName<'static>, ConnectError> {
    ServerName::try_from(tls.server_name.clone())
        .map_err(|_not_a_name| ConnectError::Profile("server name"))
}

/// A member's configuration of TLS.
fn config(tls: &ClientTls) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&tls.ca_pem, "authority")? {
        roots.add(authority).map_err(|_unusable| ConnectError::Profile("authority"))?;
    }
    let chain = certificates(&tls.certificate_pem, "certificate")?;
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes())
        .map_err(|_not_a_key| ConnectError::Profile("TLS key"))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(super::provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_unsupported| ConnectError::Profile("TLS version"))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|_unfit| ConnectError::Profile("certificate and TLS key"))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// The certificates of a text, of which there must be one at least.
fn certificates(
    pem: &str,
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) | Err(_) => Err(ConnectError::Profile(what)),
    }
}

async fn dial(
    connector: TlsConnector,
    name: ServerName<'static>,
    address: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let mut stream = connector.connect(name, socket).await?;
    await_first_words(&mut stream).await?;
    Ok(stream)
}

/// In TLS 1.3 a client is done before the hub has looked at its certificate: a refusal shows only with the first
/// bytes from the hub, which speaks first in HTTP/2 too. So wait for them, and leave them where they are.
async fn await_first_words(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let (socket, session) = stream.get_mut();
    loop {
        let state = session
            .process_new_packets()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if state.plaintext_bytes_to_read() > 0 {
            return Ok(());
        }
        if state.peer_has_closed() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        socket.readable().await?;
        match session.read_tls(&mut Arrived(socket)) {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(_read) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// What has arrived on a socket, without waiting for more.
struct Arrived<'a>(&'a TcpStream);

impl io::Read for Arrived<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

fn refused(address: &str, error: &tonic::transport::Error) -> ConnectError {
    let address = address.to_owned();
    match refusal::tls_error(error) {
        Some(error) => {
            ConnectError::Refused { address, alert: error.to_string(), hint: refusal::hint(error) }
        }
        None => ConnectError::Unreachable { address, cause: refusal::last_cause(error) },
    }
}
