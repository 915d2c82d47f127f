"""Frameworks of techniques, as published: what the hub says of them is what a JSON and a CSV reader say."""

import csv
import json
import re

from world import check

UNKNOWN = "TECHNIQUE_UNKNOWN"
OPERATION = ["publish", "operation", "--tlp", "clear", "--audience", "companies"]


def listed(world, member, *args):
    told = world.first.watchfire(member, "techniques", *args, "--format", "jsonl")
    return [json.loads(line) for line in told.splitlines()]


def disarm(world):
    """Techniques and tactics of the bundle, by code."""
    bundle = json.loads((world.shared / "data/disarm/DISARM-1.6.json").read_bytes())
    code = lambda thing: thing["external_references"][0]["external_id"]
    tactics = {one["x_mitre_shortname"]: code(one) for one in bundle["objects"] if one["type"] == "x-mitre-tactic"}
    patterns = [one for one in bundle["objects"] if one["type"] == "attack-pattern"]
    by_id = {one["id"]: code(one) for one in patterns}
    parents = {
        by_id[one["source_ref"]]: by_id[one["target_ref"]]
        for one in bundle["objects"]
        if one.get("relationship_type") == "subtechnique-of"
    }
    return {
        code(one): (
            " ".join(one["name"].split()),
            [tactics[phase["phase_name"]] for phase in one["kill_chain_phases"]],
            parents.get(code(one), ""),
        )
        for one in patterns
    }


def kill_chain(world):
    """Procedures of the vocabulary, by number."""
    path = world.shared / "data/meta-threat-research/Online_Operations_Killchain-TTPs.csv"
    with open(path, newline="", encoding="utf-8") as opened:
        rows = [row for row in list(csv.reader(opened))[1:] if any(cell.strip() for cell in row)]
    numbers = (re.match(r"[\d.]*\d", row[2]).group() for row in rows)
    return {number.removesuffix(".0") if number.count(".") == 3 else number for number in numbers}


def run(world):
    told = listed(world, "liaison-office", "--framework", "disarm")
    read = disarm(world)
    ours = {
        one["external_id"]: (one["name"], [tactic["external_id"] for tactic in one["tactics"]], one["parent"])
        for one in told
    }
    check(f"all {len(read)} techniques of DISARM, with tactics and parents", ours == read and len(told) == len(read))
    check("and their version", {one["version"] for one in told} == {"1.6"})
    numbers = {one["external_id"] for one in listed(world, "acme-video", "--framework", "online-operations-kill-chain")}
    procedures = kill_chain(world)
    check(f"all {len(procedures)} procedures of the kill chain", procedures <= numbers)

    words = [one["external_id"] for one in listed(world, "acme-video", "PROPAGAND", "facilitate")]
    check("words find a technique", words == ["T0002"], str(words))
    tactic = {code for code, (_, tactics, _) in read.items() if "TA15" in tactics}
    found = {one["external_id"] for one in listed(world, "acme-video", "--tactic", "TA15")}
    check(f"a tactic has its {len(tactic)} techniques", found == tactic)

    publish = lambda title, technique: world.first.watchfire_both(
        "acme-video", *OPERATION, "--title", title, "--technique", technique
    )
    known = publish("Techniques, known", "disarm/T0014.001").stderr.decode()
    check("a known technique is not warned of", UNKNOWN not in known, known)
    unknown = publish("Techniques, unknown", "disarm/T9999").stderr.decode()
    is_warned = UNKNOWN in unknown and "disarm 1.6" in unknown
    check("an unknown one is, with the framework that was asked", is_warned, unknown)
    kept = world.first.watchfire("acme-video", "search", "--technique", "disarm/T9999", "--format", "jsonl")
    check("and it is kept", "T9999" in kept, kept)
    shown = world.first.watchfire("birch-social", "show", operation(world, "Techniques, known"))
    name = read["T0014.001"][0]
    check("a technique without a name is shown with the framework's", f"{name}*" in shown, shown)


def operation(world, title):
    told = world.first.watchfire("acme-video", "list", "--body", "operation", "--format", "jsonl")
    lines = map(json.loads, told.splitlines())
    return next(line["name"] for line in lines if line["body"].get("operation", {}).get("title") == title)
