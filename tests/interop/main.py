"""Runs the checks, each a module with `run(world)`; they may rely on what `World.publish_everything` has published."""

import argparse
import importlib
import os
import pathlib
import sys
import time

from world import Failed, World

# Those that publish something of their own come behind those that count what is published.
CHECKS = ["stix", "csv", "misp", "blocklist", "taxii", "jsonl", "rest", "techniques", "hostile"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--shared", type=pathlib.Path, required=True)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    options = parser.parse_args()
    if unknown := set(options.checks) - set(CHECKS):
        parser.error(f"there is no check {', '.join(sorted(unknown))}")
    world = World(options.programs, options.shared.resolve())
    try:
        print("== everything that is published", flush=True)
        world.publish_everything()
        for name in options.checks or CHECKS:
            started = time.monotonic()
            print(f"== {name}", flush=True)
            importlib.import_module(f"check_{name}").run(world)
            print(f"   {name}: {time.monotonic() - started:.0f} s", flush=True)
        world.end(os.environ.get("KEEP"))
    except Failed as failed:
        print(f"interop: {failed}", file=sys.stderr)
        return 1
    finally:
        for exchange in (world.first, world.second):
            exchange.hub.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
