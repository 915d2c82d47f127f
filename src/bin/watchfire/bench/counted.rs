//! A frame of a subscription of which only the places are read: so that the load costs less than the hub that it
//! measures.

use prost::DecodeError;
use prost::Message;
use prost::bytes::Buf;
use prost::bytes::BufMut;
use prost::encoding::DecodeContext;
use prost::encoding::WireType;
use prost::encoding::decode_key;
use prost::encoding::decode_varint;
use prost::encoding::skip_field;
use tonic::Streaming;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use watchfire::wire::pb;

/// The entries of a frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// How many.
    pub(crate) entries: usize,
    /// The first place, if there is one.
    pub(crate) first: Option<u64>,
    /// The last.
    pub(crate) last: u64,
    /// Whether places rise.
    pub(crate) rising: bool,
    /// Whether a mark came with it.
    pub(crate) marked: bool,
}

impl Message for Counted {
    fn encode_raw(&self, _buf: &mut impl BufMut) {}

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != 1 || wire_type != WireType::LengthDelimited {
            self.marked |= tag == 2;
            return skip_field(wire_type, tag, buf, context);
        }
        let length = usize::try_from(decode_varint(buf)?).unwrap_or(usize::MAX);
        let before = buf.remaining();
        // Epoch, then sequence, which is absent at place 0.
        let mut sequence = 0;
        let (_epoch, _type) = decode_key(buf)?;
        decode_varint(buf)?;
        let (tag, _type) = decode_key(buf)?;
        if tag == 2 {
            sequence = decode_varint(buf)?;
        }
        let read = before.saturating_sub(buf.remaining());
        buf.advance(length.saturating_sub(read).min(buf.remaining()));
        let rises = self.entries == 0 || sequence > self.last;
        self.rising = if self.entries == 0 { rises } else { self.rising && rises };
        self.first.get_or_insert(sequence);
        self.last = sequence;
        self.entries += 1;
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        0
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Subscribes, counting.
pub(crate) async fn subscribe(
    channel: Channel,
    from: pb::StartPoint,
    filter: Option<pb::Filter>,
) -> anyhow::Result<Streaming<Counted>> {
    let request = pb::SubscribeRequest {
        start: Some(pb::subscribe_request::Start::From(from.into())),
        filter,
        ..pb::SubscribeRequest::default()
    };
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await?;
    let path = PathAndQuery::from_static("/watchfire.v1.ExchangeService/Subscribe");
    let codec = tonic_prost::ProstCodec::<pb::SubscribeRequest, Counted>::default();
    let answer = client.server_streaming(tonic::Request::new(request), path, codec).await?;
    Ok(answer.into_inner())
}

/// Subscribes from now on, and waits for the first mark: it says that the stream stands at the head.
pub(crate) async fn subscribe_live(
    channel: Channel,
    filter: Option<pb::Filter>,
) -> anyhow::Result<Streaming<Counted>> {
    let mut stream = subscribe(channel, pb::StartPoint::Now, filter).await?;
    while stream.message().await?.is_some_and(|frame| !frame.marked) {}
    Ok(stream)
}
