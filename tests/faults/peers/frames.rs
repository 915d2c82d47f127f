//! HTTP/2 by hand (RFC 9113, RFC 7541): what a library would never send is the point.

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Error codes.
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// The id of `SETTINGS_INITIAL_WINDOW_SIZE`.
pub(super) const INITIAL_WINDOW: u16 = 4;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    framed(payload.len(), kind, flags, stream, payload)
}

/// A frame that may say another length than it has.
pub(super) fn framed(said: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(said).expect("a length").to_be_bytes();
    let mut frame = length.to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(super) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let bytes = pairs.iter().flat_map(|(id, value)| {
        id.to_be_bytes().into_iter().chain(value.to_be_bytes()).collect::<Vec<u8>>()
    });
    frame(SETTINGS, 0, 0, &bytes.collect::<Vec<u8>>())
}

pub(super) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

pub(super) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// An integer of HPACK with a prefix of seven bits.
fn integer(first: u8, value: usize) -> Vec<u8> {
    let Ok(small) = u8::try_from(value.min(127)) else { return Vec::new() };
    let mut bytes = vec![first | small];
    if value < 127 {
        return bytes;
    }
    let mut rest = value - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128 + 128).expect("a byte"));
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("a byte"));
    bytes
}

/// A field that is spelled out and not remembered.
pub(super) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0], &*integer(0, name.len()), name, &*integer(0, value.len()), value].concat()
}

/// A field that the other side is to remember.
pub(super) fn remembered(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0x40], &*integer(0, name.len()), name, &*integer(0, value.len()), value].concat()
}

/// The fields of a gRPC call.
pub(super) fn call(path: &str) -> Vec<u8> {
    [
        field(b":method", b"POST"),
        field(b":scheme", b"https"),
        field(b":path", path.as_bytes()),
        field(b":authority", b"hub"),
        field(b"content-type", b"application/grpc"),
        field(b"te", b"trailers"),
    ]
    .concat()
}

/// The fields of a request without a body.
pub(super) fn get(path: &str) -> Vec<u8> {
    [
        field(b":method", b"GET"),
        field(b":scheme", b"https"),
        field(b":path", path.as_bytes()),
        field(b":authority", b"hub"),
        field(b"accept", b"application/taxii+json;version=2.1"),
    ]
    .concat()
}

/// A message of gRPC, with the prefix that it should have.
pub(super) fn message(bytes: &[u8]) -> Vec<u8> {
    prefixed(0, bytes.len(), bytes)
}

/// A message of gRPC with any prefix.
pub(super) fn prefixed(flag: u8, said: usize, bytes: &[u8]) -> Vec<u8> {
    let said = u32::try_from(said).expect("a length").to_be_bytes();
    [&[flag], &said[..], bytes].concat()
}
