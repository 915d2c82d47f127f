"""The real hub, seen by a client that is not ours: each check is a fact, and the first that does not hold ends the run."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from watchfire.v1 import (
    body_pb2, entry_pb2, exchange_service_pb2, header_pb2, member_pb2, roster_service_pb2, transparency_service_pb2,
)

import client as protocol
from client import Client, Refuted, SigningKey, demand

COMPANIES = "audiences/companies"
PATIENCE = 20


class Run:
    """Two members with this client, one of them also with ours."""

    def __init__(self, programs: Path, address: str, profiles: Path):
        self.programs, self.address, self.profiles = programs, address, profiles
        self.acme = Client(profiles / "acme-video", address)
        self.birch = Client(profiles / "birch-social", address)
        self.published: dict[str, entry_pb2.Envelope] = {}

    def ours(self, member: str, *arguments: str) -> str:
        """The reference client."""
        command = [self.programs / "watchfire", "--profile", self.profiles / member, "--address", self.address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        demand(done.returncode == 0, f"watchfire {arguments[0]}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def publish(self, *envelopes: entry_pb2.Envelope) -> list[exchange_service_pb2.PublishResult]:
        request = exchange_service_pb2.PublishRequest(envelopes=envelopes)
        return list(self.acme.exchange.Publish(request, timeout=PATIENCE).results)

    def keep(self, envelope: entry_pb2.Envelope, result: exchange_service_pb2.PublishResult) -> entry_pb2.Receipt:
        demand(result.WhichOneof("outcome") == "receipt", f"refused: {result.refusal}")
        protocol.verify_receipt(self.acme.roster, envelope, result.receipt)
        header = header_pb2.Header.FromString(envelope.payload)
        self.published[header.name] = envelope
        return result.receipt

    def refused(self, envelope: entry_pb2.Envelope, code: grpc.StatusCode, reason: str) -> None:
        [result] = self.publish(envelope)
        refusal = result.refusal
        said = (refusal.code, refusal.reason)
        demand(said == (code.value[0], reason), f"answered with {said}: {refusal.message}")

    def read(self, reader: Client, start: dict, **wanted) -> tuple[list[protocol.Verified], bytes]:
        """Everything up to the head, verified; and the last cursor."""
        request = exchange_service_pb2.SubscribeRequest(until_head=True, **start, **wanted)
        found, cursor, last = [], b"", -1
        for frame in reader.exchange.Subscribe(request, timeout=PATIENCE):
            for entry in frame.entries:
                demand(entry.sequence > last, "sequences rise")
                last = entry.sequence
                if entry.sequence == 0:
                    parsed = protocol.parse(entry.envelope)
                    demand(parsed[0].exchange == reader.roster.exchange, "another founding record")
                    continue
                verified = protocol.verify_entry(reader.roster, entry)
                if start == {"from": exchange_service_pb2.START_POINT_START}:
                    reader.roster.fold(verified)
                found.append(verified)
            if frame.HasField("mark"):
                cursor = frame.mark.cursor
                protocol.open_checkpoint(reader.roster, frame.mark.checkpoint)
        return found, cursor


def indicator(value: str) -> body_pb2.Indicator:
    observable = body_pb2.Observable(kind=body_pb2.OBSERVABLE_KIND_DOMAIN, value=value)
    return body_pb2.Indicator(observable=observable, confidence=80)


FROM_START = {"from": exchange_service_pb2.START_POINT_START}


def who_we_are(run: Run) -> None:
    told = run.acme.roster_service.GetExchange(roster_service_pb2.GetExchangeRequest(), timeout=PATIENCE)
    demand(told.name == run.acme.roster.exchange, "another exchange")
    demand(told.caller.name == run.acme.member, "another member")
    size, _root = protocol.open_checkpoint(run.acme.roster, told.checkpoint)
    demand(size == told.head, "the checkpoint is not that of the head")


def a_record_is_published_alone(run: Run) -> None:
    envelope = run.acme.sign("indicator", indicator("one.example"), audiences=(COMPANIES,))
    run.keep(envelope, run.publish(envelope)[0])


def records_are_published_by_stream(run: Run) -> None:
    batches = [
        [run.acme.sign("indicator", indicator(f"s{batch}-{at}.example"), audiences=(COMPANIES,)) for at in range(10)]
        for batch in range(5)
    ]
    requests = (exchange_service_pb2.PublishStreamRequest(envelopes=batch) for batch in batches)
    answers = list(run.acme.exchange.PublishStream(requests, timeout=PATIENCE))
    demand(len(answers) == len(batches), "one answer a batch")
    sequences = [
        run.keep(envelope, result).sequence
        for batch, answer in zip(batches, answers)
        for envelope, result in zip(batch, answer.results, strict=True)
    ]
    demand(sequences == sorted(sequences), "answers come in order")


def a_repeat_gets_its_first_receipt(run: Run) -> None:
    envelope = run.acme.sign("indicator", indicator("again.example"), audiences=(COMPANIES,))
    first = run.keep(envelope, run.publish(envelope)[0])
    second = run.keep(envelope, run.publish(envelope)[0])
    demand(second.repeated and not first.repeated, "the second is a repeat")
    demand(second.sequence == first.sequence and second.leaf_hash == first.leaf_hash, "the same place")


def a_revision_follows_its_first(run: Run) -> None:
    first = run.acme.sign("indicator", indicator("revised.example"), audiences=(COMPANIES,))
    run.keep(first, run.publish(first)[0])
    name = header_pb2.Header.FromString(first.payload).name
    second = run.acme.sign("indicator", indicator("revised.example"), name=name, revision=2,
                           previous=protocol.sha256(first.payload), audiences=(COMPANIES,))
    run.keep(second, run.publish(second)[0])
    wrong = run.acme.sign("indicator", indicator("revised.example"), name=name, revision=3,
                          previous=protocol.sha256(first.payload), audiences=(COMPANIES,))
    run.refused(wrong, grpc.StatusCode.FAILED_PRECONDITION, "PREDECESSOR_MISMATCH")


def a_flipped_bit_is_refused(run: Run) -> None:
    envelope = run.acme.sign("indicator", indicator("flipped.example"), audiences=(COMPANIES,))
    signature = bytearray(envelope.signatures[0].sig)
    signature[5] ^= 1
    damaged = entry_pb2.Envelope()
    damaged.CopyFrom(envelope)
    damaged.signatures[0].sig = bytes(signature)
    run.refused(damaged, grpc.StatusCode.INVALID_ARGUMENT, "BAD_SIGNATURE")
    damaged.CopyFrom(envelope)
    damaged.body = envelope.body[:-1] + bytes([envelope.body[-1] ^ 1])
    run.refused(damaged, grpc.StatusCode.INVALID_ARGUMENT, "BODY_DIGEST_MISMATCH")
    damaged.CopyFrom(envelope)
    damaged.payload = envelope.payload + b"\xf8\x07\x01"
    run.refused(damaged, grpc.StatusCode.INVALID_ARGUMENT, "UNSUPPORTED_FIELD")


def nobody_writes_as_another(run: Run) -> None:
    theirs = run.birch.sign("indicator", indicator("theirs.example"), audiences=(COMPANIES,))
    run.refused(theirs, grpc.StatusCode.PERMISSION_DENIED, "SIGNER_IS_NOT_CALLER")


def a_p256_key_is_registered_and_signs(run: Run) -> None:
    key = SigningKey(ec.generate_private_key(ec.SECP256R1()))
    early = run.acme.sign("indicator", indicator("early.example"), audiences=(COMPANIES,), key=key)
    run.refused(early, grpc.StatusCode.FAILED_PRECONDITION, "KEY_NOT_VALID")
    payload = f"{run.acme.roster.exchange}\n{run.acme.member}\n{key.id}".encode()
    proof = key.sign(protocol.POSSESSION_TYPE, payload)
    added = body_pb2.KeyChange(add=member_pb2.PublicKey(spki=key.spki, possession_proof=proof))
    change = run.acme.sign("key_change", added)
    request = roster_service_pb2.RotateKeyRequest(envelope=change)
    receipt = run.acme.roster_service.RotateKey(request, timeout=PATIENCE).receipt
    protocol.verify_receipt(run.acme.roster, change, receipt)
    envelope = run.acme.sign("indicator", indicator("p256.example"), audiences=(COMPANIES,), key=key)
    run.keep(envelope, run.publish(envelope)[0])


def another_member_reads_and_verifies_everything(run: Run) -> None:
    found, _cursor = run.read(run.birch, FROM_START)
    seen = {verified.header.name: verified.header for verified in found}
    for name, envelope in run.published.items():
        demand(name in seen, f"{name} did not arrive")
        sent = header_pb2.Header.FromString(envelope.payload)
        demand(seen[name].revision >= sent.revision, f"{name} is not the one that was sent")
    ours = [key for key in run.birch.roster.keys.values() if key.member == run.acme.member]
    demand(len(ours) == 3, "signing, recovery and P-256 key are folded")


def a_cursor_goes_on_and_a_changed_one_does_not(run: Run) -> None:
    _found, cursor = run.read(run.birch, FROM_START, filter=exchange_service_pb2.Filter(
        body_kinds=[header_pb2.BODY_KIND_INDICATOR]))
    envelope = run.acme.sign("indicator", indicator("after.example"), audiences=(COMPANIES,))
    run.keep(envelope, run.publish(envelope)[0])
    only = exchange_service_pb2.Filter(body_kinds=[header_pb2.BODY_KIND_INDICATOR])
    found, _cursor = run.read(run.birch, {"cursor": cursor}, filter=only)
    demand([verified.body.indicator.observable.value for verified in found] == ["after.example"], "only what is new")
    forged = cursor[:-1] + bytes([cursor[-1] ^ 1])
    demand_status(lambda: run.read(run.birch, {"cursor": forged}, filter=only),
                  grpc.StatusCode.INVALID_ARGUMENT, "CURSOR_INVALID")


def a_live_record_arrives(run: Run) -> None:
    request = exchange_service_pb2.SubscribeRequest(**{"from": exchange_service_pb2.START_POINT_NOW})
    stream = run.birch.exchange.Subscribe(request, timeout=PATIENCE)
    next(stream)
    envelope = run.acme.sign("indicator", indicator("live.example"), audiences=(COMPANIES,))
    receipt = run.keep(envelope, run.publish(envelope)[0])
    entry = next(entry for frame in stream for entry in frame.entries)
    stream.cancel()
    protocol.verify_entry(run.birch.roster, entry)
    demand(entry.sequence == receipt.sequence and entry.envelope == envelope, "the very bytes, at its place")


def an_entry_that_was_changed_on_the_way_is_refuted(run: Run) -> None:
    request = exchange_service_pb2.ListRecordsRequest(page_size=1)
    [entry] = run.birch.exchange.ListRecords(request, timeout=PATIENCE).entries
    protocol.verify_entry(run.birch.roster, entry)
    entry.envelope.payload = entry.envelope.payload[:-1] + bytes([entry.envelope.payload[-1] ^ 1])
    try:
        protocol.verify_entry(run.birch.roster, entry)
    except Refuted:
        return
    raise Refuted("a changed entry was taken")


def what_an_answer_brings_is_in_the_log(run: Run) -> None:
    request = exchange_service_pb2.ListRecordsRequest(page_size=20)
    entries = run.birch.exchange.ListRecords(request, timeout=PATIENCE).entries
    leaves = sorted((each.sequence, protocol.leaf_hash(each.envelope, each.sequence, each.accept_time)) for each in entries)
    demand(len(leaves) == 20, "a page is full")
    asked = transparency_service_pb2.GetMultiproofRequest(sequences=[place for place, _leaf in leaves])
    proof = run.birch.transparency.GetMultiproof(asked, timeout=PATIENCE)
    size, root = protocol.open_checkpoint(run.birch.roster, proof.checkpoint)
    hashes = [proof.hashes[at : at + 32] for at in range(0, len(proof.hashes), 32)]
    demand(protocol.root_by_descent(leaves, size, hashes) == root, "an answer is not in the log")
    moved = [(place, leaves[0][1]) for place, _leaf in leaves]
    demand(protocol.root_by_descent(moved, size, hashes) != root, "anything is in the log")


def a_value_is_found_by_its_normal_form(run: Run) -> None:
    queries = [exchange_service_pb2.ValueQuery(value="hxxp://ONE[.]example/")]
    queries += [exchange_service_pb2.ValueQuery(value="nobody.example")]
    request = exchange_service_pb2.LookupValuesRequest(queries=queries)
    known, unknown = run.birch.exchange.LookupValues(request, timeout=PATIENCE).results
    by_domain = exchange_service_pb2.LookupValuesRequest(
        queries=[exchange_service_pb2.ValueQuery(value="ONE[.]Example.", kind=body_pb2.OBSERVABLE_KIND_DOMAIN)])
    [found] = run.birch.exchange.LookupValues(by_domain, timeout=PATIENCE).results
    demand(found.normal_form.value == "one.example" and len(found.entries) == 1, "found as a domain")
    demand(known.HasField("normal_form"), "a URL has a normal form too")
    demand(not unknown.entries, "what nobody published is not found")


def the_two_clients_read_each_other(run: Run) -> None:
    printed = [json.loads(line) for line in run.ours(
        "birch-social", "subscribe", "--from", "start", "--until-head", "--format", "jsonl").splitlines()]
    names = {line["name"] for line in printed if line["verified"]}
    demand(set(run.published) <= names, "our client verifies what this one published")
    run.ours("birch-social", "publish", "--kind", "domain", "--value", "from-ours[.]example",
             "--tlp", "green", "--audience", "companies")
    found, _cursor = run.read(run.acme, FROM_START)
    values = [verified.body.indicator.observable.value for verified in found]
    demand("from-ours[.]example" in values, "this client verifies what ours published")


def absent_and_forbidden_look_alike(run: Run) -> None:
    private = run.acme.sign("indicator", indicator("private.example"))
    run.keep(private, run.publish(private)[0])
    name = header_pb2.Header.FromString(private.payload).name
    absent = f"{run.acme.member}/records/00000000-0000-4000-8000-000000000000"
    for asked in (name, absent):
        request = exchange_service_pb2.GetRecordRequest(name=asked)
        demand_status(lambda: run.birch.exchange.GetRecord(request, timeout=PATIENCE),
                      grpc.StatusCode.NOT_FOUND, "RECORD_NOT_FOUND")


def demand_status(call: Callable[[], object], code: grpc.StatusCode, reason: str) -> None:
    """The call is refused with this code and this reason, in google.rpc.ErrorInfo."""
    try:
        call()
    except grpc.RpcError as error:
        info = error_details_pb2.ErrorInfo()
        status = rpc_status.from_call(error)
        demand(status is not None and any(detail.Unpack(info) for detail in status.details), "no ErrorInfo")
        said = (error.code(), info.reason, info.domain)
        demand(said == (code, reason, "watchfire"), f"answered with {said}")
        return
    raise Refuted("it was taken")


CHECKS = [
    who_we_are,
    a_record_is_published_alone,
    records_are_published_by_stream,
    a_repeat_gets_its_first_receipt,
    a_revision_follows_its_first,
    a_flipped_bit_is_refused,
    nobody_writes_as_another,
    a_p256_key_is_registered_and_signs,
    another_member_reads_and_verifies_everything,
    a_cursor_goes_on_and_a_changed_one_does_not,
    a_live_record_arrives,
    what_an_answer_brings_is_in_the_log,
    a_value_is_found_by_its_normal_form,
    an_entry_that_was_changed_on_the_way_is_refuted,
    the_two_clients_read_each_other,
    absent_and_forbidden_look_alike,
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--profiles", type=Path, required=True)
    args = parser.parse_args()
    run = Run(args.programs, args.address, args.profiles)
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            check(run)
        except Refuted as fault:
            sys.exit(f"  FAILED  {name}: {fault}")
        print(f"  ok      {name}", flush=True)


if __name__ == "__main__":
    main()
