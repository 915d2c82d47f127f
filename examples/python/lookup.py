#!/usr/bin/env python3
"""Asks whether anyone knows these values, defanged or not, and shows who says what.

    python lookup.py --profile DIR 'hxxps://news[.]example/a' '@example_voice'
"""

import argparse
import sys
from pathlib import Path

from watchfire_client import Connection, Profile


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, required=True, help="the member's folder")
    parser.add_argument("--address", help="speak to this host and port instead of the profile's")
    parser.add_argument("values", nargs="+")
    options = parser.parse_args()
    with Connection(Profile.open(options.profile, options.address)) as connection:
        for value, found in connection.look_up(options.values):
            print(f"{value}: {len(found)} records")
            for verified in found:
                # What members say is hostile until shown otherwise: never print it raw.
                said = verified.body.indicator.observable.value if verified.body else "(erased)"
                confirmed = " (unconfirmed key)" if verified.unconfirmed else ""
                print(f"  {verified.member}{confirmed} at {verified.sequence}: {said!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
