"""What the log signs: leaves, checkpoints, receipts (section 6 of the protocol)."""

import base64
import binascii

from google.protobuf.timestamp_pb2 import Timestamp

from watchfire_client.envelope import Refuted, demand, sha256, verify_bytes
from watchfire_client.proto import entry_pb2, header_pb2
from watchfire_client.roster import Roster

HASH_BYTES = 32


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def leaf_hash(envelope: "entry_pb2.Envelope", sequence: int, accept_time: Timestamp) -> bytes:
    """What the log's tree commits to for an entry."""
    header = header_pb2.Header.FromString(envelope.payload)
    micros = accept_time.seconds * 1_000_000 + accept_time.nanos // 1000
    encoded = [signature.SerializeToString() for signature in envelope.signatures]
    signatures = b"".join(varint(len(each)) + each for each in encoded)
    data = b"watchfire-leaf-v1\0" + sequence.to_bytes(8, "big") + micros.to_bytes(8, "big")
    data += sha256(f"{header.name}@{header.revision}".encode()) + sha256(envelope.payload) + sha256(signatures)
    return sha256(b"\0" + data)


def open_checkpoint(roster: Roster, note: str) -> tuple[int, bytes]:
    """A C2SP signed note by the log key: the tree's size and root."""
    try:
        text, _, signatures = note.partition("\n\n")
        origin, size_text, root_text, epoch, digest = text.split("\n")
        size, root = int(size_text), base64.b64decode(root_text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Refuted("it is no checkpoint") from error
    demand(epoch.startswith("epoch ") and digest.startswith("roster "), "a checkpoint has an epoch and a roster")
    demand(origin == "watchfire/" + roster.exchange.removeprefix("exchanges/"), "a checkpoint of another log")
    key = roster.log_key_of_size(size)
    hint = sha256(origin.encode() + b"\n\x01" + key[-32:])[:4]
    prefix = f"\u2014 {origin} "
    for line in signatures.splitlines():
        if line.startswith(prefix):
            signed = base64.b64decode(line.removeprefix(prefix))
            if signed[:4] == hint and verify_bytes(key, (text + "\n").encode(), signed[4:]):
                return size, root
    raise Refuted("the checkpoint is not signed by the log")


def root_by_path(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162, 2.1.3.2); none if it is too long or too short."""
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


def verify_receipt(roster: Roster, envelope: "entry_pb2.Envelope", receipt: "entry_pb2.Receipt") -> None:
    """That the log holds the record at the receipt's place: the hub cannot take that back unseen."""
    demand(receipt.header_digest == sha256(envelope.payload), "the receipt is for another record")
    leaf = leaf_hash(envelope, receipt.sequence, receipt.accept_time)
    demand(leaf == receipt.leaf_hash, "the leaf is not that of the record")
    size, root = open_checkpoint(roster, receipt.checkpoint)
    demand(size > receipt.sequence, "the checkpoint does not cover the place")
    proof = receipt.inclusion_proof
    path = [proof[at : at + HASH_BYTES] for at in range(0, len(proof), HASH_BYTES)]
    demand(root_by_path(leaf, receipt.sequence, size, path) == root, "the record is not in the tree of its checkpoint")
