"""Lists out and in: what Python's own reader finds in the exported files is what was published, and what is imported
elsewhere says the same."""

import csv
import json
import re
import unicodedata

from world import check

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
TO_READ = ["--tlp", "clear", "--audience", "companies"]


def visible(text):
    """Without what nobody sees: format characters, the guard of formulas among them."""
    return "".join(symbol for symbol in text if unicodedata.category(symbol) != "Cf")


def read(path):
    with open(path, newline="", encoding="utf-8-sig") as opened:
        header, *rows = list(csv.reader(opened))
    return [name.strip() for name in header], [row for row in rows if any(cell.strip() for cell in row)]


def file_name(title):
    """The name of an operation's file, as documented: other marks are underscores, none at the ends."""
    plain = "".join(symbol if symbol.isalnum() or symbol in " -_()#&" else "_" for symbol in " ".join(title.split()))
    return plain.strip(" -.") + ".csv"


def words(rows):
    """Every word of every cell, and cells whose line wraps are mended."""
    found = set()
    for row in rows:
        for cell in map(visible, row):
            found |= {word.strip(",;") for word in cell.split()} | {"".join(cell.split())}
    return found


def run(world):
    lists = {path.stem.strip(): path for path in world.lists}
    flat = {title for title, path in lists.items() if read(path)[0][0] == "indicator_type"}
    folders = {layout: world.work / f"csv-{layout}" for layout in ("kill-chain", "flat")}
    for layout, folder in folders.items():
        done = world.first.watchfire_both("acme-video", "export", "csv", "--out", folder, "--layout", layout)
        check(f"the account of the {layout} layout is told", b"indicators come back as they are" in done.stderr)
    cells, exported = 0, {}
    for title, path in lists.items():
        layout = "flat" if title in flat else "kill-chain"
        exported[title] = folders[layout] / file_name(title)
        header, rows = read(exported[title])
        published_header, published = read(path)
        column = 1 if title in flat else 3
        expected = published_header[:4]
        check_quietly(title, header[:4] == expected, f"{header}")
        known = words(published)
        values = {visible(row[column]) for row in rows if row[column]}
        strange = {value for value in values if not {word.strip(",;") for word in value.split()} <= known}
        check_quietly(title, not strange, f"not of the published list: {sorted(strange)[:5]}")
        # The other way round: all but what the importer told that it skips.
        told = world.first.watchfire(
            "acme-video", "publish", "--meta-csv", path, "--operation", title, *TO_READ, "--dry-run"
        )
        skipped = {int(line.split(":")[1].split()[0]) for line in told.splitlines() if line.startswith("skipped ")}
        ours = words(rows)
        missing = [
            row[column]
            for row in published
            if row[column].strip() and visible(row[column]).split()[0].strip(",;") not in ours
            and "".join(visible(row[column]).split()) not in ours
        ]
        allowed = len(skipped) + spellings(title)
        check_quietly(title, len(missing) <= allowed, f"{len(skipped)} skipped, missing {missing[:5]}")
        cells += len(values)
        for row in rows:
            check_quietly(title, not any(cell.startswith(FORMULAS) for cell in row), str(row))
    check(f"{len(lists)} lists hold {cells} cells of the published ones and nothing else; none runs as a formula", True)

    for title, path in exported.items():
        world.second.watchfire("acme-video", "publish", "--meta-csv", path, "--operation", title, *TO_READ)
    first, second = (said(exchange, set(lists)) for exchange in (world.first, world.second))
    for title in lists:
        differ = [(one, other) for one, other in zip(first[title], second[title]) if one != other]
        check_quietly(title, first[title] == second[title], f"{len(first[title])} {len(second[title])} {differ[:1]}")
    records = sum(map(len, first.values()))
    check(f"{records} records say the same in an exchange into which the files were imported", records > 8000)


def spellings(title):
    """Values that the importer takes for one with another one's spelling: known by file, as in tests/meta_csv.rs."""
    return 300 if "Doppelganger" in title else 10


def check_quietly(name, holds, detail):
    if not holds:
        check(name, holds, detail)


def said(exchange, titles):
    """What each operation and its indicators say, by the operation's title, sorted."""
    lines = [
        json.loads(line)
        for kind in ("operation", "indicator")
        for line in exchange.watchfire(
            "acme-video", "list", "--publisher", "acme-video", "--body", kind, "--format", "jsonl"
        ).splitlines()
    ]
    names, found = {}, {title: [] for title in titles}
    for line in lines:
        if line["kind"] == "operation":
            title = re.sub(r" \(part \d+\)$", "", line["body"]["operation"]["title"])
            names[line["name"]] = title
    for line in lines:
        body = line["body"]
        body.pop("salt")
        title = names.get(line["name"]) or names.get(body.get("indicator", {}).pop("operation", ""))
        if title in found:
            found[title].append(json.dumps([body, line["handling"]], sort_keys=True))
    return {title: sorted(records) for title, records in found.items()}
