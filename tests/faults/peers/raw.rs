//! A peer that holds a member's certificate and keeps to nothing else.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::ReadHalf;
use tokio::io::WriteHalf;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;
use watchfire::profile::Profile;
use watchfire::tls::ClientTls;

use crate::peers::frames;
use crate::world::PATIENCE;
use crate::world::World;

/// How to come to a listener as a member.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) config: Arc<ClientConfig>,
    name: ServerName<'static>,
    address: SocketAddr,
    from: Ipv4Addr,
}

impl Dialer {
    /// To gRPC, from an address of its own: who floods does not share an address with who does not.
    pub(super) fn of(world: &World, member: &str) -> Self {
        let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
        let tls = profile.tls().expect("its files");
        let name = ServerName::try_from(tls.server_name.clone()).expect("a name");
        let address = world.address().parse().expect("an address");
        let from = Ipv4Addr::new(127, 77, 0, 1);
        Self { config: Arc::new(config(&tls, &[b"h2"])), name, address, from }
    }

    /// With another certificate.
    pub(super) fn showing(mut self, tls: &ClientTls) -> Self {
        self.config = Arc::new(config(tls, &[b"h2"]));
        self
    }

    /// To another port of the hub.
    pub(super) fn at(mut self, port: u16) -> Self {
        self.address.set_port(port);
        self
    }

    /// Where it leads.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From one of many addresses.
    pub(super) fn with_address(mut self, number: u32) -> Self {
        let [_, a, b, c] = (number + 1).to_be_bytes();
        self.from = Ipv4Addr::new(127, 128 + a, b, c);
        self
    }

    /// The same, offering these protocols.
    pub(super) fn speaking(mut self, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        self.config = Arc::new(config);
        self
    }

    /// A connection without TLS.
    pub(super) async fn socket(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        socket.connect(self.address).await
    }

    pub(super) async fn dial(&self) -> io::Result<TlsStream<TcpStream>> {
        let dialing = async {
            let socket = self.socket().await?;
            TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), socket).await
        };
        tokio::time::timeout(PATIENCE, dialing).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    /// HTTP/2 with these settings; what comes back is heard.
    pub(super) async fn greet(&self, settings: &[(u16, u32)]) -> io::Result<Raw> {
        let (reader, mut writer) = tokio::io::split(self.dial().await?);
        writer.write_all(frames::PREFACE).await?;
        writer.write_all(&frames::settings(settings)).await?;
        writer.flush().await?;
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let listening = TaskTracker::new().spawn(listen(reader, Arc::clone(&heard)));
        Ok(Raw { writer, heard, listening, begun: Instant::now() })
    }

    /// HTTP/2, where nothing that comes back is ever read. The reading half is kept: the connection stays open.
    pub(super) async fn greet_deaf(&self, settings: &[(u16, u32)]) -> io::Result<Deaf> {
        let (reader, mut writer) = tokio::io::split(self.dial().await?);
        writer.write_all(frames::PREFACE).await?;
        writer.write_all(&frames::settings(settings)).await?;
        writer.flush().await?;
        Ok(Deaf { writer, _reader: reader })
    }
}

fn config(tls: &ClientTls, protocols: &[&[u8]]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(tls.ca_pem.as_bytes()).expect("an authority");
    roots.add(ca).expect("an authority");
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(tls.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).expect("a key");
    // The classical exchange alone: a flood is to cost the hub its time, not us ours.
    let provider = rustls::crypto::CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.expect("a chain"), key)
        .expect("a fitting key");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// What a connection heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// The code of GOAWAY, and when it came.
    pub(super) goaway: Option<(u32, Instant)>,
    /// Streams that the hub reset, by code.
    pub(super) resets: BTreeMap<u32, u64>,
    /// Heads of answers, or trailers.
    pub(super) heads: u64,
    pub(super) data_bytes: u64,
    /// Acknowledged PINGs and SETTINGS.
    pub(super) acks: u64,
    /// What the hub asked for signs of life with, and got none yet.
    pub(super) pings: Vec<Vec<u8>>,
    /// When the connection ended.
    pub(super) ended: Option<Instant>,
}

/// A connection of HTTP/2 by hand.
pub(super) struct Raw {
    writer: WriteHalf<TlsStream<TcpStream>>,
    heard: Arc<Mutex<Heard>>,
    listening: JoinHandle<()>,
    begun: Instant,
}

/// One that reads nothing.
pub(super) struct Deaf {
    writer: WriteHalf<TlsStream<TcpStream>>,
    _reader: ReadHalf<TlsStream<TcpStream>>,
}

impl Deaf {
    /// Sends, for so long at most; whether all was taken.
    pub(super) async fn send(&mut self, bytes: &[u8], within: Duration) -> bool {
        let sending = async {
            self.writer.write_all(bytes).await?;
            self.writer.flush().await
        };
        matches!(tokio::time::timeout(within, sending).await, Ok(Ok(())))
    }
}

impl Raw {
    /// Sends; whether the other side still takes it.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> bool {
        let sending = async {
            self.writer.write_all(bytes).await?;
            self.writer.flush().await
        };
        let sent = tokio::time::timeout(Duration::from_secs(2), sending).await;
        matches!(sent, Ok(Ok(()))) && self.heard().ended.is_none()
    }

    /// Gives the signs of life that the hub asked for, as a library does whose program does not read.
    pub(super) async fn live(&mut self, span: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < span {
            let asked = std::mem::take(
                &mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).pings,
            );
            for ping in asked {
                self.send(&frames::frame(frames::PING, frames::ACK, 0, &ping)).await;
            }
            tokio::time::sleep(Duration::from_secs(1).min(span)).await;
        }
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long ago it was opened.
    pub(super) fn age(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Waits until what was heard is enough; false if it never was.
    pub(super) async fn until(&self, within: Duration, enough: impl Fn(&Heard) -> bool) -> bool {
        let waiting = async {
            while !enough(&self.heard()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(within, waiting).await.is_ok()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(mut reader: ReadHalf<TlsStream<TcpStream>>, heard: Arc<Mutex<Heard>>) {
    while let Ok((kind, flags, payload)) = next(&mut reader).await {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            frames::GOAWAY => {
                let code = payload.get(4..8).and_then(|code| code.try_into().ok());
                let code = u32::from_be_bytes(code.unwrap_or_default());
                heard.goaway.get_or_insert((code, Instant::now()));
            }
            frames::RST_STREAM => {
                let code = payload.first_chunk().copied().unwrap_or_default();
                *heard.resets.entry(u32::from_be_bytes(code)).or_default() += 1;
            }
            frames::HEADERS => heard.heads += 1,
            frames::DATA => heard.data_bytes += u64::try_from(payload.len()).unwrap_or_default(),
            frames::PING | frames::SETTINGS if flags & frames::ACK > 0 => heard.acks += 1,
            frames::PING => heard.pings.push(payload),
            _ => {}
        }
    }
    heard.lock().unwrap_or_else(PoisonError::into_inner).ended = Some(Instant::now());
}

async fn next(reader: &mut ReadHalf<TlsStream<TcpStream>>) -> io::Result<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    reader.read_exact(&mut head).await?;
    let [high, middle, low, kind, flags, ..] = head;
    let length = u32::from_be_bytes([0, high, middle, low]);
    let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
    reader.read_exact(&mut payload).await?;
    Ok((kind, flags, payload))
}
