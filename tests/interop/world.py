"""Two real exchanges, each with a real hub, and the real client as its members use it."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Failed(Exception):
    """A check does not hold."""


def check(name, holds, detail=""):
    if not holds:
        raise Failed(f"{name}: {detail}" if detail else name)
    print(f"  ok      {name}", flush=True)


class Exchange:
    """One hub as a process, and the profiles of its members."""

    def __init__(self, programs, folder, name, members, config=""):
        self.programs, self.folder = programs, folder
        self.port, self.taxii_port = free_port(), free_port()
        self.profiles = folder / "profiles"
        self.log = folder.parent / f"{name}.log"
        self._run("watchfired", "init", "--data", folder, "--exchange", name)
        with open(folder / "watchfired.toml", "a", encoding="utf-8") as written:
            written.write(config.replace("TAXII_PORT", str(self.taxii_port)))
        self.hub = None
        self.start()
        for member, role in members.items():
            self.watchfire("operator", "admit", member, "--role", role, "--out", self.profiles / member)

    def start(self):
        with open(self.log, "ab") as log:
            self.hub = subprocess.Popen(
                [self.programs / "watchfired", "serve", "--data", self.folder, "--listen", f"127.0.0.1:{self.port}"],
                stderr=log,
                stdout=log,
            )
        for _ in range(200):
            if self.hub.poll() is not None:
                raise Failed(f"the hub ended: {self.log.read_text()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise Failed("the hub does not listen")

    def stop(self):
        self.hub.send_signal(signal.SIGTERM)
        if self.hub.wait(60) != 0:
            raise Failed(f"the hub did not stop well: {self.log.read_text()}")
        if "panicked" in self.log.read_text():
            raise Failed(f"the hub panicked: {self.log.read_text()}")
        self._run("watchfired", "verify", "--data", self.folder)

    def watchfire(self, member, *args, stdin=None, fails=None):
        """Runs the client as a member; its standard output. `fails`: the exit code that is expected instead of 0."""
        done = self.watchfire_both(member, *args, stdin=stdin, fails=fails)
        return done.stdout.decode()

    def watchfire_both(self, member, *args, stdin=None, fails=None):
        command = [self.programs / "watchfire", "--profile", self.profiles / member]
        command += ["--address", f"localhost:{self.port}", *args]
        done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, check=False)
        if done.returncode != (fails or 0):
            text = done.stderr.decode(errors="replace")
            raise Failed(f"watchfire {' '.join(map(str, args))} ended with {done.returncode}: {text}")
        return done

    def spawn(self, member, *args, **options):
        """Starts the client as a member, and leaves it running."""
        command = [self.programs / "watchfire", "--profile", self.profiles / member]
        command += ["--address", f"localhost:{self.port}", *args]
        return subprocess.Popen([str(part) for part in command], **options)

    def _run(self, program, *args):
        done = subprocess.run([str(self.programs / program), *map(str, args)], capture_output=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{program} {args[0]}: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()


def frameworks(shared):
    """The hub's configuration of the published frameworks of techniques."""
    files = ["disarm/DISARM-1.6.json", "meta-threat-research/Online_Operations_Killchain-TTPs.csv"]
    return "".join(f'\n[[frameworks]]\nfile = "{shared / "data" / file}"\n' for file in files)


class World:
    """`first` holds everything that is published in `shared`; `second` is empty."""

    def __init__(self, programs, shared):
        self.programs, self.shared = programs, shared
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="watchfire-interop-", dir=base))
        members = {"acme-video": "company", "birch-social": "company", "liaison-office": "observer"}
        config = '\n[taxii]\nlisten = "127.0.0.1:TAXII_PORT"\n'
        self.first = Exchange(programs, self.work / "first", "autumn", members, config + frameworks(shared))
        self.second = Exchange(programs, self.work / "second", "winter", members, config)
        self.lists = sorted((shared / "data/meta-threat-research/indicators/csv").rglob("*.csv"))
        if len(self.lists) < 40:
            raise Failed(f"only {len(self.lists)} published lists")

    def publish_everything(self):
        """Each published list as an operation of its own, as the first member."""
        for path in self.lists:
            title = path.stem.strip()
            self.first.watchfire(
                "acme-video", "publish", "--meta-csv", path, "--operation", title, "--tlp", "clear",
                "--audience", "companies",
            )

    def end(self, kept):
        for exchange in (self.first, self.second):
            exchange.stop()
        if not kept:
            shutil.rmtree(self.work)
        else:
            print(f"kept: {self.work}", file=sys.stderr)
