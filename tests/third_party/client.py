"""A client of an exchange, written from docs/PROTOCOL.md and generated code alone: it signs, publishes, subscribes, verifies."""

import base64
import hashlib
import os
import time
import tomllib
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from watchfire.v1 import (
    body_pb2, entry_pb2, exchange_service_pb2_grpc, header_pb2, roster_service_pb2_grpc, transparency_service_pb2_grpc,
)

HEADER_TYPE = "application/vnd.watchfire.header.v1+protobuf"
POSSESSION_TYPE = "application/vnd.watchfire.key-possession.v1"
ROSTER_KINDS = (header_pb2.BODY_KIND_GENESIS, header_pb2.BODY_KIND_ROSTER_CHANGE, header_pb2.BODY_KIND_KEY_CHANGE)


class Refuted(Exception):
    """Something that was received does not hold."""


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Refuted(what)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """The DSSE pre-authentication encoding."""
    name = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


# Keys


class SigningKey:
    """A private key, Ed25519 or P-256."""

    def __init__(self, private: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        self.private = private
        self.spki = private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.id = sha256(self.spki).hex()

    @classmethod
    def read(cls, path: Path) -> "SigningKey":
        return cls(serialization.load_pem_private_key(path.read_bytes(), password=None))

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        message = pae(payload_type, payload)
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        r, s = decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify_bytes(spki: bytes, message: bytes, signature: bytes) -> bool:
    public = serialization.load_der_public_key(spki)
    try:
        if isinstance(public, ed25519.Ed25519PublicKey):
            public.verify(signature, message)
        elif isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
            demand(len(signature) == 64, "a P-256 signature has 64 bytes")
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        else:
            return False
    except InvalidSignature:
        return False
    return True


# The roster


@dataclass
class Registered:
    """A registered key and the sequences at which it signs."""

    member: str
    spki: bytes
    recovery: bool
    valid_from: int
    retired_at: int | None = None

    def signs_at(self, sequence: int) -> bool:
        return self.valid_from <= sequence and (self.retired_at is None or sequence < self.retired_at)


@dataclass
class Roster:
    """Who takes part, folded from the log; nothing is taken from the hub's own account."""

    exchange: str
    operator: str = ""
    log_key: bytes = b""
    keys: dict[str, Registered] = field(default_factory=dict)
    suspended: dict[str, bool] = field(default_factory=dict)

    def register(self, member: str, key: "body_pb2.PublicKey", recovery: bool, valid_from: int) -> None:
        key_id = sha256(key.spki).hex()
        demand(key_id not in self.keys, "a key belongs to one member for good")
        payload = f"{self.exchange}\n{member}\n{key_id}".encode()
        proven = verify_bytes(key.spki, pae(POSSESSION_TYPE, payload), key.possession_proof)
        demand(proven, "a key comes with a proof of possession")
        self.keys[key_id] = Registered(member, key.spki, recovery, valid_from)

    def retire(self, member: str, name: str, at: int) -> None:
        key = self.keys.get(name.removeprefix(f"{member}/keys/"))
        demand(key is not None and key.member == member, f"{name} cannot be retired")
        # A key that is retired may still be said to have been compromised; it stays retired where it was.
        if key.retired_at is None:
            key.retired_at = at

    def reset(self, member: str, change: "body_pb2.KeyReset", at: int) -> None:
        demand(member in self.suspended, f"{member} has no keys to be reset")
        for key in self.keys.values():
            if key.member == member and key.retired_at is None:
                key.retired_at = at
        self.register(member, change.signing_key, False, at)
        self.register(member, change.recovery_key, True, at)

    def fold(self, verified: "Verified") -> None:
        """Takes in an entry that was verified under the roster before it."""
        body, place, author = verified.body, verified.sequence, verified.member
        match body.WhichOneof("content"):
            case "roster_change":
                change = body.roster_change
                demand(author == self.operator, "only the operator changes the roster")
                match change.WhichOneof("change"):
                    case "admit":
                        demand(change.member not in self.suspended, "a member is admitted once")
                        self.register(change.member, change.admit.signing_key, False, place)
                        self.register(change.member, change.admit.recovery_key, True, place)
                        self.suspended[change.member] = False
                    case "suspend":
                        self.suspended[change.member] = True
                    case "reinstate":
                        self.suspended[change.member] = False
                    case "retire_key":
                        self.retire(change.member, change.retire_key.key, place + 1)
                    case "reset_keys":
                        self.reset(change.member, change.reset_keys, place + 1)
                    case other:
                        raise Refuted(f"a roster change of an unknown kind, {other}")
            case "key_change":
                match body.key_change.WhichOneof("change"):
                    case "add":
                        self.register(author, body.key_change.add, False, place + 1)
                    case "retire":
                        self.retire(author, body.key_change.retire.key, place + 1)
                    case other:
                        raise Refuted(f"a key change of an unknown kind, {other}")


@dataclass
class Verified:
    """An entry of which everything was checked."""

    sequence: int
    member: str
    header: "header_pb2.Header"
    body: "body_pb2.Body"


def parse(envelope: "entry_pb2.Envelope") -> tuple["header_pb2.Header", "body_pb2.Body"]:
    """The form of an envelope: types, canonical header, body and digest."""
    demand(envelope.payload_type == HEADER_TYPE, "the payload is of another type")
    demand(len(envelope.signatures) == 1 and len(envelope.signatures[0].sig) == 64, "one signature of 64 bytes")
    header = header_pb2.Header.FromString(envelope.payload)
    header_again = header_pb2.Header.FromString(envelope.payload)
    header_again.DiscardUnknownFields()
    canonical = header_again.SerializeToString(deterministic=True)
    demand(canonical == envelope.payload, "the header is not canonical")
    demand(sha256(envelope.body) == header.body_digest, "the body is not the one that was signed")
    body = body_pb2.Body.FromString(envelope.body)
    content = body.WhichOneof("content")
    demand(content is not None, "the body says nothing")
    number = body.DESCRIPTOR.fields_by_name[content].number
    demand(number == header.body_kind and len(body.salt) == 32, "the body is of another kind")
    return header, body


def open_genesis(encoded: bytes) -> Roster:
    """The founding envelope, which is all that is taken on trust."""
    envelope = entry_pb2.Envelope.FromString(encoded)
    header, body = parse(envelope)
    genesis = body.genesis
    suffix = sha256(genesis.operator_key.spki + genesis.log_key).hex()[:16]
    exchange = f"exchanges/{genesis.title}-{suffix}"
    demand(header.exchange == exchange, "the exchange is not named after its keys")
    demand(header.name.startswith(f"{genesis.operator}/records/"), "the operator founds the exchange")
    signature = envelope.signatures[0]
    demand(signature.keyid == sha256(genesis.operator_key.spki).hex(), "the operator's key signs")
    holds = verify_bytes(genesis.operator_key.spki, pae(HEADER_TYPE, envelope.payload), signature.sig)
    demand(holds, "the founding signature does not hold")
    roster = Roster(exchange, genesis.operator, genesis.log_key)
    roster.register(genesis.operator, genesis.operator_key, False, 0)
    roster.register(genesis.operator, genesis.operator_recovery_key, True, 0)
    roster.suspended[genesis.operator] = False
    return roster


def verify_entry(roster: Roster, entry: "entry_pb2.Entry") -> Verified:
    """Everything that section 6 demands of an entry."""
    header, body = parse(entry.envelope)
    demand(header.exchange == roster.exchange, "signed for another exchange")
    member = header.name.split("/records/")[0]
    signature = entry.envelope.signatures[0]
    key = roster.keys.get(signature.keyid)
    demand(key is not None and key.member == member, "the key is not the publisher's")
    demand(key.signs_at(entry.sequence), "the key does not sign at this place")
    demand(not key.recovery or header.body_kind == header_pb2.BODY_KIND_KEY_CHANGE, "a recovery key signs key changes")
    holds = verify_bytes(key.spki, pae(HEADER_TYPE, entry.envelope.payload), signature.sig)
    demand(holds, "the signature does not hold")
    return Verified(entry.sequence, member, header, body)


# The log


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def leaf_hash(envelope: "entry_pb2.Envelope", sequence: int, accept_time) -> bytes:
    header = header_pb2.Header.FromString(envelope.payload)
    micros = accept_time.seconds * 1_000_000 + accept_time.nanos // 1000
    signatures = b"".join(
        varint(len(encoded)) + encoded for encoded in (each.SerializeToString() for each in envelope.signatures)
    )
    data = b"watchfire-leaf-v1\0" + sequence.to_bytes(8, "big") + micros.to_bytes(8, "big")
    data += sha256(f"{header.name}@{header.revision}".encode()) + sha256(envelope.payload) + sha256(signatures)
    return sha256(b"\0" + data)


def open_checkpoint(roster: Roster, note: str) -> tuple[int, bytes]:
    """A C2SP signed note by the log key: size and root; behind them the epoch and the digest of the roster."""
    text, _, signatures = note.partition("\n\n")
    origin, size, root, epoch, roster_digest = text.split("\n")
    demand(epoch.startswith("epoch ") and roster_digest.startswith("roster "), "a checkpoint has an epoch and a roster")
    demand(origin == "watchfire/" + roster.exchange.removeprefix("exchanges/"), "a checkpoint of another log")
    raw = roster.log_key[-32:]
    hint = sha256(origin.encode() + b"\n\x01" + raw)[:4]
    prefix = f"\u2014 {origin} "
    for line in signatures.splitlines():
        if line.startswith(prefix):
            signed = base64.b64decode(line.removeprefix(prefix))
            if signed[:4] == hint and verify_bytes(roster.log_key, (text + "\n").encode(), signed[4:]):
                return int(size), base64.b64decode(root)
    raise Refuted("the checkpoint is not signed by the log")


def verify_receipt(roster: Roster, envelope: "entry_pb2.Envelope", receipt: "entry_pb2.Receipt") -> None:
    demand(receipt.header_digest == sha256(envelope.payload), "the receipt is for another record")
    leaf = leaf_hash(envelope, receipt.sequence, receipt.accept_time)
    demand(leaf == receipt.leaf_hash, "the leaf is not that of the record")
    size, root = open_checkpoint(roster, receipt.checkpoint)
    demand(size > receipt.sequence, "the checkpoint does not cover the place")
    path = [receipt.inclusion_proof[at : at + 32] for at in range(0, len(receipt.inclusion_proof), 32)]
    demand(root_by_path(leaf, receipt.sequence, size, path) == root, "the record is not in the tree of its checkpoint")


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162, section 2.1.3.2); none if it is too long or too short."""
    own, last, value = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if own % 2 == 1 or own == last:
            value = sha256(b"\1" + beside + value)
            while own % 2 == 0 and own != 0:
                own, last = own >> 1, last >> 1
        else:
            value = sha256(b"\1" + value + beside)
        own, last = own >> 1, last >> 1
    return value if last == 0 else None


def root_by_descent(leaves: list[tuple[int, bytes]], size: int, hashes: list[bytes]) -> bytes:
    """The root that a proof for several leaves leads to; each leaf has its place, rising."""
    beside = iter(hashes)

    def root(start: int, end: int) -> bytes:
        if not any(start <= place < end for place, _leaf in leaves):
            return next(beside, b"")
        if end - start == 1:
            return next(leaf for place, leaf in leaves if place == start)
        middle = start + (1 << (end - start - 1).bit_length() - 1)
        left = root(start, middle)
        return sha256(b"\1" + left + root(middle, end))

    found = root(0, size)
    demand(next(beside, None) is None, "the proof has hashes left")
    return found


# The client


class Client:
    """One member's connection, from its profile folder."""

    def __init__(self, profile: Path, address: str):
        settings = tomllib.loads((profile / "profile.toml").read_text())
        credentials = grpc.ssl_channel_credentials(
            (profile / "ca.pem").read_bytes(), (profile / "tls.key").read_bytes(), (profile / "tls.pem").read_bytes()
        )
        override = (("grpc.ssl_target_name_override", settings["server_name"]),)
        self.channel = grpc.secure_channel(address, credentials, options=override)
        self.exchange = exchange_service_pb2_grpc.ExchangeServiceStub(self.channel)
        self.transparency = transparency_service_pb2_grpc.TransparencyServiceStub(self.channel)
        self.roster_service = roster_service_pb2_grpc.RosterServiceStub(self.channel)
        self.member = f"members/{settings['member']}"
        self.key = SigningKey.read(profile / "signing.key")
        self.roster = open_genesis((profile / "genesis.envelope").read_bytes())

    def sign(self, content: str, message, *, name: str = "", previous: bytes = b"", revision: int = 1,
             audiences: tuple[str, ...] = (), key: SigningKey | None = None) -> "entry_pb2.Envelope":
        """An envelope as section 3 says."""
        key = key or self.key
        body = body_pb2.Body(salt=os.urandom(32), **{content: message})
        encoded = body.SerializeToString(deterministic=True)
        header = header_pb2.Header(
            exchange=self.roster.exchange,
            name=name or f"{self.member}/records/{uuid.uuid4()}",
            revision=revision,
            previous_digest=previous,
            nonce=os.urandom(16),
            handling=header_pb2.Handling(tlp=header_pb2.TLP_GREEN, audiences=sorted(audiences)),
            body_kind=body.DESCRIPTOR.fields_by_name[content].number,
            body_digest=sha256(encoded),
        )
        header.create_time.FromMicroseconds(time.time_ns() // 1000)
        payload = header.SerializeToString(deterministic=True)
        signature = entry_pb2.Signature(keyid=key.id, sig=key.sign(HEADER_TYPE, payload))
        return entry_pb2.Envelope(payload_type=HEADER_TYPE, payload=payload, signatures=[signature], body=encoded)
