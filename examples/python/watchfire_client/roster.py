"""Who may sign what, folded from the log's own entries; the hub's word about keys is never taken (section 6)."""

from dataclasses import dataclass, field

from watchfire_client.envelope import (
    HEADER_TYPE,
    NOTICE_TYPE,
    Refuted,
    demand,
    given,
    pae,
    parse,
    sha256,
    verify_bytes,
)
from watchfire_client.proto import body_pb2, entry_pb2, header_pb2, member_pb2

POSSESSION_TYPE = "application/vnd.watchfire.key-possession.v1"
SUCCESSION_TYPE = "application/vnd.watchfire.log-key-succession.v1"
HUB = "members/hub"
ROSTER_KINDS = (
    header_pb2.BODY_KIND_GENESIS,
    header_pb2.BODY_KIND_ROSTER_CHANGE,
    header_pb2.BODY_KIND_KEY_CHANGE,
    header_pb2.BODY_KIND_LOG_KEY_CHANGE,
)
HUB_KINDS = (
    header_pb2.BODY_KIND_ERASURE,
    header_pb2.BODY_KIND_RETENTION,
    header_pb2.BODY_KIND_CONFLICT,
    header_pb2.BODY_KIND_LOG_KEY_CHANGE,
)


@dataclass
class Registered:
    """A registered key and the places of the log at which it signs."""

    member: str
    spki: bytes
    recovery: bool
    valid_from: int
    retired_at: int | None = None
    reset_at: int | None = None
    """The reset by the operator that it goes back to: unconfirmed until people compared fingerprints."""

    def signs_at(self, sequence: int) -> bool:
        """Whether a signature at this place counts."""
        return self.valid_from <= sequence and (self.retired_at is None or sequence < self.retired_at)


@dataclass
class Member:
    """One who takes part."""

    role: int
    suspended: bool = False


@dataclass(frozen=True)
class Verified:
    """An entry of which everything was checked. Without its body, if that was erased."""

    epoch: int
    sequence: int
    member: str
    header: "header_pb2.Header"
    body: "body_pb2.Body | None"
    envelope: "entry_pb2.Envelope"
    unconfirmed: bool
    erased_by: int | None = None

    @property
    def kind(self) -> str:
        """The body's field: `indicator`, `note`, ...; of an erased one too."""
        for known in body_pb2.Body.DESCRIPTOR.oneofs_by_name["content"].fields:
            if known.number == self.header.body_kind:
                return known.name
        return "unknown"


