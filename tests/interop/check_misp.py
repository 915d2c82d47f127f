"""The MISP feed, loaded by PyMISP as a MISP loads it, and compared with what `watchfire list` says."""

import collections
import json
import logging

from pymisp import MISPEvent, MISPObject

from world import Exchange, check

LABELS = {"TLP_CLEAR": "tlp:clear", "TLP_GREEN": "tlp:green", "TLP_AMBER": "tlp:amber",
          "TLP_AMBER_STRICT": "tlp:amber+strict", "TLP_RED": "tlp:red"}
PROFILES = {"ACCOUNT", "PAGE", "GROUP", "CHANNEL", "BLOG", "AD_ACCOUNT"}


class Warned(logging.Handler):
    """PyMISP says what it doubts, and goes on."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


def listed(exchange, member, *filters):
    """Each record as the hub lists it, by its name."""
    lines = exchange.watchfire(member, "export", "jsonl", *filters).splitlines()
    return {line["name"]: line for line in map(json.loads, lines)}


def load(folder, templates):
    """Every event of the manifest, as PyMISP reads it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {path.stem for path in folder.glob("*.json")} - {"manifest"}
    check("the manifest lists the files that are there", files == set(manifest), f"{files ^ set(manifest)}")
    events = {}
    for uuid, line in manifest.items():
        event = MISPEvent()
        event.load_file(str(folder / f"{uuid}.json"))
        event.to_feed()
        ours = dict(line)
        theirs = json.loads(json.dumps(event.manifest[uuid], default=str))
        for each in (ours, theirs):
            each["Tag"] = sorted(tag["name"] for tag in each["Tag"])
            each["timestamp"] = str(each["timestamp"])
            each["analysis"], each["threat_level_id"] = int(each["analysis"]), int(each["threat_level_id"])
        if ours != theirs:
            check(f"the manifest says of {uuid} what PyMISP does", False, f"{ours} {theirs}")
        for thing in event.objects:
            demand_template(thing, templates)
        for attribute in event.attributes:
            demand_type(event, attribute)
        events[uuid] = event
    return events


def demand_template(thing, templates):
    """An object is of a template that there is, and keeps to it."""
    known = templates.get(thing.name)
    if known is None:
        check(f"there is a template {thing.name}", False)
    same = (thing.template_uuid, int(thing.template_version), thing["meta-category"])
    if same != (known["uuid"], int(known["version"]), known["meta-category"]):
        check(f"{thing.name} is that template", False, f"{same}")
    relations = [attribute.object_relation for attribute in thing.attributes]
    for attribute in thing.attributes:
        rule = known["attributes"].get(attribute.object_relation)
        if rule is None or rule["misp-attribute"] != attribute.type:
            check(f"{thing.name} has {attribute.object_relation}", False, f"{attribute.type}")
    repeated = [one for one, many in collections.Counter(relations).items()
                if many > 1 and not known["attributes"][one].get("multiple")]
    needed = known.get("requiredOneOf")
    if repeated or (needed and not set(needed) & set(relations)) or set(known.get("required", [])) - set(relations):
        check(f"{thing.name} has what it must, once", False, f"{relations}")
    strict = MISPObject(thing.name, strict=True, standalone=False)
    for attribute in thing.attributes:
        strict.add_attribute(attribute.object_relation, value=attribute.value, type=attribute.type)


def demand_type(event, attribute):
    kinds = event.describe_types["category_type_mappings"].get(attribute.category, [])
    if attribute.type not in kinds:
        check(f"{attribute.category} has {attribute.type}", False)


