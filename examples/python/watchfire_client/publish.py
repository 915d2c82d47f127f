"""Publishing such that nothing is lost and nothing is said twice: an outbox of signed envelopes (section 4).

An envelope is on the disk before it is sent, and stays until the hub has answered for it: with a receipt that holds, or
with a refusal. After any doubt the same bytes go again, and the hub answers the same header with its first receipt.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import grpc

from watchfire_client.connection import Connection
from watchfire_client.envelope import Refuted, demand, sha256
from watchfire_client.log import verify_receipt
from watchfire_client.proto import entry_pb2, exchange_service_pb2, header_pb2

BATCH_RECORDS = 256
BATCH_BYTES = 1024 * 1024
_WAITS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
# Nothing was appended, and the same may be asked again later.
_LATER = {"BUSY", "DRAINING", "STORE_FULL", "QUOTA", "CLOCK_UNCONFIRMED", "OUTCOME_UNKNOWN"}
_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}


@dataclass(frozen=True)
class Outcome:
    """What became of a record: either or."""

    name: str
    revision: int
    receipt: "entry_pb2.Receipt | None"
    refusal: "entry_pb2.Refusal | None"
    warnings: tuple[str, ...] = ()


class Outbox:
    """Signed envelopes that are not answered yet, in a folder."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        self.connection, self.folder = connection, folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put(self, envelope: "entry_pb2.Envelope") -> None:
        """Keeps an envelope, on the disk when this returns."""
        # In the order of time, so that a revision goes behind the one before it.
        path = self.folder / f"{time.time_ns():020}-{sha256(envelope.payload).hex()[:16]}.envelope"
        part = path.with_suffix(".part")
        with open(part, "wb") as written:
            written.write(envelope.SerializeToString())
            written.flush()
            os.fsync(written.fileno())
        part.replace(path)
        self._sync_folder()

    def waiting(self) -> list[Path]:
        """What is not answered yet, oldest first."""
        return sorted(self.folder.glob("*.envelope"))

    def send(self, patience: float = 60.0) -> list[Outcome]:
        """Sends what waits, batch by batch, and tries again for so many seconds; raises the last error then."""
        outcomes: list[Outcome] = []
        end = time.monotonic() + patience
        attempt = 0
        while batch := self._batch():
            try:
                answered = self._send(batch)
            except grpc.RpcError as error:
                if error.code() not in _AGAIN or time.monotonic() > end:
                    raise
                answered = []
            outcomes += answered
            attempt = 0 if answered else attempt + 1
            if not answered:
                if time.monotonic() > end:
                    raise TimeoutError(f"{len(self.waiting())} records wait in {self.folder}")
                time.sleep(_WAITS[min(attempt, len(_WAITS)) - 1])
        return outcomes

    def _batch(self) -> "list[tuple[Path, entry_pb2.Envelope]]":
        batch: list[tuple[Path, entry_pb2.Envelope]] = []
        size = 0
        for path in self.waiting()[:BATCH_RECORDS]:
            encoded = path.read_bytes()
            size += len(encoded)
            if batch and size > BATCH_BYTES:
                break
            batch.append((path, entry_pb2.Envelope.FromString(encoded)))
        return batch

    def _send(self, batch: "list[tuple[Path, entry_pb2.Envelope]]") -> list[Outcome]:
        """One call; what has an answer for good leaves the folder."""
        request = exchange_service_pb2.PublishRequest(envelopes=[envelope for _, envelope in batch])
        answer = self.connection.exchange.Publish(request, timeout=self.connection.timeout)
        demand(len(answer.results) == len(batch), "one result for each envelope")
        outcomes = []
        for (path, envelope), result in zip(batch, answer.results, strict=True):
            header = header_pb2.Header.FromString(envelope.payload)
            warnings = tuple(warning.message for warning in result.warnings)
            if result.WhichOneof("outcome") == "receipt":
                self._demand_receipt(envelope, result.receipt)
                outcomes.append(Outcome(header.name, header.revision, result.receipt, None, warnings))
            elif result.refusal.reason in _LATER:
                continue
            else:
                outcomes.append(Outcome(header.name, header.revision, None, result.refusal))
            path.unlink()
        self._sync_folder()
        return outcomes

    def _demand_receipt(self, envelope: "entry_pb2.Envelope", receipt: "entry_pb2.Receipt") -> None:
        try:
            verify_receipt(self.connection.roster, envelope, receipt)
        except Refuted:
            # The log may have another key by now: its own entries say so, or nobody does.
            self.connection.update_roster()
            verify_receipt(self.connection.roster, envelope, receipt)

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
