//! Messages in and out, as everywhere, with one question before they are taken apart: how many fields there are.

use std::marker::PhantomData;

use bytes::Buf as _;
use prost::Message;
use prost::Name;
use tonic::Status;
use tonic::codec::Codec;
use tonic::codec::DecodeBuf;
use tonic::codec::Decoder;
use tonic_prost::ProstCodec;

use crate::model::limits::MESSAGE_FIELDS_MAX;
use crate::model::reason::Reason;
use crate::model::reason::Refusal;
use crate::rpc::status;
use crate::wire::density::has_at_most;

/// The codec of every service of ours.
#[derive(Debug)]
pub(crate) struct MessageCodec<T, U>(ProstCodec<T, U>);

impl<T, U> Default for MessageCodec<T, U> {
    fn default() -> Self {
        Self(ProstCodec::new())
    }
}

impl<T, U> Codec for MessageCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = <ProstCodec<T, U> as Codec>::Encoder;
    type Decoder = MessageDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        self.0.encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        MessageDecoder(PhantomData)
    }
}

/// Takes a request apart, unless it has too many parts.
#[derive(Debug)]
pub(crate) struct MessageDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for MessageDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // As many fields at least take as many bytes.
        let bytes = buffer.chunk();
        let is_whole = bytes.len() == buffer.remaining();
        let is_small = buffer.remaining() <= MESSAGE_FIELDS_MAX;
        let is_fit =
            is_small || is_whole && has_at_most(&U::full_name(), bytes, MESSAGE_FIELDS_MAX);
        if !is_fit {
            let message = format!("the message has more than {MESSAGE_FIELDS_MAX} fields");
            return Err(status::refused(&Refusal::new(Reason::BatchTooLarge, message)));
        }
        // What is no message is told as tonic tells it.
        let message = U::decode(buffer).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(message))
    }
}