def run(world):
    shared, exchange = world.shared / "data", world.first
    templates = {}
    for path in (shared / "misp-objects").glob("*/definition.json"):
        template = json.loads(path.read_text())
        templates[template["name"]] = template
    tags = {f"tlp:{one['value']}" for one in json.loads((shared / "misp-taxonomies/tlp/machinetag.json").read_text())["predicates"]}
    check("every label has its tag", set(LABELS.values()) <= tags)

    doubts = Warned()
    logging.getLogger("pymisp").addHandler(doubts)
    folder = world.work / "feed"
    exchange.watchfire("birch-social", "export", "misp", "--out", folder)
    events = load(folder, templates)
    records = listed(exchange, "birch-social")
    indicators = {name: one for name, one in records.items() if "indicator" in one["body"]}
    operations = {name: one for name, one in records.items() if "operation" in one["body"]}
    check("each list is an event", len(events) == len({event.info for event in events.values()}) == len(world.lists))
    titles = {one["body"]["operation"]["title"] for one in operations.values()}
    check("events have the operations' titles", {event.info for event in events.values()} <= titles)

    # Each indicator is in one place, and says there what the record says.
    found = {}
    for event in events.values():
        pieces = [(one, [one], one.comment) for one in event.attributes]
        pieces += [(one, one.attributes, one.comment) for one in event.objects]
        for piece, attributes, comment in pieces:
            name = comment.rsplit("[", 1)[1].split("@")[0]
            if name in indicators and not any(word in attributes[0].comment for word in ("claimant:",)):
                found.setdefault(name, []).append((event, piece, attributes, comment))
    check("every indicator is in the feed", set(found) == set(indicators), f"{len(found)} of {len(indicators)}")
    counted = collections.Counter()
    for name, one in indicators.items():
        body = one["body"]["indicator"]
        observable = body["observable"]
        values = [attribute.value for _, _, attributes, _ in found[name] for attribute in attributes]
        kind = observable["kind"].removeprefix("OBSERVABLE_KIND_")
        counted[kind] += 1
        digest, place = one["header_digest"], f"epoch {one['epoch']} sequence {one['sequence']}"
        event, piece, attributes, comment = found[name][0]
        if f"sha256:{digest}" not in comment or place not in comment:
            check(f"{name} is found again", False, comment)
        if kind in ("DOMAIN", "IP_ADDRESS", "FILE_HASH", "EMAIL_ADDRESS"):
            bare = observable["value"].replace("[.]", ".").replace("[", "").replace("]", "").strip().rstrip(".").lower()
            near = {bare, bare.removeprefix("www.")}
            idna = {value.encode("idna").decode() if not value.isascii() else value for value in near}
            if not {value.lower() for value in values} & (near | idna) and "//" not in bare:
                check(f"{name} says {bare}", False, f"{values}")
        labels = {tag.name for attribute in attributes for tag in attribute.tags}
        if LABELS[one["handling"]["tlp"]] not in labels:
            check(f"{name} has its label", False, f"{labels}")
        if any(attribute.to_ids for attribute in attributes):
            check(f"{name} is not for blocking, since nobody said so", False)
    print(f"  {sum(counted.values())} indicators: {dict(counted)}")

    # hashes.csv is what PyMISP computes.
    ours = {tuple(line.split(",")) for line in (folder / "hashes.csv").read_text().split()}
    theirs = {(digest, uuid) for uuid, event in events.items() for digest in event.attributes_hashes("md5")}
    check("hashes.csv is what PyMISP computes", ours == theirs, f"{len(ours ^ theirs)} differ")
    check("PyMISP doubts nothing", not doubts.lines, f"{doubts.lines[:3]}")

    # Again, nothing changes; and what is taken back is said to be deleted, and not what it was.
    before = {path.name: path.read_bytes() for path in folder.glob("*")  if path.is_file()}
    exchange.watchfire("birch-social", "export", "misp", "--out", folder)
    after = {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}
    check("a second export writes the same", before == after)
    members = {"acme-video": "company", "birch-social": "company"}
    own = Exchange(world.programs, world.work / "misp", "misp", members)
    try:
        said(world, own, templates)
        own.stop()
    finally:
        own.hub.kill()


