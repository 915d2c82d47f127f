"""Following a stream such that each entry takes effect exactly once, over crashes and lost connections (section 5).

The effects and the place stand in one SQLite database and change in one transaction. A cursor moves at marks alone, so
that after a crash what came behind the last mark comes again; its sequences are known then, and it is passed over.
"""

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

from watchfire_client.connection import Connection, reason
from watchfire_client.proto import exchange_service_pb2
from watchfire_client.roster import Verified

Effect = Callable[[sqlite3.Connection, Verified], None]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS watchfire_place (only INTEGER PRIMARY KEY CHECK (only = 0), exchange TEXT, cursor BLOB);
CREATE TABLE IF NOT EXISTS watchfire_seen (sequence INTEGER PRIMARY KEY);
"""
_GO_ON = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_WAITS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class Place:
    """Where a follower stands."""

    cursor: bytes
    """That of the last mark; empty before the first."""
    seen: frozenset[int]
    """Entries behind it that have taken effect."""


class Follower:
    """Follows an exchange into a database, which also holds the effects."""

    def __init__(self, connection: Connection, database: Path, effect: Effect) -> None:
        self.connection, self.effect = connection, effect
        self.db = sqlite3.connect(database, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _SCHEMA)
        exchange = connection.roster.exchange
        self.db.execute("INSERT OR IGNORE INTO watchfire_place VALUES (0, ?, x'')", (exchange,))
        [(known,)] = self.db.execute("SELECT exchange FROM watchfire_place")
        if known != exchange:
            raise ValueError(f"{database} follows {known}")

    def place(self) -> Place:
        """Where it stands, as the database has it."""
        [(cursor,)] = self.db.execute("SELECT cursor FROM watchfire_place")
        return Place(cursor, frozenset(each for (each,) in self.db.execute("SELECT sequence FROM watchfire_seen")))

    def run(
        self, wanted: "exchange_service_pb2.Filter | None" = None, *, until_head: bool = False
    ) -> None:
        """Follows from where it stands, and connects again for as long as it takes. A filter is part of the place: use
        one database for each. With `until_head` it ends when everything that is there has taken effect."""
        attempt = 0
        while True:
            before = self.place()
            try:
                self._stream(before, wanted, until_head)
                return
            except grpc.RpcError as error:
                if error.code() not in _GO_ON or reason(error) == "OUTCOME_UNKNOWN":
                    raise
            attempt = 0 if self.place() != before else attempt + 1
            time.sleep(_WAITS[min(attempt, len(_WAITS) - 1)])

    def _stream(self, place: Place, wanted: "exchange_service_pb2.Filter | None", until_head: bool) -> None:
        request = exchange_service_pb2.SubscribeRequest(filter=wanted, until_head=until_head)
        if place.cursor:
            request.cursor = place.cursor
        else:
            setattr(request, "from", exchange_service_pb2.START_POINT_START)
        stream = self.connection.exchange.Subscribe(request)
        seen = set(place.seen)
        try:
            for frame in stream:
                # What does not verify ends it here, before anything of the frame takes effect.
                verified = self.connection.verify(list(frame.entries))
                new = [each for each in verified if each.sequence not in seen]
                self._take(new, frame.mark if frame.HasField("mark") else None)
                seen.update(each.sequence for each in new)
                if frame.HasField("mark"):
                    seen.clear()
        finally:
            stream.cancel()

    def _take(self, entries: list[Verified], mark: "exchange_service_pb2.Mark | None") -> None:
        """All effects of a frame and the place behind it, or none of them."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            for verified in entries:
                self.effect(self.db, verified)
            self.db.executemany(
                "INSERT INTO watchfire_seen VALUES (?)", [(verified.sequence,) for verified in entries]
            )
            if mark is not None:
                # Everything below the mark is behind us: the cursor alone says so from now on.
                self.db.execute("UPDATE watchfire_place SET cursor = ?", (mark.cursor,))
                self.db.execute("DELETE FROM watchfire_seen")
            self.db.execute("COMMIT")
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
