"""A member's connection to its exchange, from its profile folder (section 1 of the protocol)."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from watchfire_client.envelope import SigningKey, demand, given, parse
from watchfire_client.log import open_checkpoint
from watchfire_client.proto import (
    entry_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
    header_pb2,
    query_service_pb2_grpc,
    roster_service_pb2_grpc,
)
from watchfire_client.roster import ROSTER_KINDS, Roster, Verified

OPTIONS = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)


@dataclass(frozen=True)
class Profile:
    """What `watchfire accept` left in a member's folder."""

    folder: Path
    address: str
    server_name: str
    member: str

    @classmethod
    def open(cls, folder: Path, address: str | None = None) -> "Profile":
        """Reads a folder; another address than its own may be named."""
        settings = tomllib.loads((folder / "profile.toml").read_text(encoding="utf-8"))
        member = f"members/{settings['member']}"
        return cls(folder, address or settings["address"], settings["server_name"], member)


class Connection:
    """A channel over mutual TLS, and the roster that everything is verified by."""

    def __init__(self, profile: Profile, *, timeout: float = 30.0) -> None:
        def read(name: str) -> bytes:
            return (profile.folder / name).read_bytes()

        credentials = grpc.ssl_channel_credentials(read("ca.pem"), read("tls.key"), read("tls.pem"))
        options = (*OPTIONS, ("grpc.ssl_target_name_override", profile.server_name))
        self.profile, self.member, self.timeout = profile, profile.member, timeout
        self.channel = grpc.secure_channel(profile.address, credentials, options=options)
        self.exchange = exchange_service_pb2_grpc.ExchangeServiceStub(self.channel)
        self.queries = query_service_pb2_grpc.QueryServiceStub(self.channel)
        self.roster_service = roster_service_pb2_grpc.RosterServiceStub(self.channel)
        self.key = SigningKey.read(profile.folder / "signing.key")
        self._genesis = read("genesis.envelope")
        self.roster = Roster.of_genesis(self._genesis)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def update_roster(self) -> None:
        """Folds the roster's entries up to the head: where it stood before, from there on."""
        request = exchange_service_pb2.SubscribeRequest(
            sequence=self.roster.folded,
            filter=exchange_service_pb2.Filter(body_kinds=ROSTER_KINDS),
            until_head=True,
        )
        checkpoints = []
        for frame in self.exchange.Subscribe(request, timeout=self.timeout):
            for entry in frame.entries:
                # Between two entries of the roster there is none that changes it.
                self.roster.folded = max(self.roster.folded, entry.sequence)
                self.roster.fold(self.roster.verify(entry))
            if frame.HasField("mark"):
                self.roster.folded = max(self.roster.folded, frame.mark.position)
                checkpoints.append(frame.mark.checkpoint)
        for checkpoint in checkpoints:
            open_checkpoint(self.roster, checkpoint)

    def verify(self, entries: "list[entry_pb2.Entry]") -> list[Verified]:
        """Verifies entries of an answer, the roster up to date first. Entry 0 is the founding one, or refuted."""
        if any(entry.sequence >= self.roster.folded for entry in entries):
            self.update_roster()
        return [self._verified(entry) for entry in entries]

    def _verified(self, entry: "entry_pb2.Entry") -> Verified:
        if entry.sequence != 0:
            verified = self.roster.verify(entry)
            if verified.erased_by is not None:
                self._demand_notice(verified)
            return verified
        demand(entry.envelope == entry_pb2.Envelope.FromString(self._genesis), "another founding record")
        header, body = parse(entry.envelope)
        return Verified(entry.epoch, 0, self.roster.operator, header, body, entry.envelope, False)

    def _demand_notice(self, verified: Verified) -> None:
        """A body is gone only if the hub signed, in the log, that it is: else any could be kept from us so."""
        kinds = [header_pb2.BODY_KIND_ERASURE, header_pb2.BODY_KIND_RETENTION]
        request = exchange_service_pb2.SubscribeRequest(
            sequence=verified.erased_by, filter=exchange_service_pb2.Filter(body_kinds=kinds), until_head=True
        )
        stream = self.exchange.Subscribe(request, timeout=self.timeout)
        first = next((entry for frame in stream for entry in frame.entries), None)
        stream.cancel()
        found = given(first, "no notice says that the body is gone")
        demand(found.sequence == verified.erased_by, "no notice says that this body is gone")
        if found.sequence >= self.roster.folded:
            self.update_roster()
        body = given(self.roster.verify(found).body, "a notice says nothing")
        run = range(body.retention.first_sequence, body.retention.end_sequence)
        named = verified.sequence in body.erasure.sequences or verified.sequence in run
        demand(named, "the notice is of other bodies")

    def look_up(self, values: list[str]) -> Iterator[tuple[str, list[Verified]]]:
        """Verified indicators of each value, however it is written; up to 1,000 values."""
        queries = [exchange_service_pb2.ValueQuery(value=value) for value in values]
        request = exchange_service_pb2.LookupValuesRequest(queries=queries)
        answer = self.exchange.LookupValues(request, timeout=self.timeout)
        demand(len(answer.results) == len(values), "one result for each value")
        for value, result in zip(values, answer.results, strict=True):
            yield value, self.verify(list(result.entries))


def reason(error: grpc.RpcError) -> str:
    """The stable reason of a refusal, in `google.rpc.ErrorInfo`; empty if there is none."""
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    if status is not None:
        for detail in status.details:
            if detail.Unpack(info) and info.domain == "watchfire":
                return info.reason
    return ""
