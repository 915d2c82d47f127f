"""One round of the power-loss test: prepare an exchange, write under load, check what is left, keep what was found.

The exchange is made once and copied onto the image for each round; the member's profile and the receipts stay outside
the image, as they would on another machine.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMBER = "acme-video"
START_SECONDS = 30
BATCH_MAX = 256
# A narrative is at most 4,096 bytes, an envelope at most 60 KiB, a batch at most 1 MiB.
NARRATIVE_BYTES = 4000
# The hub and the client hold the rig's pipe too, behind all their other files: the rig goes on when it is closed, and
# then the image can be unmounted.
PIPE = 250
# Bytes of a record's text; header, signature and salt add some hundreds.
SIZES = [(200, 600), (200, 600), (600, 4_000), (4_000, 12_000), (12_000, 58_000)]
BATCH_BYTES = 900_000


def run(*command: str | Path) -> str:
    """Runs a command and gives its output; its failure is ours."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{command[0]} {command[1]}: exit {done.returncode}: {(done.stdout + done.stderr).strip()[-600:]}")
    return done.stdout


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    """Waits until a hub serves."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the hub does not serve: {log.read_text(errors='replace')[-600:]}")
        time.sleep(0.02)


@contextmanager
def hub(programs: Path, data: Path, log: Path, held: tuple[int, ...] = ()) -> Iterator[str]:
    """The real hub on this data directory; yields its address."""
    port = free_port()
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [programs / "watchfired", "serve", "--data", data, "--listen", f"127.0.0.1:{port}"],
            stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, pass_fds=held,
        )
    try:
        wait_for(port, process, log)
        yield f"localhost:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=30) != 0:
            sys.exit(f"the hub did not stop well: {log.read_text(errors='replace')[-600:]}")


def sync_really(folder: Path) -> None:
    """Syncs the file system of a folder even where the control has made every sync a no-op."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run(["sync", "-f", folder], check=True, env=environment)


def prepare(programs: Path, work: Path) -> None:
    """An exchange with one company."""
    data, profile = work / "exchange", work / "profile"
    run(programs / "watchfired", "init", "--data", data, "--exchange", "spring")
    with hub(programs, data, work / "prepare.log") as address:
        operator = data / "profiles" / "operator"
        run(programs / "watchfire", "--profile", operator, "--address", address,
            "admit", MEMBER, "--role", "company", "--out", profile)


def record(size: int) -> str:
    """A line of input whose text has this many bytes."""
    text = random.randbytes(size // 2).hex()
    narratives = [text[at:at + NARRATIVE_BYTES] for at in range(0, len(text), NARRATIVE_BYTES)]
    body = {"operation": {"title": "Lantern", "narratives": narratives}}
    return json.dumps({"body": body, "handling": {"tlp": "TLP_GREEN", "audiences": ["audiences/companies"]}})


def batch() -> list[str]:
    """Records of one kind of size, as many as one batch may hold of them."""
    low, high = random.choice(SIZES)
    count = random.randint(1, BATCH_MAX)
    sizes = [random.randint(low, high) for _ in range(count)]
    while sum(sizes) > BATCH_BYTES:
        sizes.pop()
    return [record(size) for size in sizes]


def write(programs: Path, work: Path, data: Path) -> None:
    """Publishes until it is killed; keeps each receipt outside the image, then prints how many there are."""
    receipts = work / "receipts"
    receipts.unlink(missing_ok=True)
    profile = work / "writer"
    shutil.rmtree(profile, ignore_errors=True)
    shutil.copytree(work / "profile", profile)
    shutil.copytree(work / "exchange", data)
    # What was there before the round is there in every copy, the control's too: only what follows may be lost.
    sync_really(data)
    os.dup2(sys.stdout.fileno(), PIPE)
    with hub(programs, data, work / "writer.log", (PIPE,)) as address, receipts.open("w") as kept:
        client = subprocess.Popen(
            [programs / "watchfire", "--profile", profile, "--address", address,
             "publish", "--jsonl", "-", "--receipts"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=(PIPE,),
        )
        count = 0
        while True:
            lines = batch()
            client.stdin.write("\n".join(lines) + "\n")
            client.stdin.flush()
            for _line in lines:
                answer = client.stdout.readline()
                if "header_digest" not in answer:
                    sys.exit(f"no receipt but: {answer.strip() or 'the end'}")
                kept.write(answer)
                count += 1
            kept.flush()
            print(count, flush=True)


def check(programs: Path, work: Path, data: Path, acked: int) -> None:
    """Every receipt up to this number has its record in its place, once, and the log holds as a whole."""
    lines = (work / "receipts").read_text().splitlines() if acked else []
    if len(lines) < acked:
        sys.exit(f"{acked} were acknowledged, {len(lines)} receipts were kept")
    receipts = [json.loads(line) for line in lines[:acked]]
    run(programs / "watchfired", "verify", "--data", data)
    # A profile without a memory: it would rightly refuse a log that is shorter than that of an earlier round.
    profile = work / "checker"
    shutil.rmtree(profile, ignore_errors=True)
    shutil.copytree(work / "profile", profile)
    with hub(programs, data, work / "check.log") as address:
        printed = run(programs / "watchfire", "--profile", profile, "--address", address,
                      "subscribe", "--from", "start", "--until-head", "--format", "jsonl")
    if "panicked" in (work / "check.log").read_text(errors="replace"):
        sys.exit("the hub panicked")
    entries = [json.loads(line) for line in printed.splitlines()]
    if [entry["sequence"] for entry in entries] != list(range(len(entries))):
        sys.exit("the sequences are not dense")
    names = [(entry["name"], entry["revision"]) for entry in entries]
    if len(set(names)) != len(names):
        sys.exit("a record is there twice")
    for receipt in receipts:
        sequence = receipt["sequence"]
        found = entries[sequence] if sequence < len(entries) else None
        same = found is not None and all(
            found[field] == receipt[field] for field in ("name", "revision", "header_digest", "epoch")
        )
        if not same:
            sys.exit(f"the record of the receipt at sequence {sequence} is not there")
    print(f"{len(entries)} entries, {acked} receipts kept")


def keep(said: Path, into: Path) -> None:
    """Keeps a line for each round that the rig told of."""
    told = re.findall(r"^round \d+: (\d+) acknowledged: (\w+)", said.read_text(), re.MULTILINE)
    lines = [json.dumps({"receipts": int(receipts), "verdict": verdict}) for receipts, verdict in told]
    with into.open("a") as kept:
        kept.writelines(line + "\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["prepare", "write", "check", "keep"])
    parser.add_argument("--programs", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--said", type=Path)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--acked", type=int, default=0)
    args = parser.parse_args()
    if args.step == "keep":
        keep(args.said, args.into)
    elif args.step == "prepare":
        prepare(args.programs, args.work)
    elif args.step == "write":
        # The rig ends this process by SIGKILL: if it ends otherwise it has failed, and the round proves nothing.
        try:
            write(args.programs, args.work, args.data)
        except BaseException as fault:
            (args.work / "fault").write_text(f"{type(fault).__name__}: {fault}")
            raise
    else:
        check(args.programs, args.work, args.data, args.acked)


if __name__ == "__main__":
    main()
