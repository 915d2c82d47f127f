//! A frame of a subscription, already encoded.
//!
//! An entry is encoded once, when it is committed; every subscriber is sent those same bytes. So the server's
//! answer to Subscribe is not a message but the bytes of one, spliced from entries that stand ready.

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use prost::DecodeError;
use prost::Message;
use prost::encoding::DecodeContext;
use prost::encoding::WireType;
use prost::encoding::skip_field;

/// The encoded bytes of one `SubscribeResponse`, in pieces.
#[derive(Clone, Debug, Default)]
pub struct SubscribeFrame {
    pieces: Vec<Bytes>,
    length: usize,
}

impl SubscribeFrame {
    /// Appends encoded fields of `SubscribeResponse`.
    pub fn push(&mut self, piece: Bytes) {
        self.length = self.length.saturating_add(piece.len());
        self.pieces.push(piece);
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

impl Message for SubscribeFrame {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for piece in &self.pieces {
            buf.put_slice(piece);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        // The server only ever sends frames; a client reads them as `SubscribeResponse`.
        skip_field(wire_type, tag, buf, context)
    }

    fn encoded_len(&self) -> usize {
        self.length
    }

    fn clear(&mut self) {
        self.pieces.clear();
        self.length = 0;
    }
}
