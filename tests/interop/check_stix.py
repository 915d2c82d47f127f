"""STIX 2.1: what is exported, by the validator and the library of OASIS; what comes in, by what is there afterwards."""

import collections
import functools
import json
import multiprocessing
import re

import referencing
import referencing.jsonschema
import stix2
import stix2validator
import stix2validator.validator

from world import check

# Warnings that no fix can remove. 244: the vocabulary of account types is an open one and has no word for most platforms,
# and an account without its platform is another account. 302: a reference to a page has no hash, since nobody fetched it.
WARNINGS_THAT_STAY = {"244", "302"}
OBJECTS_AT_ONCE = 1200
OBSERVABLES = {"domain-name", "url", "email-addr", "ipv4-addr", "ipv6-addr", "user-account", "file"}
MAIN_TYPES = {
    "indicator": {"indicator", "note"},
    "operation": {"campaign"},
    "attribution": {"relationship"},
    "link": {"relationship", "note"},
    "sighting": {"sighting", "note"},
    "opinion": {"opinion"},
    "action-report": {"note"},
    "inquiry": {"note"},
    "reply": {"note"},
    "note": {"note"},
}


class Schemas:
    """The validator reads its schemas anew for every object, which is most of its time: here each is read once. What is
    checked is the same."""

    def __init__(self):
        self.resources, self.validators = {}, {}
        stix2validator.validator.load_validator = self.load

    def retrieve(self, schema_dir, uri):
        found = stix2validator.validator.retrieve_from_filesystem(uri, schema_dir=schema_dir)
        self.resources[uri] = found
        return found

    def load(self, path, schema, schema_dir):
        count, validator = self.validators.get(path, (-1, None))
        if count != len(self.resources):
            patched = stix2validator.validator._PATCHED_SCHEMAS
            if path not in patched:
                patched[path] = stix2validator.validator.patch_schema(schema, path)
            own = referencing.jsonschema.DRAFT202012.create_resource(patched[path])
            registry = referencing.Registry(retrieve=functools.partial(self.retrieve, schema_dir))
            registry = registry.with_resources([*self.resources.items(), (path, own)]).crawl()
            checker = stix2validator.validator.Draft202012Validator.FORMAT_CHECKER
            validator = stix2validator.validator.STIXValidator(patched[path], registry=registry, format_checker=checker)
            self.validators[path] = (len(self.resources), validator)
        return validator


SCHEMAS = Schemas()


def validated(objects):
    """What the validator and the library say of some objects: errors, codes of warnings, ids that differ."""
    bundle = {"type": "bundle", "id": "bundle--8e2f3c5a-3f5c-4a53-9f3e-0d7c9be5a6a1", "objects": objects}
    # Every check that there is; what is only recommended comes as a warning.
    found = stix2validator.validate_string(json.dumps(bundle), stix2validator.ValidationOptions(version="2.1"))
    errors = [str(error) for error in found.errors or []]
    warnings = [str(warning) for warning in found.warnings or []]
    # The library refuses what is not of the standard; extensions are.
    for given in stix2.parse(bundle, allow_custom=False).objects:
        if given.type in OBSERVABLES:
            fields = {key: value for key, value in given.items() if key not in ("id", "type", "spec_version")}
            if type(given)(**fields).id != given.id:
                errors.append(f"{given.id} is not the id of {fields}")
    return errors, warnings


def check_valid(objects):
    chunks = [objects[at : at + OBJECTS_AT_ONCE] for at in range(0, len(objects), OBJECTS_AT_ONCE)]
    with multiprocessing.Pool(2) as pool:
        results = pool.map(validated, chunks, chunksize=1)
    errors = [error for found, _ in results for error in found]
    check("the validator finds no error, the library takes all, observables have its ids", not errors, errors[:3])
    codes = collections.Counter()
    strange = []
    for _, warnings in results:
        for warning in warnings:
            code = re.search(r"\{(\d+)\}", warning).group(1)
            codes[code] += 1
            if code not in WARNINGS_THAT_STAY:
                strange.append(warning)
    check(f"no warning that a fix could remove; those that stay: {dict(codes)}", not strange, strange[:3])


