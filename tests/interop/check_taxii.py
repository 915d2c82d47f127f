"""TAXII 2.1: everything that is published, by PyPI `taxii2-client`; and the same questions to PyPI `medallion`.

`medallion` keeps its objects in lists that it compares with each other, so that it is given one operation: what it would
take for everything grows with the square.
"""

import base64
import json
import os
import statistics
import subprocess
import sys
import time

import requests
from taxii2client.v21 import Server, as_pages

from world import Failed, check, free_port

TAXII = "application/taxii+json;version=2.1"
MEMBER, OTHER, OUTSIDER = "acme-video", "birch-social", "liaison-office"
# So many objects at least, and at most, for the side by side.
FEWEST, MOST = 200, 800


def session(exchange, member):
    folder = exchange.profiles / member
    asked = requests.Session()
    asked.verify, asked.cert = str(folder / "ca.pem"), (str(folder / "tls.pem"), str(folder / "tls.key"))
    asked.headers["Accept"] = TAXII
    return asked


def server(exchange, member):
    folder = exchange.profiles / member
    cert = (str(folder / "tls.pem"), str(folder / "tls.key"))
    return Server(f"https://localhost:{exchange.taxii_port}/taxii2/", verify=str(folder / "ca.pem"), cert=cert)


def everything_of(found):
    """Every object of a collection, as a tool walks it."""
    return [one for page in as_pages(found.get_objects, per_request=1000) for one in page.get("objects", [])]


def bundle_of(exchange, member):
    path = exchange.folder.parent / f"{exchange.folder.name}.taxii.json"
    exchange.watchfire(member, "export", "stix", "--out", path)
    return json.loads(path.read_text(encoding="utf-8"))["objects"]


def check_client(world):
    """What a tool that we did not write finds, against the bundle that our client makes of records it has verified."""
    root = server(world.first, OTHER).default
    collections = {one.title: one for one in root.collections}
    check(f"{len(collections)} collections are listed", len(collections) == len(root.collections) >= len(world.lists))
    check("they can be read, and only that", all(one.can_read and not one.can_write for one in root.collections))
    started = time.monotonic()
    objects = everything_of(collections["Everything"])
    took = time.monotonic() - started
    ids = [one["id"] for one in objects]
    check(f"{len(ids)} objects in {took:.1f} s, each once", len(set(ids)) == len(ids) > 9000)
    bundle = bundle_of(world.first, OTHER)
    known = {one["id"]: one for one in objects}
    differ = [one["id"] for one in bundle if known.get(one["id"]) != one]
    check(f"all {len(bundle)} objects of the bundle are there, the same in every property", not differ, differ[:3])
    more = {one["type"] for one in objects} and [known[id] for id in set(ids) - {one["id"] for one in bundle}]
    kinds = {one["type"] for one in more}
    check(f"besides, only markings and members that no record needs: {len(more)}", kinds <= {"marking-definition", "identity"}, kinds)
    audience = {one["id"] for one in everything_of(collections["companies"])}
    check("all of it is in the collection of the audience it is addressed to", audience == set(ids))
    outside = everything_of({one.title: one for one in server(world.first, OUTSIDER).default.collections}["Everything"])
    check("whoever it is not addressed to finds none of it", not any(one["type"] == "indicator" for one in outside))
    manifest = [
        one for page in as_pages(collections["Everything"].get_manifest, per_request=1000) for one in page["objects"]
    ]
    check("the manifest has the same in the same order", [one["id"] for one in manifest] == ids)
    dates = [one["date_added"] for one in manifest]
    check("it is sorted by the dates on which objects were added", dates == sorted(dates))
    middle = dates[len(dates) // 2]
    later = [one["id"] for page in as_pages(collections["Everything"].get_objects, per_request=1000, added_after=middle)
             for one in page.get("objects", [])]
    check("what was added later is what is asked for", later == [one["id"] for one in manifest if one["date_added"] > middle])
    return collections


class Medallion:
    """The reference server, as a process, with the objects of one of our collections."""

    def __init__(self, world, collection, objects, manifest):
        for one, known in zip(objects, manifest):
            if "modified" not in one and "created" not in one:
                one["_date_added"] = known["date_added"]
            # It takes the property of an extension's definition for the version of an object, and fails.
            one.pop("version", None)
        held = {
            "id": collection.id, "title": collection.title, "description": collection.description, "can_read": True,
            "can_write": False, "media_types": collection.media_types, "objects": objects, "manifest": manifest,
        }
        information = {"title": "the same", "description": "the same", "versions": [TAXII], "max_content_length": 1024}
        data = {
            "/discovery": {"title": "the same", "default": "/exchange/", "api_roots": ["/exchange/"]},
            "exchange": {"information": information, "status": [], "collections": [held]},
        }
        (world.work / "medallion.data.json").write_text(json.dumps(data), encoding="utf-8")
        backend = {
            "module": "medallion.backends.memory_backend", "module_class": "MemoryBackend",
            "filename": str(world.work / "medallion.data.json"),
        }
        config = {"backend": backend, "users": {"tool": "pass"}, "taxii": {"max_page_size": 1000}}
        (world.work / "medallion.json").write_text(json.dumps(config), encoding="utf-8")
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "medallion.scripts.run", "--port", str(port), str(world.work / "medallion.json")]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.asked = requests.Session()
        self.asked.auth = ("tool", "pass")
        self.asked.headers["Accept"] = TAXII
        for _ in range(200):
            try:
                self.asked.get(f"{self.base}/taxii2/")
                return
            except requests.ConnectionError:
                time.sleep(0.05)
        raise RuntimeError("medallion does not answer")

    def end(self):
        self.process.kill()
        self.process.wait()


