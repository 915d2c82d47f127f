"""Runs the checks, each a module with `run(world)`; they may rely on what `World.publish_everything` has published."""

import argparse
import importlib
import os
import pathlib
import sys
import time

from world import Failed, World

CHECKS = ["stix", "misp", "blocklist"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--shared", type=pathlib.Path, required=True)
    parser.add_argument("checks", nargs="*", choices=[[], *CHECKS], default=CHECKS)
    options = parser.parse_args()
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
        for exchange in (world.first, world.second):
            exchange.hub.kill()
        print(f"interop: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
