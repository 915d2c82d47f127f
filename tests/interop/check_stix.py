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
