//! The client's side: one connection to a hub, and words for why there is none.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tower::service_fn;

const CONNECT_MAX: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Replay fills these; the defaults would stop it at every round trip.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

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
pub async fn connect(address: &str, tls: &ClientTls) -> Result<Channel, ConnectError> {
    let connector = TlsConnector::from(Arc::new(config(tls)?));
    let name = ServerName::try_from(tls.server_name.clone())
        .map_err(|_not_a_name| ConnectError::Profile("server name"))?;
    let first_error: Arc<Mutex<Option<io::Error>>> = Arc::default();
    let dial = {
        let (address, first_error) = (address.to_owned(), Arc::clone(&first_error));
        service_fn(move |_uri: Uri| {
            let dialled = dial(connector.clone(), name.clone(), address.clone());
            let first_error = Arc::clone(&first_error);
            async move {
                dialled.await.map(TokioIo::new).map_err(|error| {
                    let copy = io::Error::new(error.kind(), error.to_string());
                    first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    copy
                })
            }
        })
    };
    let origin = Uri::try_from(format!("https://{}", tls.server_name))
        .map_err(|_not_a_name| ConnectError::Profile("server name"))?;
    let endpoint = Endpoint::from_static("http://hub")
        .origin(origin)
        .connect_timeout(CONNECT_MAX)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    endpoint.connect_with_connector(dial).await.map_err(|error| {
        let first = first_error.lock().unwrap_or_else(PoisonError::into_inner).take();
        explain(address, first, &error)
    })
}

/// A member's configuration of TLS.
fn config(tls: &ClientTls) -> Result<ClientConfig, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(tls.ca_pem.as_bytes()) {
        let certificate = certificate.map_err(|_not_pem| ConnectError::Profile("authority"))?;
        roots.add(certificate).map_err(|_unusable| ConnectError::Profile("authority"))?;
    }
    let chain = CertificateDer::pem_slice_iter(tls.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_not_pem| ConnectError::Profile("certificate"))?;
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

async fn dial(
    connector: TlsConnector,
    name: ServerName<'static>,
    address: String,
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(&address).await?;
    socket.set_nodelay(true)?;
    let mut stream = connector.connect(name, socket).await?;
    // In TLS 1.3 a client is done before the hub has looked at its certificate: a refusal shows only with the
    // first bytes from the hub, which speaks first in HTTP/2 too. So wait for them.
    let (socket, session) = stream.get_mut();
    loop {
        socket.readable().await?;
        match session.read_tls(&mut Arrived(socket)) {
            Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(_read) => break,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    let processed = session.process_new_packets();
    processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(stream)
}

/// What has arrived on a socket, without waiting for more.
struct Arrived<'a>(&'a TcpStream);

impl io::Read for Arrived<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

fn explain(address: &str, first: Option<io::Error>, error: &tonic::transport::Error) -> ConnectError {
    let Some(first) = first else {
        return ConnectError::Unreachable { address: address.to_owned(), cause: chain(error) };
    };
    let tls = first.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => ConnectError::Refused {
            address: address.to_owned(),
            alert: tls.to_string(),
            hint: hint(tls),
        },
        None => {
            ConnectError::Unreachable { address: address.to_owned(), cause: first.to_string() }
        }
    }
}

fn hint(error: &rustls::Error) -> &'static str {
    use rustls::AlertDescription;

    match error {
        rustls::Error::AlertReceived(AlertDescription::CertificateRevoked) => {
            " (the operator revoked this certificate)"
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => {
            " (this certificate expired: watchfire renew)"
        }
        rustls::Error::AlertReceived(AlertDescription::UnknownCA) => {
            " (the certificate is of another exchange, or the hub's revocation list is out of date)"
        }
        rustls::Error::AlertReceived(AlertDescription::AccessDenied) => {
            " (the certificate names no member of this exchange)"
        }
        rustls::Error::InvalidCertificate(_) => " (the hub is not the one that this profile knows)",
        _ => "",
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
