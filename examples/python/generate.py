#!/usr/bin/env python3
"""Generates the messages and stubs of the protocol into `generated/`, beside this file."""

import sys
from importlib import resources
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent.parent / "proto"


def main(out: Path) -> int:
    """Generates into a folder; the exit code of the compiler."""
    out.mkdir(parents=True, exist_ok=True)
    files = sorted(str(path) for path in (PROTO / "watchfire" / "v1").glob("*.proto"))
    # The well-known types come with the tools.
    common = resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{common}"]
    arguments += [f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    return protoc.main([*arguments, *files])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "generated"))
