"""What a hostile or broken file does to each importer: a clear error with its place, in bounded memory, or an account of
what was passed over. Never a crash, never silence."""

import json
import subprocess
import sys
import uuid

from world import Failed, check

BIG = 100 * 1024 * 1024
# Resident: the text of a file, and where one object is all of it, the buffer that it is read into, which doubles as it grows.
MEMORY_MAX = 384 * 1024 * 1024
SECONDS_MAX = 120
# From a process that is small itself: what a new one is said to have held at most includes what its parent held then.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
with open(sys.argv[1], "w") as told:
    told.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss} {usage.ru_utime}")
"""


def bundle(objects):
    return json.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": objects})


def domain(number, name=None):
    stamp = "2026-01-01T00:00:00.000Z"
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.UUID(int=number, version=4)}",
        "created": stamp,
        "modified": stamp,
        "valid_from": stamp,
        "pattern_type": "stix",
        "pattern": f"[domain-name:value = '{name or f'host-{number}.example'}']",
    }


def relation(number, source, target):
    stamp = "2026-01-01T00:00:00.000Z"
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{uuid.UUID(int=number, version=4)}",
        "created": stamp,
        "modified": stamp,
        "relationship_type": "related-to",
        "source_ref": source,
        "target_ref": target,
    }


def report(number, refs):
    stamp = "2026-01-01T00:00:00.000Z"
    return {
        "type": "report",
        "spec_version": "2.1",
        "id": f"report--{uuid.UUID(int=number, version=4)}",
        "created": stamp,
        "modified": stamp,
        "published": stamp,
        "name": "around",
        "object_refs": refs,
    }


def chain(length):
    """Notes, each about the next, and at last an asset."""
    stamp = "2026-01-01T00:00:00.000Z"
    ids = [f"note--{uuid.UUID(int=number + 100, version=4)}" for number in range(length)]
    last = domain(1)
    notes = [
        {"type": "note", "spec_version": "2.1", "id": own, "created": stamp, "modified": stamp, "content": "so", "object_refs": [about]}
        for own, about in zip(ids, [*ids[1:], last["id"]])
    ]
    return [*notes, last]


def around():
    """Objects that refer to each other, and to themselves."""
    ids = [f"report--{uuid.UUID(int=number, version=4)}" for number in range(1, 4)]
    circle = [report(1, [ids[1]]), report(2, [ids[2]]), report(3, [ids[0], ids[2]])]
    own = domain(9)
    return [*circle, own, relation(10, own["id"], own["id"]), relation(11, ids[0], ids[0])]


def big_bundle(path, one):
    with open(path, "w", encoding="utf-8") as written:
        written.write('{"type":"bundle","id":"bundle--b0000000-0000-4000-8000-000000000000","objects":[')
        size, number = 0, 0
        while size < BIG:
            text = ("," if number else "") + json.dumps(one(number))
            size += len(text)
            number += 1
            written.write(text)
        written.write("]}")


def line(value, **more):
    body = {"indicator": {"observable": {"kind": "OBSERVABLE_KIND_DOMAIN", "value": value}}}
    return json.dumps({"body": body, "handling": {"tlp": "TLP_GREEN"}, **more})


class Importer:
    """One way in, with the files that are meant to break it: name, content, and whether the import must fail."""

    def __init__(self, world, folder, flags, suffix):
        self.world, self.folder, self.flags, self.suffix = world, folder, flags, suffix

    def run(self, name, content, words=(), fails=True):
        path = self.folder / f"{name.replace(' ', '-')}{self.suffix}"
        if callable(content):
            content(path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        exchange = self.world.second
        command = [exchange.programs / "watchfire", "--profile", exchange.profiles / "birch-social"]
        command += ["--address", f"localhost:{exchange.port}", "publish", *self.flags(path)]
        measured = [sys.executable, "-c", MEASURE, self.folder / "told", *command]
        with open(self.folder / "out", "wb") as out, open(self.folder / "err", "wb") as err:
            subprocess.run([str(part) for part in measured], stdout=out, stderr=err, check=True)
        code, kibibytes, seconds = (self.folder / "told").read_text().split()
        said = (self.folder / "out").read_text(errors="replace") + (self.folder / "err").read_text(errors="replace")
        path.unlink()
        code = int(code)
        where = f"{self.flags('')[0]}, {name}"
        if "panicked" in said or code < 0 or code in (101, 134):
            raise Failed(f"{where}: it crashed: {said[-2000:]}")
        check(f"{where}: exit code {code}", (code in (1, 2, 3)) if fails else code == 0, said[-1000:])
        memory = int(kibibytes) * 1024
        if memory > MEMORY_MAX:
            raise Failed(f"{where}: {memory // 2**20} MiB")
        if float(seconds) > SECONDS_MAX:
            raise Failed(f"{where}: {seconds} s")
        for word in words:
            if word not in said:
                raise Failed(f"{where}: it does not say {word!r}: {said[-2000:]}")
        return said


def stix(world, folder):
    handling = ["--tlp", "green", "--audience", "companies"]
    one = Importer(world, folder, lambda path: ["--stix", path, *handling, "--dry-run"], ".json")
    one.run("nothing at all", "")
    one.run("no json", "indicator,value\n", ["no-json"])
    one.run("cut off", bundle([domain(1)])[:-20], ["cut-off"])
    one.run("deep nesting", '{"type":"bundle","id":"bundle--b0000000-0000-4000-8000-000000000000","objects":' + "[" * 200_000)
    deep = bundle([domain(1)]).replace('"pattern_type"', '"x_deep": ' + '{"a":' * 5000 + "1" + "}" * 5000 + ', "pattern_type"')
    one.run("an object that is deep", deep, ["nested more than", "indicator--"], fails=False)
    one.run("utf-16", bundle([domain(1)]).encode("utf-16"))
    one.run("latin-1", bundle([domain(1, "caf\u00e9.example")]).replace("\\u00e9", "\u00e9").encode("latin-1"))
    one.run("a nul byte", bundle([domain(1)]).encode() + b"\0")
    first, second = domain(7), domain(7, "other.example")
    one.run("one id for two things", bundle([first, second]), [first["id"]])
    one.run("the same thing twice", bundle([first, first]), fails=False)
    one.run("references in a circle", bundle(around()), fails=False)
    one.run("100 MB of repetition", lambda path: big_bundle(path, lambda number: domain(1)), ["duplicate"], fails=False)
    one.run("100 MB of nothing", lambda path: big_bundle(path, lambda number: {**domain(number), "x_zeroes": [0] * 50_000}), fails=False)
    one.run("8,000 notes, each on the next", bundle(chain(8_000)), fails=False)
    one.run("one object of 100 MB", lambda path: big_bundle(path, lambda number: {**domain(number), "description": "x" * BIG}))


def jsonl(world, folder):
    handling = ["--tlp", "green", "--audience", "companies"]
    one = Importer(world, folder, lambda path: ["--jsonl", path, *handling, "--dry-run"], ".jsonl")
    one.run("no json", line("one.example") + "\nno json\n", ["line 2"])
    one.run("deep nesting", line("one.example") + "\n" + "[" * 200_000 + "\n", ["line 2"])
    one.run("utf-16", line("one.example").encode("utf-16"), ["line 1"])
    one.run("an unknown field", line("one.example", colour="red"), ["line 1", "colour"])
    one.run("one line of 100 MB", lambda path: path.write_bytes(b'{"body":"' + b"x" * BIG + b'"}'), ["line 1"])
    one.run("a record of another member", line("one.example", name=f"members/acme-video/records/{uuid.uuid4()}"), ["line 1"])


def meta_csv(world, folder):
    handling = ["--tlp", "green", "--audience", "companies", "--operation", "Broken", "--dry-run"]
    one = Importer(world, folder, lambda path: ["--meta-csv", path, *handling], ".csv")
    header = "Tactic,Technique,Procedure,Indicator\r\n"
    one.run("an unknown layout", "a,b\r\n1,2\r\n", ["an-unknown-layout"])
    one.run("a quote that is never closed", header + '"0. Acquiring assets,0.1,0.1.1,x\r\n' * 3, ["never closed"])
    one.run("utf-16", (header + "a,b,c,d\r\n").encode("utf-16"))
    one.run("100 MB", lambda path: path.write_bytes(header.encode() + b"a,b,c,one.example\r\n" * (BIG // 19)), ["more than"])
    said = one.run("latin-1 in a cell", header.encode() + b"0. Acquiring assets,0.7,0.7.1 Domains,caf\xe9.example\r\n", fails=False)
    check("a cell that is not UTF-8 is told by its line", ":2 encoding" in said, said)


def run(world):
    folder = world.work / "hostile"
    folder.mkdir()
    stix(world, folder)
    jsonl(world, folder)
    meta_csv(world, folder)