def main_objects(objects, extension):
    """By record: the object that stands for it."""
    found = {}
    for given in objects:
        said = given.get("extensions", {}).get(extension)
        if said:
            check_once = found.setdefault(said["record"], given)
            if check_once is not given:
                check("each record has one object", False, said["record"])
    return found


def listed(exchange, member):
    """By record, what the client lists."""
    lines = exchange.watchfire(member, "list", "--format", "jsonl").splitlines()
    kinds = set(MAIN_TYPES)
    return {line["name"]: line for line in map(json.loads, lines) if line["kind"] in kinds}


def without_salt(body):
    return {key: value for key, value in body.items() if key != "salt"}


def refanged(value):
    """A published domain as an independent reader takes it."""
    value = value.replace("[.]", ".").replace("(.)", ".").replace("[", "").replace("]", "").strip().lower()
    return re.sub(r"^(https?://)?(www\.)?", "", value).rstrip("./")


def check_values(records, lines):
    """Each record is there, with what was signed; and the names in patterns are those that were published."""
    check(f"all {len(lines)} records are there, and no other", records.keys() == lines.keys())
    domains = 0
    for name, given in records.items():
        line, extension = lines[name], extension_of(given)
        same = (
            extension["body"] == without_salt(line["body"])
            and extension["handling"] == line["handling"]
            and extension["envelope"] == line["envelope"]
            and extension["sequence"] == line["sequence"]
            and extension["revision"] == line["revision"]
            and extension["kind"] == line["kind"]
            and given["type"] in MAIN_TYPES[line["kind"]]
        )
        if not same:
            check("an object says what the record says", False, name)
        observable = line["body"].get("indicator", {}).get("observable", {})
        if observable.get("kind") == "OBSERVABLE_KIND_DOMAIN" and given["pattern"].startswith("[domain-name"):
            value = refanged(observable["value"])
            if value.isascii() and given["pattern"] != f"[domain-name:value = '{value}']":
                check("a pattern names the published domain", False, f"{given['pattern']} for {value}")
            domains += 1
    check(f"every object says what its record says; {domains} patterns name the published domain", domains > 6000)


EXTENSION = []


def extension_of(given):
    return given["extensions"][EXTENSION[0]]


def check_refs(objects):
    ids = {given["id"] for given in objects}
    check("each id is there once", len(ids) == len(objects))
    for given in objects:
        for key, value in given.items():
            targets = [value] if key.endswith("_ref") else value if key.endswith("_refs") else []
            for target in targets:
                if target not in ids:
                    check("every reference has a target", False, f"{given['id']}: {key} {target}")
    check("every reference has a target", True)


def exported(exchange, member, *filters):
    path = exchange.folder.parent / f"{exchange.folder.name}.stix.json"
    exchange.watchfire(member, "export", "stix", *filters, "--out", path)
    return path, json.loads(path.read_text(encoding="utf-8"))


def imported(exchange, member, *args, fails=None):
    """Imports; the account as numbers, and what was skipped."""
    told = exchange.watchfire(member, "publish", "--stix", *args, fails=fails)
    account = re.search(r"^objects: (\d+) = (\d+) carried \+ (\d+) joined into others \+ (\d+) said by signed records \+ (\d+) duplicate \+ (\d+) skipped", told, re.M)
    records = re.search(r"^records: (\d+) new, (\d+) changed, (\d+) unchanged", told, re.M)
    skipped = [line for line in told.splitlines() if line.startswith("skipped ")]
    numbers = [int(number) for number in account.groups()]
    if numbers[0] != sum(numbers[1:]) or numbers[5] != len(skipped):
        check("the account adds up", False, account.group(0))
    return numbers, [int(number) for number in records.groups()], skipped, told


