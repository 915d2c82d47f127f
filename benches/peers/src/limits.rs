//! The limits of this machine, measured in the same run: what no system here can beat.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use ed25519_dalek::Signer as _;
use ed25519_dalek::SigningKey;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::work::record;

/// How long each is measured.
const SPAN: Duration = Duration::from_secs(2);
const SIGNATURES: usize = 128;

/// Prints one JSON object a line.
pub async fn run(folder: &Path, pki: &Path) -> anyhow::Result<()> {
    print("verify-batch", verify_batches()?);
    print("verify-strict", verify_strictly()?);
    for (name, bytes) in [("500", 500), ("64k", 64 * 1024)] {
        print(&format!("write-{name}-fdatasync"), writes(folder, bytes, false)?);
        print(&format!("write-{name}-syncfs"), writes(folder, bytes, true)?);
    }
    print("tls-megabytes", tls(pki).await?);
    Ok(())
}

fn print(limit: &str, rate: f64) {
    println!("{}", serde_json::json!({ "workload": limit, "rate": rate }));
}

fn rate(count: usize, begun: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / begun.elapsed().as_secs_f64()
}

type Signed = (SigningKey, Vec<bytes::Bytes>, Vec<ed25519_dalek::Signature>);

fn signed() -> Signed {
    let key = SigningKey::from_bytes(&[7; 32]);
    // What is signed is a header of about 200 bytes; the body is hashed beside it.
    let messages: Vec<bytes::Bytes> = (0..128).map(|number| record(number).slice(..200)).collect();
    let signatures = messages.iter().map(|message| key.sign(message)).collect();
    (key, messages, signatures)
}

/// Signatures checked on one core, in batches of 128.
fn verify_batches() -> anyhow::Result<f64> {
    let (key, messages, signatures) = signed();
    let keys = vec![key.verifying_key(); SIGNATURES];
    let messages: Vec<&[u8]> = messages.iter().map(AsRef::as_ref).collect();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < SPAN {
        ed25519_dalek::verify_batch(&messages, &signatures, &keys)?;
        count += SIGNATURES;
    }
    Ok(rate(count, begun))
}

/// Signatures checked on one core, one by one, strictly.
fn verify_strictly() -> anyhow::Result<f64> {
    let (key, messages, signatures) = signed();
    let key = key.verifying_key();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < SPAN {
        for (message, signature) in messages.iter().zip(&signatures) {
            key.verify_strict(message, signature)?;
        }
        count += SIGNATURES;
    }
    Ok(rate(count, begun))
}

/// Appends to a file, each followed by a sync.
fn writes(folder: &Path, bytes: usize, whole_volume: bool) -> anyhow::Result<f64> {
    let path = folder.join("limit");
    let directory = File::open(folder)?;
    let mut file = File::create(&path)?;
    let content = vec![0x5a; bytes];
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < SPAN {
        file.write_all(&content)?;
        if whole_volume {
            rustix::fs::syncfs(&directory)?;
        } else {
            file.sync_data()?;
        }
        count += 1;
    }
    let rate = rate(count, begun);
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Megabytes a second through one TLS 1.3 connection over loopback, both ends on this machine.
async fn tls(pki: &Path) -> anyhow::Result<f64> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join("ca.pem"))?)?;
    let client = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(pki.join("server.pem"))?],
            PrivateKeyDer::from_pem_file(pki.join("server.key"))?,
        )?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut sending = tokio::task::JoinSet::new();
    sending.spawn(async move {
        let (socket, _address) = listener.accept().await?;
        let mut stream = tokio_rustls::TlsAcceptor::from(Arc::new(server)).accept(socket).await?;
        let chunk = vec![0x5a_u8; 128 * 1024];
        let begun = Instant::now();
        while begun.elapsed() < SPAN {
            stream.write_all(&chunk).await?;
        }
        stream.shutdown().await
    });
    let socket = tokio::net::TcpStream::connect(address).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let mut stream = connector.connect(ServerName::try_from("localhost")?, socket).await?;
    let (begun, mut bytes, mut buffer) = (Instant::now(), 0_usize, vec![0; 256 * 1024]);
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        bytes += read;
    }
    let megabytes = rate(bytes / 1024, begun) / 1024.0;
    while let Some(ended) = sending.join_next().await {
        ended??;
    }
    Ok(megabytes)
}
