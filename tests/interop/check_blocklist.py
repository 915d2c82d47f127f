"""Block lists, read by a parser of a few lines that knows nothing of ours."""

import ipaddress
import json
import subprocess

from world import Exchange, check

BOTH = ["--tlp", "amber", "--audience", "companies"]


def lines(text):
    """What a firewall reads: one value a line, after the line that says what the list is."""
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def run(world):
    members = {"acme-video": "company", "birch-social": "company"}
    own = Exchange(world.programs, world.work / "blocklist", "blocklist", members)
    try:
        compare(world, own)
        own.stop()
    finally:
        own.hub.kill()


def compare(world, exchange):
    acme, birch = "acme-video", "birch-social"

    def publish(value, *flags):
        exchange.watchfire(acme, "publish", "--value", value, *(flags or (*BOTH, "--may", "block")))

    def export(sort, *flags):
        done = exchange.watchfire_both(birch, "export", "blocklist", "--format", sort, *flags)
        return done.stdout.decode(), done.stderr.decode()

    may = [*BOTH, "--may", "block"]
    publish("Evil-One[.]EXAMPLE.")
    publish("bücher-für-alle.net")
    publish("unsaid.net", *BOTH)
    publish("secret.net", "--tlp", "red", "--recipient", birch, "--may", "block")
    publish("ended.net", *may, "--use-until", "2020-01-01")
    publish("later.net", *may, "--use-until", "2099-01-01", "--confidence", "80")
    publish("owned.birch.net")
    for common in ("blogspot.com", "facebook.com", "mail.google.com", "co.uk", "printer.local", "own.net"):
        publish(common, *may)
    publish("https://evil-two.net/a/b?c=d")
    publish("https://facebook.com/groups/1/posts/2")
    publish("https://google.com@evil-three.net/x")
    publish("http://10.0.0.7/admin")
    publish("https://evil-four.net/*#x")
    publish("https://x.com/puppet_two")
    publish("https://www.tiktok.com/@puppet.three")

    allow = world.work / "allow.txt"
    allow.write_text("# ours\nbirch.net\nwww.own.net\n")
    text, told = export("domains", "--allow", allow)
    head, *rest = text.split("\n")
    check("the first line says what it is", head.startswith("# watchfire blocklist domains; ") and "2099-01-01" in head, head)
    ours = lines(text)
    check("domains that may be blocked are on it, once and in order",
          ours == ["evil-one.example", "later.net", "xn--bcher-fr-alle-wobg.net"], f"{ours}")
    for reason in ("may not be blocked", "stricter label", "have ended", "are common", "are allowed", "public suffixes", "internal networks"):
        check(f"it is told that some {reason}", reason in told, told)
    bare, _ = export("domains", "--bare", "--confidence-min", "50", "--allow", allow)
    check("the unsure are left out", lines(bare) == ["later.net"] and not bare.startswith("#"), bare)
    warned, _ = export("domains", "--with-warned")
    check("who asks for it gets what is common, and no suffix",
          {"facebook.com", "mail.google.com"} <= set(lines(warned)) and not {"co.uk", "blogspot.com"} & set(lines(warned)))

    text, told = export("urls")
    check("addresses", lines(text) == ["https://evil-two.net/a/b?c=d", "https://facebook.com/groups/1/posts/2"], text)
    check("what is dangerous is told", "cannot be written safely" in told, told)
    text, _ = export("handles")
    check("handles", lines(text) == ["tiktok:puppet.three", "x:puppet_two"], text)
    text, _ = export("handles", "--platform", "x", "--bare")
    check("handles of one platform", text == "puppet_two\n", text)

    lists = world.shared / "data/misp-warninglists"
    short = json.loads((lists / "url-shortener/list.json").read_text())["list"]
    short = [one for one in short if one.isascii() and one == one.lower() and one.count(".") == 1][-8:]
    for one in short:
        publish(one)
    without, _ = export("domains", "--allow", allow)
    within, told = export("domains", "--allow", allow, "--warning-list", lists)
    check("a list of MISP keeps off what it names", set(short) & set(lines(without)) and not set(short) & set(lines(within)), f"{short} {within}")

    # The published lists: nobody said that they may be blocked.
    done = world.first.watchfire_both(birch, "export", "blocklist", "--format", "domains")
    check("without a word nothing is blocked", not lines(done.stdout.decode()) and b"may not be blocked" in done.stderr)
    hostile(world, exchange, export)


def hostile(world, exchange, export):
    """Values that would mean something else on a line, as JSON lines by a member that means harm."""
    values = ["*.evil.net", "evil.net # com", "evil.net\ncom", "com", "10.0.0.0/8", "0.0.0.0/0", "localhost",
              "||com^", "evil.net,com", "http://evil.net/\nhttps://google.com", "google.com", "a b.net"]
    path, taken = world.work / "hostile.jsonl", 0
    for value in values:
        for kind in ("OBSERVABLE_KIND_DOMAIN", "OBSERVABLE_KIND_URL", "OBSERVABLE_KIND_ACCOUNT"):
            observable = {"kind": kind, "value": value}
            if kind == "OBSERVABLE_KIND_ACCOUNT":
                observable["platform"] = "x"
            path.write_text(json.dumps({"body": {"indicator": {"observable": observable}}}) + "\n")
            # Some are refused: that is one more guard, and not the one that is tested.
            publishing = exchange.spawn("acme-video", "publish", "--jsonl", path, *BOTH, "--may", "block",
                                            stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            taken += publishing.wait() == 0
    check("the hub takes hostile values that lists must not", taken >= 8, str(taken))
    for sort in ("domains", "urls", "handles"):
        text, _ = export(sort)
        for line in lines(text):
            bad = set(" \t*#|^,") & set(line) or line in ("com", "google.com", "localhost", "https://google.com")
            if sort == "handles":
                bad = bad or not line.startswith(("x:", "tiktok:")) or "0.0.0" in line
            check(f"{line} blocks one thing", not bad)
            if sort == "domains":
                try:
                    ipaddress.ip_network(line)
                    check(f"{line} is a name", False)
                except ValueError:
                    pass