HANDLING = ["--tlp", "clear", "--audience", "companies"]


def renamed(value, names):
    """A body with the names in it as they are elsewhere."""
    if isinstance(value, dict):
        return {key: renamed(one, names) for key, one in value.items()}
    if isinstance(value, list):
        return [renamed(one, names) for one in value]
    return names.get(value, value) if isinstance(value, str) else value


def traced(lines):
    """By the revision that a record was taken over from: the record, without that trace."""
    found = {}
    for line in lines.values():
        body = without_salt(line["body"])
        for kind, field in (("indicator", "evidence"), ("operation", "references"), ("attribution", "references")):
            for trace in body.get(kind, {}).get(field, []):
                uri = trace["uri"] if kind == "indicator" else trace
                if uri.startswith("exchanges/"):
                    said = dict(body[kind])
                    said[field] = [one for one in said[field] if one != trace]
                    if not said[field]:
                        del said[field]
                    digest = trace["sha256"] if kind == "indicator" else None
                    found[re.sub(r"^exchanges/[^/]+/", "", uri)] = (line["name"], {**body, kind: said}, digest, line["handling"])
    return found


def check_round_trip(world, path, lines):
    """Everything into the second exchange: the same content, under names of its own."""
    second, origin = world.second, world.first.profiles / "birch-social"
    world.first.watchfire("birch-social", "status")
    numbers, _, skipped, _ = imported(second, "birch-social", path, *HANDLING)
    check("without a profile of its exchange no signed record is taken", numbers[1] == 0 and any("--origin" in line for line in skipped))
    _, records, skipped, _ = imported(second, "birch-social", path, *HANDLING, "--origin", origin)
    check(f"{records[0]} records are taken over", records[0] == len(lines) and not skipped, skipped[:3])
    there = traced(listed(second, "birch-social"))
    names = {name: there[f"{name}@{line['revision']}"][0] for name, line in lines.items()}
    for name, line in lines.items():
        _, body, digest, handling = there[f"{name}@{line['revision']}"]
        if body != renamed(without_salt(line["body"]), names):
            check("a record says there what it says here", False, name)
        if digest is not None and bytes.fromhex(line["header_digest"]) != __import__("base64").b64decode(digest):
            check("the trace is the digest of the header", False, name)
        if handling["tlp"] != line["handling"]["tlp"]:
            check("the label is the same", False, name)
    check(f"all {len(names)} records say there what they say here, and where they come from", len(there) == len(lines))
    _, records, _, _ = imported(second, "birch-social", path, *HANDLING, "--origin", origin)
    check("importing them again changes nothing", records == [0, 0, len(lines)], records)


def check_at_home(world, path):
    """A bundle of one's own exchange brings nothing new."""
    small = world.work / "small.json"
    bundle = json.loads(path.read_text(encoding="utf-8"))
    records = {given["id"] for given in bundle["objects"] if EXTENSION[0] in given.get("extensions", {})}
    few = set(sorted(records)[:40])
    kept = [
        given
        for given in bundle["objects"]
        if given["id"] in few or (given["id"] not in records and given["type"] != "relationship")
    ]
    small.write_text(json.dumps({**bundle, "objects": kept}), encoding="utf-8")
    numbers, records, skipped, told = imported(world.first, "birch-social", small, *HANDLING)
    check("what is here already is linked and not claimed", told.count("is here already, at sequence") == 40 and records == [0, 0, 0], told[-300:])


