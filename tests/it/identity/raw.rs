//! A caller that chooses every byte of its calls, over the connection of a member: HTTP/2 with no client of gRPC in
//! between, so that nothing which it says about itself is put right on the way.

use std::sync::Arc;

use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use h2::client::SendRequest;
use http::HeaderMap;
use http::Request;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::taxii::tool::identity_of;
use crate::world::PATIENCE;
use crate::world::World;

/// What a caller says about itself beside its certificate.
#[derive(Clone, Debug)]
pub(super) struct Guise {
    pub(super) authority: &'static str,
    pub(super) fields: Vec<(&'static str, String)>,
}

/// A whole answer: but for the time of day, every header, every byte, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) head: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, Vec<u8>)>,
}

/// A connection with the certificate of a member, with the smallest windows that HTTP/2 begins with.
pub(crate) async fn connect(world: &World, member: &str) -> SendRequest<Bytes> {
    let (mut config, name) = identity_of(world, member);
    config.alpn_protocols = vec![b"h2".to_vec()];
    let socket = TcpStream::connect(world.address()).await.expect("a connection");
    let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await;
    let client = h2::client::handshake(stream.expect("a connection")).await;
    let (sender, connection) = client.expect("a handshake");
    TaskTracker::new().spawn(async move { connection.await.map_err(drop) });
    sender
}

pub(super) struct Caller(SendRequest<Bytes>);

impl Caller {
    /// With the certificate of a member.
    pub(super) async fn of(world: &World, member: &str) -> Self {
        let sender = connect(world, member).await;
        Self(sender.ready().await.expect("it is ready"))
    }

    /// One call with one message.
    pub(super) async fn call(&self, guise: &Guise, path: &str, message: &[u8]) -> Said {
        let mut request = Request::post(format!("https://{}{path}", guise.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in &guise.fields {
            request = request.header(*name, value.as_str());
        }
        let request = request.body(()).expect("a request");
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(u32::try_from(message.len()).expect("a length"));
        body.put_slice(message);
        let mut sender = self.0.clone();
        let calling = async {
            let (answer, mut upload) = sender.send_request(request, false).expect("it is sent");
            upload.send_data(body.freeze(), true).expect("it is sent");
            let answer = answer.await.expect("an answer");
            let (parts, mut body) = answer.into_parts();
            let mut all = Vec::new();
            while let Some(data) = body.data().await {
                let data = data.expect("data");
                body.flow_control().release_capacity(data.len()).expect("a window");
                all.extend(data);
            }
            let trailers = body.trailers().await.expect("trailers").unwrap_or_default();
            Said {
                status: parts.status.as_u16(),
                head: listed(&parts.headers),
                body: all,
                trailers: listed(&trailers),
            }
        };
        tokio::time::timeout(PATIENCE, calling).await.expect("an answer in time")
    }
}

/// Headers in an order of their own, without the time of day.
fn listed(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let all = headers.iter().filter(|(name, _)| *name != http::header::DATE);
    let mut all: Vec<_> =
        all.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    all.sort();
    all
}
