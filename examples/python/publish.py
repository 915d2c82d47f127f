#!/usr/bin/env python3
"""Publishes domains, each as an indicator for all companies; what waits from an earlier run goes first.

    python publish.py --profile DIR news.example weather.example
"""

import argparse
import sys
from pathlib import Path

from watchfire_client import Connection, Outbox, Profile, seal
from watchfire_client.envelope import Handling
from watchfire_client.proto import body_pb2, header_pb2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, required=True, help="the member's folder")
    parser.add_argument("--address", help="speak to this host and port instead of the profile's")
    parser.add_argument("--outbox", type=Path, help="default: outbox-python in the profile's folder")
    parser.add_argument("domains", nargs="*")
    options = parser.parse_args()
    handling = Handling(tlp=header_pb2.TLP_GREEN, audiences=("audiences/companies",))
    with Connection(Profile.open(options.profile, options.address)) as connection:
        outbox = Outbox(connection, options.outbox or options.profile / "outbox-python")
        for domain in options.domains:
            observable = body_pb2.Observable(kind=body_pb2.OBSERVABLE_KIND_DOMAIN, value=domain)
            said = body_pb2.Indicator(observable=observable, confidence=70)
            exchange = connection.roster.exchange
            outbox.put(seal(connection.key, exchange, connection.member, "indicator", said, handling))
        refused = 0
        for outcome in outbox.send():
            if outcome.receipt:
                print(f"{outcome.name}@{outcome.revision} is at {outcome.receipt.sequence}")
                for warning in outcome.warnings:
                    print(f"warning: {warning!r}", file=sys.stderr)
            if outcome.refusal:
                refused += 1
                told = f"{outcome.refusal.reason}: {outcome.refusal.message!r}"
                print(f"{outcome.name} was refused: {told}", file=sys.stderr)
    return 3 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
