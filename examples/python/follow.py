#!/usr/bin/env python3
"""Keeps a table of what stands, in a SQLite database, from the log: each entry takes effect once, whatever crashes.

    python follow.py --profile DIR --database records.sqlite [--until-head]
"""

import argparse
import sqlite3
import sys
from pathlib import Path

from google.protobuf.json_format import MessageToJson

from watchfire_client import Connection, Follower, Profile, Verified

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    name TEXT PRIMARY KEY, revision INTEGER, sequence INTEGER, publisher TEXT, kind TEXT, tlp TEXT, body TEXT
);
CREATE TABLE IF NOT EXISTS effects (sequence INTEGER, name TEXT);
"""


def take(db: sqlite3.Connection, verified: Verified) -> None:
    """The effect of one entry, in the transaction that also moves the place."""
    header, body = verified.header, verified.body
    db.execute("INSERT INTO effects VALUES (?, ?)", (verified.sequence, header.name))
    taken_back = body and {"withdrawal": body.withdrawal.of, "takedown": body.takedown.of}.get(verified.kind)
    if taken_back:
        db.execute("DELETE FROM records WHERE name = ?", (taken_back,))
        return
    told = None if body is None else MessageToJson(body, preserving_proto_field_name=True, indent=None)
    tlp = header.handling.DESCRIPTOR.fields_by_name["tlp"].enum_type.values_by_number[header.handling.tlp].name
    db.execute(
        "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
        (header.name, header.revision, verified.sequence, verified.member, verified.kind, tlp, told),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, required=True, help="the member's folder")
    parser.add_argument("--address", help="speak to this host and port instead of the profile's")
    parser.add_argument("--database", type=Path, required=True)
    parser.add_argument("--until-head", action="store_true", help="end when everything that is there was taken in")
    options = parser.parse_args()
    with Connection(Profile.open(options.profile, options.address)) as connection:
        follower = Follower(connection, options.database, take)
        follower.db.executescript(SCHEMA)
        try:
            follower.run(until_head=options.until_head)
        except KeyboardInterrupt:
            pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
