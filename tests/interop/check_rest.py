"""What is published in no layout of its own: perceptual hashes and a list of domains, in by JSON lines, out in every format
that has a word for them."""

import csv
import json

from world import check


def line(observable, **said):
    handling = {"tlp": "TLP_CLEAR", "audiences": ["audiences/companies"], "onward_uses": ["ONWARD_USE_BLOCK"]}
    return json.dumps({"body": {"indicator": {"observable": observable, **said}}, "handling": handling})


def run(world):
    exchange, folder = world.first, world.work / "rest"
    folder.mkdir()
    data = world.shared / "data"
    hashes = (data / "pdq/haystack.txt").read_text().split()
    with open(data / "viginum/202306 - RRN/NDD_RRN.csv", encoding="utf-8-sig", newline="") as read:
        domains = [row["domain name"] for row in csv.DictReader(read)]
    lines = [line({"kind": "OBSERVABLE_KIND_MEDIA_HASH", "algorithm": "pdq", "value": value}) for value in hashes]
    lines += [line({"kind": "OBSERVABLE_KIND_DOMAIN", "value": value}) for value in domains]
    said = exchange.watchfire("birch-social", "publish", "--jsonl", "-", stdin="\n".join(lines).encode())
    check(f"{len(hashes)} hashes and {len(domains)} domains are published", f"{len(lines)} records are durable" in said, said)

    plain = {value.replace("[.]", ".").lower().removeprefix("www.") for value in domains}
    mine = ["--publisher", "birch-social", "--kind"]
    bundle = folder / "bundle.json"
    exchange.watchfire("acme-video", "export", "stix", *mine, "media-hash", "--out", bundle)
    patterns = [one["pattern"] for one in json.loads(bundle.read_text())["objects"] if one["type"] == "indicator"]
    named = {value for value in hashes if any(value in pattern for pattern in patterns)} if len(patterns) < 2000 else set()
    check("each hash has a pattern", len(patterns) == len(hashes) and named == set(hashes), f"{len(patterns)}, {len(named)}")

    blocked = exchange.watchfire("acme-video", "export", "blocklist", *mine, "domain", "--format", "domains", "--bare", "--with-warned")
    listed = set(blocked.split())
    # A public suffix, or a name that is none, is on no list whoever asks for it.
    check("each domain may be blocked", listed <= plain and len(plain - listed) <= 2, str(sorted(plain ^ listed))[:500])

    feed = folder / "feed"
    exchange.watchfire("acme-video", "export", "misp", "--publisher", "birch-social", "--out", feed)
    values = []
    for path in feed.glob("*-*.json"):
        values += [one["value"] for one in json.loads(path.read_text())["Event"].get("Attribute", [])]
    check("all of it is in the feed", plain | set(hashes) <= set(values), str(len(set(values))))