def said(world, exchange, templates):
    """An operation with all that members say, some of it hostile, in an exchange of its own."""
    folder = world.work / "feed-2"
    galaxy = json.loads((world.shared / "data/misp-galaxy/clusters/disarm-techniques.json").read_text())
    technique = galaxy["values"][7]
    acme, birch = "acme-video", "birch-social"
    title = 'Storm [x](javascript:alert(1)) "tlp:clear"'
    exchange.watchfire(acme, "publish", "operation", "--title", title, "--tlp", "amber", "--audience", "companies",
                       "--narrative", "They say <b>so</b>.", "--technique", f"disarm/{technique['meta']['external_id']} {technique['value']}",
                       "--technique", "disarm/T9999")
    both = ["--tlp", "amber", "--audience", "companies"]

    def publish(member, *args, stdin=None):
        exchange.watchfire(member, *args, stdin=stdin)

    def name_of(value):
        for name, one in listed(exchange, birch).items():
            if one["body"].get("indicator", {}).get("observable", {}).get("value") == value:
                return name
        raise KeyError(value)

    publish(acme, "publish", "--value", "blocked.example", "--operation", title, *both, "--may", "block", "--confidence", "90")
    publish(acme, "publish", "--value", "ended.example", "--operation", title, *both, "--may", "block", "--use-until", "2020-01-01")
    publish(acme, "publish", "--value", "secret.example", "--tlp", "red", "--recipient", birch)
    publish(acme, "publish", "--value", "alone.example", "--tlp", "amber+strict", "--audience", "companies")
    publish(acme, "publish", "--value", "https://x.com/puppet_one", "--operation", title, *both)
    blocked = name_of("blocked.example")
    publish(birch, "sight", blocked, "--count", "7")
    publish(birch, "opine", blocked, "--stance", "disagree", "--text", "![x](http://evil.example)\n# No")
    exported = exchange.watchfire_both(birch, "export", "misp", "--out", folder)
    check("what is too strict is told", b"1 records have a stricter label" in exported.stderr, exported.stderr)
    events = load(folder, templates)
    check("no word of what is RED", not any(b"secret.example" in path.read_bytes() for path in folder.glob("*.json")))
    [event] = [event for event in events.values() if event.info.startswith("Storm")]
    check("an event has the strictest label", "tlp:amber" in {tag.name for tag in event.tags})
    names = {tag.name for tag in event.tags}
    resolved = f"misp-galaxy:{galaxy['type']}=\"{technique['value']}\""
    check("a technique is the tag of MISP's galaxy, and of its code",
          {resolved, f"disarm:technique=\"{technique['meta']['external_id']}\"", 'disarm:technique="T9999"'} <= names, f"{names}")
    marked = {attribute.value: attribute.to_ids for attribute in event.attributes}
    check("only what may be blocked is for detection", marked["blocked.example"] and not marked["ended.example"])
    check("an account is an object", {"twitter-account", "narrative"} == {one.name for one in event.objects})
    [others] = [one for one in events.values() if str(getattr(one, "extends_uuid", "")) == str(event.uuid)]
    check("what another member says is in an event of its own", others.orgc.name == birch and event.orgc.name == acme)
    report = "\n".join(one.content for one in event.event_reports + others.event_reports)
    check("sightings and opinions are in a report", "7 times" in report and "disagree" in report)
    check("no report obeys its writer", "![x]" not in report and "\n# No" not in report and "](javascript" not in report)
    exchange.watchfire(acme, "withdraw", blocked, "--reason", "error")
    exchange.watchfire(birch, "export", "misp", "--out", folder)
    events = load(folder, templates)
    old, [event] = event, [one for one in events.values() if one.uuid == event.uuid]
    gone = [one.uuid for one in old.attributes if one.value == "blocked.example"]
    deleted = [one.uuid for one in event.attributes if getattr(one, "deleted", False)]
    check("what was taken back is deleted", gone == deleted and int(event.timestamp.timestamp()) > int(old.timestamp.timestamp()))
    check("and not said again", not any(one.value == "blocked.example" for one in event.attributes))