def essence(answer, kind):
    """What two servers must agree on."""
    try:
        body = answer.json() if answer.content else {}
    except requests.JSONDecodeError:
        body = {}
    said = {"status": answer.status_code, "media": answer.headers["Content-Type"].replace(" ", "")}
    if answer.status_code != 200:
        return said | {"http_status": body.get("http_status")}
    said["first"] = answer.headers.get("X-TAXII-Date-Added-First")
    said["last"] = answer.headers.get("X-TAXII-Date-Added-Last")
    said["more"] = body.get("more", False)
    if kind == "objects":
        said["objects"] = [(one["id"], one.get("modified")) for one in body.get("objects", [])]
    elif kind == "manifest":
        # Of equal dates neither server promises an order, so that a page may end elsewhere among them.
        listed = [(one["date_added"], one["id"], one["version"], one["media_type"]) for one in body.get("objects", [])]
        said["objects"] = sorted(date for date, *_ in listed) if "limit=" in answer.url else sorted(listed)
    elif kind == "versions":
        said["versions"] = sorted(body.get("versions", []))
    return said


def questions(collection, objects, manifest):
    """Kinds and paths with queries, of one collection."""
    path = f"/exchange/collections/{collection.id}/"
    ids = [one["id"] for one in objects]
    first, middle, last = ids[0], ids[len(ids) // 2], ids[-1]
    date = manifest[len(manifest) // 2]["date_added"]
    kinds = sorted({one["type"] for one in objects})
    absent = "indicator--f7f459f8-3d40-4709-a2d4-b4bc3b45e523"
    matches = ["", f"added_after={date}", f"match[id]={middle}", f"match[id]={first},{last},{absent}"]
    matches += [f"match[type]={kind}" for kind in kinds] + [f"match[type]={kinds[0]},{kinds[-1]}"]
    matches += ["match[version]=all", "match[version]=first", "match[version]=last", "match[version]=first,last"]
    matches += ["match[spec_version]=2.1", "match[spec_version]=2.0", f"match[type]={kinds[-1]}&added_after={date}"]
    matches += ["limit=1", "limit=7", "limit=100000", "limit=0", "limit=-1", "limit=x", "limit=7&next=nonsense"]
    matches += [f"match[type]={kinds[0]}&limit=2", f"added_after={manifest[-1]['date_added']}"]
    for match in matches:
        yield "objects", f"{path}objects/?{match}"
        yield "manifest", f"{path}manifest/?{match}"
    for one in (first, middle, last, absent):
        yield "objects", f"{path}objects/{one}/"
        yield "versions", f"{path}objects/{one}/versions/"
    yield "collection", path
    yield "collection", "/exchange/collections/00000000-0000-4000-8000-000000000000/"
    yield "collection", "/exchange/status/00000000-0000-4000-8000-000000000000/"
    yield "objects", "/exchange/collections/00000000-0000-4000-8000-000000000000/objects/"


def timed(asked, url, **options):
    started = time.perf_counter()
    answer = asked.get(url, **options)
    return answer, time.perf_counter() - started


def pages(asked, base, path, limit):
    """Every id of a list, page by page."""
    ids, query = [], f"limit={limit}"
    while True:
        body = asked.get(f"{base}{path}?{query}").json()
        ids += [one["id"] for one in body["objects"]]
        if not body.get("more"):
            return ids
        query = f"limit={limit}&next={body['next']}"


def check_side_by_side(world, collections):
    ours, base = session(world.first, OTHER), f"https://localhost:{world.first.taxii_port}"
    for title in sorted(set(collections) - {"Everything", "all", "companies"}):
        collection = collections[title]
        path = f"{base}/exchange/collections/{collection.id}/"
        objects = [one for page in as_pages(collection.get_objects, per_request=1000, version="all") for one in page["objects"]]
        if FEWEST <= len(objects) <= MOST:
            break
    manifest = [one for page in as_pages(collection.get_manifest, per_request=1000, version="all") for one in page["objects"]]
    medallion = Medallion(world, collection, objects, manifest)
    try:
        # Pages of ours have at most so many bytes; of those that are compared, a limit that fits is asked for.
        differ, times = [], {"ours": [], "theirs": []}
        asked = 0
        for kind, question in questions(collection, objects, manifest):
            theirs, slow = timed(medallion.asked, medallion.base + question)
            limit = len(theirs.json().get("objects", [])) if theirs.status_code == 200 else 0
            mine, fast = timed(ours, base + question)
            cut = kind == "objects" and mine.status_code == 200 and len(mine.json().get("objects", [])) < limit
            if cut:
                # Ours ends pages by bytes too: the rest is behind `next`.
                body = mine.json()
                listed = body["objects"]
                while len(listed) < limit and body.get("more"):
                    join = "&" if "?" in question and not question.endswith("?") else ("" if question.endswith("?") else "?")
                    body = ours.get(f"{base}{question}{join}next={body['next']}").json()
                    listed += body["objects"]
                same = [one["id"] for one in listed[:limit]] == [one["id"] for one in theirs.json()["objects"]]
            else:
                same = essence(mine, kind) == essence(theirs, kind)
                times["ours"].append(fast)
                times["theirs"].append(slow)
            asked += 1
            if not same:
                differ.append((question, str(essence(mine, kind))[:300], str(essence(theirs, kind))[:300]))
        check(f"{asked} questions have the same answers from medallion, {len(objects)} objects", not differ, differ[:2])
        listed = f"/exchange/collections/{collection.id}/objects/"
        walked = pages(ours, base, listed, 37)
        check("and the same pages", walked == pages(medallion.asked, medallion.base, listed, 37), len(walked))
        refused = [
            [side.get(f"{where}/taxii2/", headers={"Accept": accept}).status_code for accept in ("text/html", "application/json")]
            for side, where in ((ours, base), (medallion.asked, medallion.base))
        ]
        check("both refuse who takes nothing of TAXII", refused == [[406, 406], [406, 406]], refused)
        written = [
            side.post(where + listed, headers={"Content-Type": TAXII}, data=b"{}").status_code
            for side, where in ((ours, base), (medallion.asked, medallion.base))
        ]
        check("and writing", written == [403, 403], written)
        # Told, and not tested: how fast a machine is says nothing of what is right.
        mine, theirs = statistics.median(times["ours"]), statistics.median(times["theirs"])
        print(f"   median of {len(times['ours'])} answers: ours {mine * 1e3:.1f} ms over TLS, medallion {theirs * 1e3:.1f} ms in the clear:"
              f" {theirs / mine:.1f} times as fast", flush=True)
    finally:
        medallion.end()


def check_news(world, collections):
    """What is published, revised and withdrawn comes to who polls, with the envelope that can be verified."""
    found = collections["Everything"]
    manifest = [one for page in as_pages(found.get_manifest, per_request=1000) for one in page["objects"]]
    last = manifest[-1]["date_added"]
    quiet = found.get_objects(added_after=last)
    check("nothing is new at first", not quiet.get("objects"), quiet)
    world.first.watchfire(MEMBER, "publish", "--value", "news-of-taxii.example", "--tlp", "green", "--audience", "companies")
    news = found.get_objects(added_after=last)["objects"]
    indicator = [one for one in news if one["type"] == "indicator"]
    check("what is published is new", len(indicator) == 1 and "news-of-taxii.example" in indicator[0]["pattern"], news)
    extension = [said for said in indicator[0]["extensions"].values() if "record" in said][0]
    check("with its signed envelope", len(base64.b64decode(extension["envelope"], validate=True)) > 200)
    last = found.get_manifest(added_after=last)["objects"][-1]["date_added"]
    world.first.watchfire(MEMBER, "withdraw", extension["record"], "--reason", "error")
    gone = {one["id"]: one for one in found.get_objects(added_after=last)["objects"]}
    check("what is withdrawn is revoked", gone.get(indicator[0]["id"], {}).get("revoked") is True, gone)
    check("and nothing of the withdrawn stands", all(one.get("revoked") for one in gone.values()), gone)


def run(world):
    # `requests` lets these count for more than what it is told.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        os.environ.pop(name, None)
    try:
        collections = check_client(world)
        check_side_by_side(world, collections)
        check_news(world, collections)
    except (requests.RequestException, KeyError, IndexError, TypeError) as error:
        raise Failed(f"an answer is not what it should be: {error!r}") from error
