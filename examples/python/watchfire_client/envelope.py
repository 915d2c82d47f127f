"""Envelopes: making and signing them, and taking them apart again (section 3 of the protocol)."""

import hashlib
import os
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from google.protobuf.message import DecodeError, Message

from watchfire_client.proto import body_pb2, entry_pb2, header_pb2

HEADER_TYPE = "application/vnd.watchfire.header.v1+protobuf"
NOTICE_TYPE = "application/vnd.watchfire.hub.v1+protobuf"
SALT_BYTES = 32

Value = TypeVar("Value")


class Refuted(Exception):
    """Something that was received does not hold. Nothing of it may be used."""


def demand(holds: bool, what: str) -> None:
    """Refutes what was received unless this holds."""
    if not holds:
        raise Refuted(what)


def given(value: Value | None, what: str) -> Value:
    """What must be there, or what was received is refuted."""
    if value is None:
        raise Refuted(what)
    return value


def sha256(data: bytes) -> bytes:
    """The digest that everything is named by."""
    return hashlib.sha256(data).digest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """The DSSE pre-authentication encoding: what is signed."""
    name = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def verify_bytes(spki: bytes, message: bytes, signature: bytes) -> bool:
    """Whether a signature of 64 bytes is one by this key, Ed25519 or P-256: the key says which."""
    try:
        public = serialization.load_der_public_key(spki)
        if len(signature) != 64:
            return False
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
            return True
        if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
            return True
    except (InvalidSignature, ValueError):
        return False
    return False


class SigningKey:
    """A private key, Ed25519 or P-256."""

    def __init__(self, private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self.private = private
        self.spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.id = sha256(self.spki).hex()

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        """Reads a private key, PKCS#8 PEM."""
        private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(private, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path} is a key of another kind")
        return cls(private)

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """Signs, as 64 bytes."""
        message = pae(payload_type, payload)
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


@dataclass(frozen=True)
class Handling:
    """Who may read a record, and how strictly they must treat it."""

    tlp: "header_pb2.Tlp" = header_pb2.TLP_AMBER
    audiences: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()

    def message(self) -> "header_pb2.Handling":
        """As it is signed: sorted, without repeats."""
        names = {"audiences": sorted(set(self.audiences)), "recipients": sorted(set(self.recipients))}
        return header_pb2.Handling(tlp=self.tlp, **names)


def seal(
    key: SigningKey,
    exchange: str,
    member: str,
    content: str,
    message: Message,
    handling: Handling,
    previous: "entry_pb2.Envelope | None" = None,
) -> "entry_pb2.Envelope":
    """Signs a record: the field of the body that it is (`indicator`, `note`, ...), and what it says.

    With the revision before, it is the next one of the same record. Never sign a revision twice: keep the envelope, and
    send the same bytes again after any doubt (`Outbox`).
    """
    body = body_pb2.Body(salt=os.urandom(SALT_BYTES), **{content: message})
    encoded = body.SerializeToString(deterministic=True)
    header = header_pb2.Header(
        exchange=exchange,
        # In the order of time, as UUIDs of version 7 are.
        name=f"{member}/records/{uuid7()}",
        revision=1,
        nonce=os.urandom(16),
        handling=handling.message(),
        body_kind=body.DESCRIPTOR.fields_by_name[content].number,
        body_digest=sha256(encoded),
    )
    if previous is not None:
        before = header_pb2.Header.FromString(previous.payload)
        header.name, header.revision = before.name, before.revision + 1
        header.previous_digest = sha256(previous.payload)
    header.create_time.FromMicroseconds(time.time_ns() // 1000)
    payload = header.SerializeToString(deterministic=True)
    signature = entry_pb2.Signature(keyid=key.id, sig=key.sign(HEADER_TYPE, payload))
    return entry_pb2.Envelope(payload_type=HEADER_TYPE, payload=payload, signatures=[signature], body=encoded)


def uuid7() -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): milliseconds, then 74 random bits."""
    millis = time.time_ns() // 1_000_000
    data = bytearray(millis.to_bytes(6, "big") + os.urandom(10))
    data[6] = data[6] & 0x0F | 0x70
    data[8] = data[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(data))


def parse(
    envelope: "entry_pb2.Envelope", types: Iterable[str] = (HEADER_TYPE,), *, erased: bool = False
) -> "tuple[header_pb2.Header, body_pb2.Body | None]":
    """The form of an envelope: types, canonical header, body and digest. No signature is checked here."""
    demand(envelope.payload_type in types, "the payload is of another type")
    demand(len(envelope.signatures) == 1 and len(envelope.signatures[0].sig) == 64, "one signature of 64 bytes")
    try:
        header = header_pb2.Header.FromString(envelope.payload)
        known = header_pb2.Header.FromString(envelope.payload)
        known.DiscardUnknownFields()
        canonical = known.SerializeToString(deterministic=True)
        demand(canonical == envelope.payload, "the header is not canonical")
        if erased:
            demand(envelope.body == b"", "a body that was erased is there")
            return header, None
        demand(sha256(envelope.body) == header.body_digest, "the body is not the one that was signed")
        body = body_pb2.Body.FromString(envelope.body)
    except DecodeError as error:
        raise Refuted(f"it cannot be decoded: {error}") from error
    content = body.WhichOneof("content")
    demand(content is not None, "the body says nothing that is known here")
    number = body.DESCRIPTOR.fields_by_name[content].number
    demand(number == header.body_kind and len(body.salt) == SALT_BYTES, "the body is of another kind")
    return header, body