def check_forged(world, path):
    """A bundle that says something else than it carries is refused as a whole."""
    bundle = json.loads(path.read_text(encoding="utf-8"))
    given = next(one for one in bundle["objects"] if one["type"] == "indicator")
    forged = world.work / "forged.json"
    rest = [one for one in bundle["objects"] if one["type"] in ("identity", "extension-definition", "marking-definition")]
    given = {**given, "pattern": "[domain-name:value = 'rival.example']"}
    forged.write_text(json.dumps({**bundle, "objects": [*rest, given]}), encoding="utf-8")
    for exchange, more in ((world.first, []), (world.second, ["--origin", world.first.profiles / "birch-social"])):
        done = exchange.watchfire_both("birch-social", "publish", "--stix", forged, *HANDLING, *more, fails=5)
        check("a forged object is refused, by name", given["id"].encode() in done.stderr and b"says something else" in done.stderr)


def check_others(world):
    """Bundles of others: an account of every object, and nothing that is nonsense."""
    data = world.shared / "data"
    viginum = sorted((data / "viginum").rglob("*.json"))
    _, records, skipped, _ = imported(world.second, "acme-video", *viginum, *HANDLING)
    check(f"VIGINUM: {records[0]} records, {len(skipped)} objects skipped, each with its reason", records[0] > 300)
    lines = listed(world.second, "acme-video")
    own = [line for line in lines.values() if line["publisher"] == "members/acme-video"]
    text = json.dumps([line["body"] for line in own])
    for nonsense in ("typosquatted site", "remplir", "Twitter Bots"):
        check(f"no record of {nonsense!r}", f'"value": "{nonsense}' not in text)
    aggregates = [line["body"]["indicator"]["observable"]["aggregate"] for line in own if "aggregate" in json.dumps(line["body"]).lower() and "indicator" in line["body"] and "aggregate" in line["body"]["indicator"]["observable"]]
    check("423 accounts are a number of accounts", [one["count"]["exact"] for one in aggregates] == ["423"])
    named = {
        one["value"]
        for given in json.loads(viginum[0].read_text(encoding="utf-8"))["objects"]
        if (one := given)["type"] == "domain-name"
    }
    domains = {line["body"]["indicator"]["observable"].get("value") for line in own if "indicator" in line["body"]}
    check(f"{len(named & domains)} of its {len(named)} domains are taken", len(named & domains) > 340)
    titles = {line["body"]["operation"]["title"] for line in own if "operation" in line["body"]}
    check("its campaigns are operations", {"RRN", "UN-Notorious BIG"} <= titles, titles)
    claims = {line["body"]["attribution"]["actor"] for line in own if "attribution" in line["body"]}
    check("who is behind them is a claim", claims == {"RRN", "BIG"}, claims)
    disarm = {one["external_id"] for line in own for one in line["body"].get("operation", line["body"].get("indicator", {})).get("techniques", []) if one["framework"] == "disarm"}
    check(f"{len(disarm)} techniques of DISARM are known as such", len(disarm) > 20)
    _, again, _, _ = imported(world.second, "acme-video", *viginum, *HANDLING)
    check("importing them again changes nothing", again == [0, 0, records[0]], again)
    for folder in ("oasis-stix2/examples", "oasis-stix2/examples/threat-reports"):
        for path in sorted((data / folder).glob("*.json")):
            if json.loads(path.read_text(encoding="utf-8")).get("type") != "bundle":
                world.second.watchfire("acme-video", "publish", "--stix", path, *HANDLING, fails=1)
                continue
            numbers, records, skipped, _ = imported(world.second, "acme-video", path, *HANDLING)
            print(f"          {path.name}: {numbers[0]} objects, {records[0]} records, {len(skipped)} skipped")


def run(world):
    path, bundle = exported(world.first, "acme-video")
    objects = bundle["objects"]
    EXTENSION[:] = [
        given["id"] for given in objects if given["type"] == "extension-definition" and given["name"] == "Watchfire record"
    ]
    check("the extension is defined once", len(EXTENSION) == 1)
    lines = listed(world.first, "acme-video")
    check_values(main_objects(objects, EXTENSION[0]), lines)
    check_refs(objects)
    check_valid(objects)
    check_at_home(world, path)
    check_forged(world, path)
    check_round_trip(world, path, lines)
    check_others(world)
