"""The hub's figures, read by the parser of the Prometheus project: it takes nothing that the format does not allow."""

import sys
import urllib.error
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from client import demand

KINDS = {"gauge", "counter", "info", "histogram"}


def main(url: str) -> None:
    with urllib.request.urlopen(url, timeout=20) as answer:
        kind = answer.headers["Content-Type"]
        text = answer.read().decode()
    demand(kind == "application/openmetrics-text; version=1.0.0; charset=utf-8", f"the text is {kind}")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    for family in families.values():
        demand(family.type in KINDS, f"{family.name} is of type {family.type}")
        demand(family.documentation != "", f"{family.name} has no help")
        demand(family.name.startswith("watchfire_"), f"{family.name} is not named after us")
        demand(family.name.endswith(family.unit), f"{family.name} is not in {family.unit}")
        names = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
        demand(len(names) == len(set(names)), f"{family.name} says something twice")
    [entries] = families["watchfire_log_entries"].samples
    [accepted] = families["watchfire_records_accepted"].samples
    demand(entries.value == accepted.value + 1, f"{entries.value} entries, {accepted.value} records since the founding")
    refused = {sample.labels["reason"]: sample.value for sample in families["watchfire_records_refused"].samples}
    demand(refused["BAD_SIGNATURE"] > 0, "the forged records of the other checks are not counted")
    behind = families["watchfire_subscription_lag_entries"].samples
    demand(all(set(sample.labels) == {"member", "subscription"} for sample in behind) and behind, f"{behind}")
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=b"x"), timeout=20)
    except urllib.error.HTTPError as error:
        demand(error.code == 405, f"POST is answered with {error.code}")
    else:
        demand(False, "POST is taken")
    print(f"  ok      {len(families)} figures, {sum(len(family.samples) for family in families.values())} lines")


main(sys.argv[1])