@dataclass
class Roster:
    """Members, keys, and the keys of the log, up to a place."""

    exchange: str
    operator: str
    log_keys: list[tuple[int, bytes]]
    """Each with the place behind which it signs."""
    keys: dict[str, Registered] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    folded: int = 1
    """Everything below this place is folded."""

    @classmethod
    def of_genesis(cls, encoded: bytes) -> "Roster":
        """From the founding envelope, which is all that is taken on trust."""
        envelope = entry_pb2.Envelope.FromString(encoded)
        header, parsed = parse(envelope)
        body = given(parsed, "it has no body")
        demand(body.WhichOneof("content") == "genesis", "it founds nothing")
        genesis = body.genesis
        suffix = sha256(genesis.operator_key.spki + genesis.log_key).hex()[:16]
        exchange = f"exchanges/{genesis.title}-{suffix}"
        demand(header.exchange == exchange, "the exchange is not named after its keys")
        demand(header.name.startswith(f"{genesis.operator}/records/"), "the operator founds the exchange")
        signature = envelope.signatures[0]
        demand(signature.keyid == sha256(genesis.operator_key.spki).hex(), "the operator's key signs")
        holds = verify_bytes(genesis.operator_key.spki, pae(HEADER_TYPE, envelope.payload), signature.sig)
        demand(holds, "the founding signature does not hold")
        roster = cls(exchange, genesis.operator, [(0, genesis.log_key)])
        roster._register(genesis.operator, genesis.operator_key, 0)
        roster._register(genesis.operator, genesis.operator_recovery_key, 0, recovery=True)
        roster.members[genesis.operator] = Member(member_pb2.ROLE_OPERATOR)
        return roster

    def log_key_at(self, sequence: int) -> bytes:
        """The key that signs the hub's own entry at a place."""
        return next(key for behind, key in reversed(self.log_keys) if sequence > behind or behind == 0)

    def log_key_of_size(self, size: int) -> bytes:
        """The key that signs the checkpoint of a size."""
        return self.log_key_at(size)

    def verify(self, entry: "entry_pb2.Entry") -> Verified:
        """Everything that the protocol demands of an entry. The roster must be folded up to its place."""
        demand(entry.sequence <= self.folded, "the roster is not folded up to this place")
        erased = entry.HasField("erased")
        header, body = parse(entry.envelope, (HEADER_TYPE, NOTICE_TYPE), erased=erased)
        is_hubs = header.body_kind in HUB_KINDS
        demand(is_hubs == (entry.envelope.payload_type == NOTICE_TYPE), "the payload's type is that of another kind")
        demand(header.exchange == self.exchange, "signed for another exchange")
        member = header.name.split("/records/")[0]
        signature = entry.envelope.signatures[0]
        unconfirmed = False
        if is_hubs:
            demand(member == HUB, "a notice is the hub's")
            spki = self._key_of_notice(entry.sequence, body)
            demand(signature.keyid == sha256(spki).hex(), "a notice is signed by the log key")
        else:
            key = given(self.keys.get(signature.keyid), "the key is not registered")
            demand(key.member == member, "the key is not the publisher's")
            demand(key.signs_at(entry.sequence), "the key does not sign at this place")
            is_change = header.body_kind == header_pb2.BODY_KIND_KEY_CHANGE
            demand(not key.recovery or is_change, "a recovery key signs key changes alone")
            spki, unconfirmed = key.spki, key.reset_at is not None
        holds = verify_bytes(spki, pae(entry.envelope.payload_type, entry.envelope.payload), signature.sig)
        demand(holds, "the signature does not hold")
        cause = entry.erased.cause_sequence if erased else None
        demand(cause is None or cause > entry.sequence, "nothing is erased before it is there")
        return Verified(entry.epoch, entry.sequence, member, header, body, entry.envelope, unconfirmed, cause)

    def fold(self, verified: Verified) -> None:
        """Takes in an entry that was verified under the roster before it."""
        place = verified.sequence
        if verified.body is not None:
            self._fold(verified, verified.body, place)
        self.folded = max(self.folded, place + 1)

    def _fold(self, verified: Verified, body: "body_pb2.Body", place: int) -> None:
        author = verified.member
        match body.WhichOneof("content"):
            case "roster_change":
                demand(author == self.operator, "only the operator changes the roster")
                self._roster_change(body.roster_change, place)
            case "key_change":
                change = body.key_change
                match change.WhichOneof("change"):
                    case "add":
                        signer = self.keys[verified.envelope.signatures[0].keyid]
                        self._register(author, change.add, place + 1, reset_at=signer.reset_at)
                    case "retire":
                        self._retire(author, change.retire.key, place + 1)
                    case other:
                        raise Refuted(f"a key change of an unknown kind, {other}")
            case "log_key_change":
                self.log_keys.append((place, body.log_key_change.new_key.spki))

    def _roster_change(self, change: "body_pb2.RosterChange", place: int) -> None:
        member = change.member
        kind = change.WhichOneof("change")
        demand((member in self.members) != (kind == "admit"), f"{member} is admitted once, and before all else")
        match kind:
            case "admit":
                self._register(member, change.admit.signing_key, place)
                self._register(member, change.admit.recovery_key, place, recovery=True)
                self.members[member] = Member(change.admit.role)
            case "suspend":
                self.members[member].suspended = True
            case "reinstate":
                self.members[member].suspended = False
            case "retire_key":
                self._retire(member, change.retire_key.key, place + 1)
            case "reset_keys":
                for key in self.keys.values():
                    if key.member == member and key.retired_at is None:
                        key.retired_at = place + 1
                reset = change.reset_keys
                self._register(member, reset.signing_key, place + 1, reset_at=place)
                self._register(member, reset.recovery_key, place + 1, recovery=True, reset_at=place)
            case "quota":
                pass
            case other:
                raise Refuted(f"a roster change of an unknown kind, {other}")

    def _register(
        self,
        member: str,
        key: "member_pb2.PublicKey",
        valid_from: int,
        *,
        recovery: bool = False,
        reset_at: int | None = None,
    ) -> None:
        key_id = sha256(key.spki).hex()
        demand(key_id not in self.keys, "a key belongs to one member for good")
        self._demand_possession(member, key)
        self.keys[key_id] = Registered(member, key.spki, recovery, valid_from, reset_at=reset_at)

    def _demand_possession(self, member: str, key: "member_pb2.PublicKey") -> None:
        payload = f"{self.exchange}\n{member}\n{sha256(key.spki).hex()}".encode()
        proven = verify_bytes(key.spki, pae(POSSESSION_TYPE, payload), key.possession_proof)
        demand(proven, "a key comes with a proof of possession")

    def _retire(self, member: str, name: str, at: int) -> None:
        key = given(self.keys.get(name.removeprefix(f"{member}/keys/")), f"{name} is not registered")
        demand(key.member == member, f"{name} cannot be retired")
        # A key that is retired may still be said to have been compromised; it stays retired where it was.
        if key.retired_at is None:
            key.retired_at = at

    def _key_of_notice(self, place: int, body: "body_pb2.Body | None") -> bytes:
        """The log key in force; or the new one, if the old is lost and most companies vouch for it."""
        in_force = self.log_key_at(place)
        if body is None or body.WhichOneof("content") != "log_key_change":
            return in_force
        change = body.log_key_change
        self._demand_possession(HUB, change.new_key)
        if not change.cosignatures:
            return in_force
        old, new = sha256(in_force).hex(), sha256(change.new_key.spki).hex()
        message = pae(SUCCESSION_TYPE, f"{self.exchange}\n{old}\n{new}\n{place}\n".encode())
        vouching = set()
        for cosignature in change.cosignatures:
            key = given(self.keys.get(cosignature.key.rsplit("/keys/")[-1]), "an unknown key vouches")
            demand(cosignature.key.startswith(f"{key.member}/keys/"), "a key vouches for somebody else")
            demand(key.signs_at(place) and not key.recovery and key.reset_at is None, "a key vouches that may not")
            demand(verify_bytes(key.spki, message, cosignature.signature), "a word for the log's key does not hold")
            vouching.add(key.member)
        companies = {
            name
            for name, member in self.members.items()
            if member.role == member_pb2.ROLE_COMPANY and not member.suspended
        }
        demand(vouching <= companies and len(vouching) * 2 > len(companies), "too few vouch for the log's key")
        return change.new_key.spki
