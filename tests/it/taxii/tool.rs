//! A tool that speaks TAXII with a member's certificate: HTTP/1.1 byte by byte, so that nothing is hidden.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use watchfire::profile::Profile;

use crate::world::PATIENCE;
use crate::world::World;

pub(crate) const TAXII: &str = "application/taxii+json;version=2.1";

pub(crate) struct Tool {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    address: String,
}

/// An answer, taken apart.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn objects(&self) -> Vec<Value> {
        self.body["objects"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn more(&self) -> bool {
        self.body["more"].as_bool().unwrap_or_default()
    }

    pub(crate) fn next(&self) -> &str {
        self.body["next"].as_str().unwrap_or_default()
    }
}

impl Tool {
    /// With the certificate of a member.
    pub(crate) fn of(world: &World, member: &str) -> Self {
        let (config, name) = identity_of(world, member);
        Self { config: Arc::new(config), name, address: super::address(world) }
    }

    /// The same, offering these protocols.
    pub(crate) fn speaking(mut self, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        self.config = Arc::new(config);
        self
    }

    pub(crate) async fn dial(&self) -> io::Result<TlsStream<TcpStream>> {
        let socket = TcpStream::connect(&self.address).await?;
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), socket).await
    }

    /// Sends bytes; everything that comes back until the other side closes.
    pub(crate) async fn converse(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let talk = async {
            let mut stream = self.dial().await?;
            // It may be closed before everything is sent, which is an answer too.
            let _closed = stream.write_all(request).await;
            let mut answer = Vec::new();
            let _reset = stream.read_to_end(&mut answer).await;
            Ok(answer)
        };
        tokio::time::timeout(PATIENCE, talk).await.expect("an answer in time")
    }

    /// What a tool asks for.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("Accept", TAXII)]).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n");
        for (name, value) in headers {
            write!(request, "{name}: {value}\r\n").expect("a string takes everything");
        }
        request.push_str("\r\n");
        let answer = self.converse(request.as_bytes()).await.expect("a connection");
        parse(&answer)
    }

    /// Every object of a list, page by page, with the answers.
    pub(crate) async fn walk(&self, path: &str, query: &str) -> Vec<Value> {
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let answer = self.get(&format!("{path}?{query}{next}")).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            objects.extend(answer.objects());
            if !answer.more() {
                assert_eq!(answer.next(), "", "there is no next page");
                return objects;
            }
            next = format!("&next={}", answer.next());
        }
    }
}

/// What a member shows to a hub, and the name under which it knows it.
pub(crate) fn identity_of(world: &World, member: &str) -> (ClientConfig, ServerName<'static>) {
    let profile = Profile::open(&world.profile_folder(member)).expect("a profile");
    let tls = profile.tls().expect("its files");
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(tls.ca_pem.as_bytes()).expect("an authority");
    roots.add(ca).expect("an authority");
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(tls.certificate_pem.as_bytes()).collect();
    let key = PrivateKeyDer::from_pem_slice(tls.key_pem.as_bytes()).expect("a key");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(chain.expect("a chain"), key)
        .expect("a fitting key");
    (config, ServerName::try_from(tls.server_name).expect("a name"))
}

fn parse(answer: &[u8]) -> Answer {
    let text = std::str::from_utf8(answer).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).expect(text) };
    Answer { status: status.expect(text), headers: headers.collect(), body }
}
