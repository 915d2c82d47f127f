"""A copy of the checkout in which code may be spoilt, with a folder of its own for what is built of it.

Crates of others are taken over as they were built for the project, so that only the project itself is built anew. The
copy lies two folders down, with `../shared` beside it as the project has it.
"""

import os
import shutil
import subprocess
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
# The copy lies within the project, where cargo finds these settings anyhow: twice they would be others.
INHERITED = {Path(".cargo/config.toml")}
# Also where the faults keep what they found, a line a round: `tests/faults/run report` counts them together.
KEPT = PROJECT / "target" / "faults"


class Checkout:
    """One copy: its files, and what cargo and tests need around them."""

    def __init__(self, name: str) -> None:
        self.home = PROJECT / "target" / name
        self.tree = self.home / "tree"
        self.target = self.home / "target"
        # Other programs or another lane may be meant for the tests of the project, and not for those of a copy.
        own = {name: value for name, value in os.environ.items() if not name.startswith("WATCHFIRE_")}
        self.environment = dict(
            own, CARGO_TARGET_DIR=str(self.target), CARGO_TERM_COLOR="never",
            # The copy lies within the repository; git is to see a folder like any other.
            GIT_CEILING_DIRECTORIES=str(self.home),
        )
        self.tree.mkdir(parents=True, exist_ok=True)
        self._share()
        self._warm()
        self.restore()

    def restore(self) -> None:
        """Makes the copy what the checkout is, uncommitted changes included. What is the same keeps its time."""
        listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                cwd=PROJECT, check=True, capture_output=True, text=True).stdout
        files = {Path(name) for name in listed.split("\0") if name and (PROJECT / name).is_file()} - INHERITED
        for file in files:
            here, there = PROJECT / file, self.tree / file
            if there.is_file() and there.read_bytes() == here.read_bytes():
                continue
            there.parent.mkdir(parents=True, exist_ok=True)
            # Without the time of the original: cargo goes by it, and the copy has changed now.
            shutil.copyfile(here, there)
            shutil.copymode(here, there)
        for folder, folders, names in os.walk(self.tree):
            folders[:] = [each for each in folders if each != "__pycache__"]
            for name in names:
                if (Path(folder) / name).relative_to(self.tree) not in files:
                    (Path(folder) / name).unlink()

    def apply(self, patch: Path) -> None:
        """Plants a patch."""
        subprocess.run(["git", "apply", str(patch)], cwd=self.tree, env=self.environment, check=True)

    def _share(self) -> None:
        shared = self.home / "shared"
        if not shared.is_symlink():
            shared.symlink_to(PROJECT.parent / "shared")

    def _warm(self) -> None:
        built, warm = PROJECT / "target" / "debug", self.target / "debug"
        if warm.exists() or not built.is_dir():
            return
        half = self.home / "half"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        # cp keeps the times, by which cargo knows that nothing changed.
        subprocess.run(["cp", "-a", "--reflink=auto", *(str(built / part) for part in ("deps", "build", ".fingerprint")
                                                        if (built / part).is_dir()), str(half)], check=True)
        self.target.mkdir(exist_ok=True)
        half.rename(warm)
