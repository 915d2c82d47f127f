"""The client of examples/python and the real hub: it publishes, follows through kills, and believes nothing false."""

import argparse
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric import ed25519
from watchfire_client import Connection, Follower, Outbox, Profile, Refuted, Roster, SigningKey, Verified, seal
from watchfire_client.connection import reason
from watchfire_client.envelope import HEADER_TYPE, Handling
from watchfire_client.proto import body_pb2, entry_pb2, exchange_service_pb2, header_pb2

PATIENCE = 60.0
FOR_COMPANIES = Handling(tlp=header_pb2.TLP_GREEN, audiences=("audiences/companies",))


def demand(holds: bool, what: str) -> None:
    if not holds:
        sys.exit(f"  FAILED  {what}")


def ok(name: str) -> None:
    print(f"  ok      {name}", flush=True)


class Run:
    """The scripts, and the library under them, as two members use them."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.scripts, self.programs, self.work = options.scripts, options.programs, work
        self.address, self.profiles = options.address, options.profiles
        self.acme, self.birch = self.connect("acme-video"), self.connect("birch-social")

    def connect(self, member: str) -> Connection:
        return Connection(Profile.open(self.profiles / member, self.address))

    def command(self, script: str, member: str, *arguments: str | Path) -> list[str]:
        command = [sys.executable, self.scripts / script, "--profile", self.profiles / member]
        return [str(part) for part in [*command, "--address", self.address, *arguments]]

    def script(self, script: str, member: str, *arguments: str | Path, code: int = 0) -> str:
        command = self.command(script, member, *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        demand(done.returncode == code, f"{script}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def ours(self, member: str, *arguments: str) -> str:
        """What our own client says."""
        command = [str(self.programs / "watchfire"), "--profile", str(self.profiles / member)]
        command += ["--address", self.address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
        demand(done.returncode == 0, f"watchfire {arguments[0]}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def outbox(self, name: str) -> Outbox:
        return Outbox(self.acme, self.work / name)

    def sealed(self, value: str, key: SigningKey | None = None) -> "entry_pb2.Envelope":
        observable = body_pb2.Observable(kind=body_pb2.OBSERVABLE_KIND_DOMAIN, value=value)
        said = body_pb2.Indicator(observable=observable, confidence=80)
        exchange, member = self.acme.roster.exchange, self.acme.member
        return seal(key or self.acme.key, exchange, member, "indicator", said, FOR_COMPANIES)


def scripts_publish_and_look_up(run: Run) -> None:
    told = run.script("publish.py", "acme-video", "sdk-one.example", "sdk-two.example").splitlines()
    demand(len(told) == 2 and all(" is at " in line for line in told), f"published: {told}")
    found = run.script("lookup.py", "birch-social", "hxxp://SDK-ONE[.]example", "sdk-two[.]example", "sdk-none.example")
    demand("members/acme-video at " in found and "sdk-none.example: 0 records" in found, found)
    ok("scripts publish and look up")


def what_waits_goes_with_the_next_run_byte_for_byte(run: Run) -> None:
    outbox, envelope = run.outbox("first"), run.sealed("sdk-waits.example")
    outbox.put(envelope)
    demand(len(run.outbox("first").waiting()) == 1, "it is on the disk")
    [first] = run.outbox("first").send()
    outbox.put(envelope)
    [again] = outbox.send()
    demand(first.receipt is not None and again.receipt is not None, "both have receipts")
    demand(not first.receipt.repeated and again.receipt.repeated, "the second is a repeat")
    demand(first.receipt.sequence == again.receipt.sequence, "the same place")
    demand(not outbox.waiting(), "nothing waits")
    ok("what waits goes with the next run, byte for byte, and is not said twice")


def a_revision_follows(run: Run) -> None:
    first = run.sealed("sdk-revised.example")
    said = body_pb2.Indicator.FromString(body_pb2.Body.FromString(first.body).indicator.SerializeToString())
    said.confidence = 10
    second = seal(run.acme.key, run.acme.roster.exchange, run.acme.member, "indicator", said, FOR_COMPANIES, first)
    outbox = run.outbox("revisions")
    outbox.put(first)
    outbox.put(second)
    outcomes = outbox.send()
    demand([outcome.revision for outcome in outcomes] == [1, 2], f"{outcomes}")
    demand(all(outcome.receipt for outcome in outcomes), f"{outcomes}")
    ok("a revision follows the one before")


def a_bad_signature_is_refused_by_the_hub_and_leaves(run: Run) -> None:
    damaged = run.sealed("sdk-damaged.example")
    damaged.signatures[0].sig = bytes([damaged.signatures[0].sig[0] ^ 1]) + damaged.signatures[0].sig[1:]
    stranger = run.sealed("sdk-stranger.example", SigningKey(ed25519.Ed25519PrivateKey.generate()))
    good = run.sealed("sdk-good.example")
    outbox = run.outbox("damaged")
    for envelope in (damaged, stranger, good):
        outbox.put(envelope)
    told = [outcome.refusal.reason if outcome.refusal else "taken" for outcome in outbox.send()]
    demand(told == ["BAD_SIGNATURE", "KEY_NOT_VALID", "taken"], f"{told}")
    demand(not outbox.waiting(), "what was refused for good does not wait")
    ok("a bad signature is refused, and sinks no other")


def nothing_false_is_believed(run: Run) -> None:
    page = run.birch.exchange.ListRecords(exchange_service_pb2.ListRecordsRequest(page_size=50), timeout=PATIENCE)
    entry = next(each for each in page.entries if each.sequence and HEADER_TYPE == each.envelope.payload_type)
    [_verified] = run.birch.verify([entry])

    def payload(changed: "entry_pb2.Entry") -> None:
        changed.envelope.payload = changed.envelope.payload[:-1] + bytes([changed.envelope.payload[-1] ^ 1])

    def body(changed: "entry_pb2.Entry") -> None:
        changed.envelope.body = changed.envelope.body[:-1] + bytes([changed.envelope.body[-1] ^ 1])

    def signature(changed: "entry_pb2.Entry") -> None:
        sig = changed.envelope.signatures[0].sig
        changed.envelope.signatures[0].sig = sig[:9] + bytes([sig[9] ^ 1]) + sig[10:]

    def signer(changed: "entry_pb2.Entry") -> None:
        key = SigningKey(ed25519.Ed25519PrivateKey.generate())
        changed.envelope.CopyFrom(run.sealed("sdk-forged.example", key))

    def claimed(changed: "entry_pb2.Entry") -> None:
        forger = SigningKey(ed25519.Ed25519PrivateKey.generate())
        changed.envelope.CopyFrom(run.sealed("sdk-claimed.example", forger))
        changed.envelope.signatures[0].keyid = run.acme.key.id

    def earlier(changed: "entry_pb2.Entry") -> None:
        # Before its publisher was admitted: where the founding record stands.
        changed.sequence = 0

    def erased(changed: "entry_pb2.Entry") -> None:
        changed.envelope.body = b""
        changed.erased.cause_sequence = changed.sequence + 1

    def notice(changed: "entry_pb2.Entry") -> None:
        changed.envelope.payload_type = "application/vnd.watchfire.hub.v1+protobuf"

    changes: list[Callable[["entry_pb2.Entry"], None]] = [
        payload, body, signature, signer, claimed, earlier, erased, notice
    ]
    for change in changes:
        changed = entry_pb2.Entry()
        changed.CopyFrom(entry)
        change(changed)
        try:
            run.birch.verify([changed])
        except Refuted:
            continue
        demand(False, f"an entry with another {change.__name__} was believed")
    genesis = (run.profiles / "acme-video" / "genesis.envelope").read_bytes()
    Roster.of_genesis(genesis)
    for at in (40, len(genesis) // 2, len(genesis) - 3):
        try:
            Roster.of_genesis(genesis[:at] + bytes([genesis[at] ^ 1]) + genesis[at + 1:])
        except Exception:  # noqa: BLE001  a changed founding record may not even decode
            continue
        demand(False, f"a founding record that was changed at byte {at} was believed")
    ok(f"{len(changes)} ways of changing an entry are refuted, and a changed founding record")


def count(database: Path) -> int:
    if not database.exists():
        return 0
    db = sqlite3.connect(database, timeout=30)
    try:
        return db.execute("SELECT count(*) FROM effects").fetchone()[0]
    except sqlite3.OperationalError:
        return 0
    finally:
        db.close()


def a_follower_that_is_killed_has_each_effect_once(run: Run) -> None:
    database = run.work / "followed.sqlite"
    names = []
    for round_ in range(6):
        before = count(database)
        command = run.command("follow.py", "birch-social", "--database", database)
        follower = subprocess.Popen(command, stderr=subprocess.PIPE)
        outbox = run.outbox("followed")
        for number in range(20):
            envelope = run.sealed(f"sdk-{round_}-{number}.example")
            names.append(header_pb2.Header.FromString(envelope.payload).name)
            outbox.put(envelope)
            outbox.send()
            # At another moment of each round: before it began, amid the stream, at its end.
            if number >= 3 * round_ and count(database) > before:
                follower.send_signal(signal.SIGKILL)
        end = time.monotonic() + PATIENCE
        while follower.poll() is None and count(database) == before:
            demand(time.monotonic() < end, "a follower takes nothing in")
            time.sleep(0.05)
        follower.kill()
        follower.wait()
    run.script("follow.py", "birch-social", "--database", database, "--until-head")
    db = sqlite3.connect(database)
    effects = db.execute("SELECT sequence, name FROM effects").fetchall()
    demand(len(effects) == len(set(effects)), "an effect came twice")
    seen = {name for _, name in effects}
    demand(set(names) <= seen, f"{len(set(names) - seen)} of {len(names)} are missing")
    stands = {name for (name,) in db.execute("SELECT name FROM records")}
    demand(set(names) <= stands, "the table holds what stands")
    fresh = run.work / "fresh.sqlite"
    run.script("follow.py", "birch-social", "--database", fresh, "--until-head")
    other = sqlite3.connect(fresh).execute("SELECT sequence, name FROM effects").fetchall()
    demand(sorted(effects) == sorted(other), "it has what one has that was never killed")
    ok(f"a follower that is killed has each of {len(effects)} effects once")


def an_effect_that_fails_leaves_nothing_behind(run: Run) -> None:
    calls: list[int] = []

    def failing(db: sqlite3.Connection, verified: Verified) -> None:
        db.execute("CREATE TABLE IF NOT EXISTS effects (sequence INTEGER)")
        db.execute("INSERT INTO effects VALUES (?)", (verified.sequence,))
        calls.append(verified.sequence)
        if len(calls) == 3:
            raise RuntimeError("no room")

    database = run.work / "failing.sqlite"
    follower = Follower(run.birch, database, failing)
    try:
        follower.run(until_head=True)
        demand(False, "it went on after an effect that failed")
    except RuntimeError:
        pass
    db = sqlite3.connect(database)
    kept = {each for (each,) in db.execute("SELECT sequence FROM effects")} if count(database) else set()
    # Frames before it stand; of its own nothing does.
    demand(len(calls) == 3 and calls[2] not in kept and len(kept) < 3, "half a frame took effect")
    follower.run(until_head=True)
    follower.run(until_head=True)
    effects = [each for (each,) in db.execute("SELECT sequence FROM effects")]
    demand(len(effects) == len(set(effects)) > 3 and calls[2] in effects, "each effect is there once")
    ok("an effect that fails leaves nothing behind")


def keys_that_change_are_followed(run: Run) -> None:
    stale = run.birch.roster.folded
    run.ours("acme-video", "keys", "rotate")
    before, run.acme = run.acme, run.connect("acme-video")
    demand(before.key.id != run.acme.key.id, "the profile has another key")
    outbox = run.outbox("rotated")
    outbox.put(run.sealed("sdk-rotated.example"))
    outbox.put(run.sealed("sdk-retired.example", before.key))
    told = [outcome.refusal.reason if outcome.refusal else "taken" for outcome in outbox.send()]
    demand(told == ["taken", "KEY_NOT_VALID"], f"{told}")
    [(_, found)] = run.birch.look_up(["sdk-rotated.example"])
    demand(len(found) == 1 and run.birch.roster.folded > stale, "the new key's record verifies")
    keys = [key for key in run.birch.roster.keys.values() if key.member == run.acme.member and key.retired_at]
    demand(len(keys) >= 1, "the old key is retired")
    ok("a key that was rotated signs, and the old one no longer")


def an_erased_body_needs_its_notice(run: Run) -> None:
    told = run.ours("acme-video", "publish", "--value", "sdk-erased[.]example", "--kind", "domain",
                    "--tlp", "green", "--audience", "companies")
    name = told.split("@")[0].strip()
    run.ours("acme-video", "withdraw", name, "--reason", "privacy", "--demand-deletion")
    seen: list[Verified] = []
    follower = Follower(run.birch, run.work / "erased.sqlite", lambda _db, verified: seen.append(verified))
    end = time.monotonic() + PATIENCE
    while not any(each.kind == "erasure" for each in seen):
        demand(time.monotonic() < end, "no notice came")
        follower.run(until_head=True)
    again: list[Verified] = []
    Follower(run.birch, run.work / "again.sqlite", lambda _db, each: again.append(each)).run(until_head=True)
    [erased] = [each for each in again if each.header.name == name]
    demand(erased.body is None and erased.kind == "indicator", "the header stays, the body is gone")
    [notice] = [each for each in again if each.sequence == erased.erased_by]
    demand(notice.member == "members/hub" and notice.kind == "erasure", "the hub says so, in the log")
    ok("an erased body needs its notice, which the log's key signed")


def the_logs_next_key_is_followed(run: Run) -> None:
    first = run.birch.roster.log_keys
    outbox = run.outbox("after")
    outbox.put(run.sealed("sdk-after.example"))
    [outcome] = outbox.send()
    demand(outcome.receipt is not None, "the receipt is of the new key's checkpoint")
    [(_, found)] = run.birch.look_up(["sdk-after.example"])
    demand(len(found) == 1 and len(run.birch.roster.log_keys) == 2 and first[0] == run.birch.roster.log_keys[0],
           "the roster has both keys of the log")
    # Notices of before verify by the key of before.
    database = run.work / "rotated-log.sqlite"
    run.script("follow.py", "birch-social", "--database", database, "--until-head")
    demand(count(database) > 100, "all of the log verifies")
    ok("the log's next key is followed by the log's own word")


def refusals_have_their_reasons(run: Run) -> None:
    request = exchange_service_pb2.SubscribeRequest(cursor=b"x" * 40)
    try:
        next(run.birch.exchange.Subscribe(request, timeout=PATIENCE))
        demand(False, "a forged cursor was taken")
    except grpc.RpcError as error:
        demand(reason(error) == "CURSOR_INVALID", f"{reason(error)}: {error}")
    ok("refusals have their reasons")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--scripts", type=Path, required=True)
    parser.add_argument("--log-key-rotated", action="store_true", help="check only what follows from that")
    parser.add_argument("--address", required=True)
    parser.add_argument("--profiles", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.profiles.parent) as work:
        run = Run(options, Path(work))
        if options.log_key_rotated:
            the_logs_next_key_is_followed(run)
            return
        scripts_publish_and_look_up(run)
        what_waits_goes_with_the_next_run_byte_for_byte(run)
        a_revision_follows(run)
        a_bad_signature_is_refused_by_the_hub_and_leaves(run)
        nothing_false_is_believed(run)
        a_follower_that_is_killed_has_each_effect_once(run)
        an_effect_that_fails_leaves_nothing_behind(run)
        keys_that_change_are_followed(run)
        an_erased_body_needs_its_notice(run)
        refusals_have_their_reasons(run)


if __name__ == "__main__":
    main()
