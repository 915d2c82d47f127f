"""JSON lines out and in: the same names, bodies and handling elsewhere, fields that nobody knows among them."""

import base64
import json

from world import check

SAID = {
    "indicator", "operation", "attribution", "link", "sighting", "opinion", "action-report", "inquiry", "reply", "note",
}


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def put_varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def fields(message):
    """Fields of a message all of whose fields have a length."""
    found, at = [], 0
    while at < len(message):
        tag, at = varint(message, at)
        length, at = varint(message, at)
        found.append((tag >> 3, message[at : at + length]))
        at += length
    return found


def body_of(line):
    return dict(fields(base64.b64decode(line["envelope"])))[4]


def with_more(line):
    """The line as a newer client could have signed it: with a field in its body that no version knows."""
    parts = [
        put_varint(number << 3 | 2) + put_varint(len(data)) + data
        for number, data in (
            (number, data + b"\xba\x3e\x05newer" if number == 4 else data)
            for number, data in fields(base64.b64decode(line["envelope"]))
        )
    ]
    envelope = base64.b64encode(b"".join(parts)).decode()
    return {"body": line["body"], "handling": line["handling"], "envelope": envelope}


def run(world):
    first, second = world.first, world.second
    publish = lambda member, *args: first.watchfire(member, *args).split("@")[0].strip()
    audience = ["--tlp", "green", "--audience", "companies"]
    asset = publish("acme-video", "publish", "--value", "jsonl[.]example", "--kind", "domain", *audience)
    question = publish("birch-social", "ask", "--value", "jsonl[.]example", "--kind", "domain", "Who?", *audience)
    publish("birch-social", "sight", asset, "--count", "3")
    publish("acme-video", "note", asset, "=1+1 is a note; \u00e9\u4e2d")
    publish("acme-video", "reply", question, "--result", "no", "--text", "Nobody.")
    # A later revision lies behind what was said of the first one.
    publish("acme-video", "publish", "--amend", asset, "--value", "jsonl[.]example", "--kind", "domain",
            "--confidence", "70", *audience)
    own = lambda exchange, member: lines(
        exchange.watchfire(member, "list", "--publisher", member, "--format", "jsonl"))
    newer = with_more(next(line for line in own(first, "acme-video") if line["name"] == asset))
    first.watchfire("acme-video", "publish", "--jsonl", "-", stdin=(json.dumps(newer) + "\n").encode())

    files = {}
    for member in ("acme-video", "birch-social"):
        files[member] = world.work / f"{member}.jsonl"
        first.watchfire(member, "export", "jsonl", "--out", files[member])
    exported = lines(files["acme-video"].read_text("utf-8"))
    listed = lines(first.watchfire("acme-video", "list", "--format", "jsonl"))
    key = lambda line: (line["name"], line["revision"])
    same = sorted(map(key, exported)) == sorted(map(key, listed))
    check(f"{len(exported)} lines are every record that is listed", same)
    places = {line["name"]: place for place, line in enumerate(exported)}
    late = [line["name"] for line in exported for of in targets(line) if places.get(of, -1) > places[line["name"]]]
    check("no record stands before what it is about", not late, str(late))

    refused = second.watchfire_both("acme-video", "publish", "--jsonl", files["acme-video"], fails=2)
    check("others' records are refused unless own ones are asked for", b"another member's record" in refused.stderr)
    done = second.watchfire_both("acme-video", "publish", "--jsonl", files["acme-video"], "--own", fails=3)
    told = done.stderr.decode()
    passed = [line for line in told.splitlines() if " is not taken: " in line]
    others = [line for line in exported if line["publisher"] != "members/acme-video" or line["kind"] not in SAID]
    is_told = len(passed) == len(others)
    check(f"{len(others)} lines of others and of the log's own are told one by one", is_told, told[-500:])
    second.watchfire("birch-social", "publish", "--jsonl", files["birch-social"], "--own")
    again = second.watchfire("acme-video", "publish", "--jsonl", files["acme-video"], "--own")
    is_one = again.startswith("1 records are durable")
    check("the answer to another member comes when its question is there", is_one, again)
    for member in ("acme-video", "birch-social"):
        there = {line["name"]: line for line in own(second, member)}
        wanted = [line for line in own(first, member) if line["kind"] in SAID]
        differ = [line["name"] for line in wanted if content(line) != content(there.get(line["name"]))]
        check(f"{len(wanted)} records of {member} have the same name, body and handling", not differ, str(differ[:3]))
    kept = [line for line in exported if body_of(line).endswith(b"newer")]
    there = {line["name"]: line for line in own(second, "acme-video")}
    check("a field that nobody knows is still there", len(kept) == 1 and all(
        body_of(line)[34:] == body_of(there[line["name"]])[34:] for line in kept))
    third = second.watchfire("acme-video", "publish", "--jsonl", files["acme-video"], "--own")
    check("a third time changes nothing", third.startswith("0 records are durable"), third)


def targets(line):
    """Names of records in a statement's references."""
    body = json.dumps({kind: said for kind, said in line["body"].items() if kind not in ("salt", "indicator")})
    return {part.split('"')[0] for part in body.split('"')[1::2] if part.startswith("members/") and "/records/" in part}


def content(line):
    if line is None:
        return None
    body = {kind: said for kind, said in line["body"].items() if kind != "salt"}
    return body, line["handling"], body_of(line)[34:]
