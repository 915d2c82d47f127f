"""A client of an exchange: it signs, publishes, follows, looks up, and believes nothing that it has not verified.

Written from docs/PROTOCOL.md, to be read and to be copied from. What it checks of an entry: the form of the envelope,
the digest of the body, that the key is its publisher's and signs at that place of the log by the log's own roster
entries, and the signature. Of a receipt also that the record is in the tree of a checkpoint that the log signed.

What it leaves out, and `watchfire` does: the tree of a stream from mark to mark, signed marks, heads of publishers, and
restores into a new epoch (section 6 of the protocol).
"""

from watchfire_client.connection import Connection, Profile
from watchfire_client.envelope import Refuted, SigningKey, seal
from watchfire_client.publish import Outbox, Outcome
from watchfire_client.roster import Roster, Verified
from watchfire_client.subscribe import Follower, Place

__all__ = [
    "Connection",
    "Follower",
    "Outbox",
    "Outcome",
    "Place",
    "Profile",
    "Refuted",
    "Roster",
    "SigningKey",
    "Verified",
    "seal",
]
