"""What other people's TLS sees of the hub: each check is a fact, and the first that does not hold ends the run."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

SUITES = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
# X25519MLKEM768 is the first of ours, and sslyze does not know it.
CURVES = {"X25519", "secp256r1", "secp384r1"}
OLDER = ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2")
COMMANDS = (
    "--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--elliptic_curves", "--resum", "--early_data",
    "--reneg", "--compression", "--heartbleed", "--openssl_ccs", "--robot", "--fallback", "--certinfo", "--ems",
)


class Refuted(Exception):
    """Something does not hold."""


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Refuted(what)


def ok(what: str) -> None:
    print(f"  ok      {what}")


def scan(port: int, *more: str | Path) -> dict:
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [Path(sys.executable).parent / "sslyze", "--json_out", report.name, "--quiet"]
        # The exit says whether Mozilla's profile for web sites is met, which asks for what a site for browsers needs.
        subprocess.run([*command, *more, f"localhost:{port}"], capture_output=True, timeout=120, check=False)
        [result] = json.loads(Path(report.name).read_text())["server_scan_results"]
    demand(result["scan_status"] == "COMPLETED", f"sslyze: {result['scan_status']}: {result.get('connectivity_error_trace')}")
    return result


def of(result: dict, name: str) -> dict:
    part = result["scan_result"][name]
    demand(part["status"] == "COMPLETED", f"sslyze: {name}: {part['status']}: {part['error_trace']}")
    return part["result"]


def sslyze(port: int, profile: Path, name: str) -> None:
    result = scan(port, "--tlsv1_3")
    connectivity = result["connectivity_result"]
    demand(connectivity["client_auth_requirement"] == "REQUIRED", f"{name}: {connectivity}")
    demand(connectivity["highest_tls_version_supported"] == "TLS_1_3", f"{name}: {connectivity}")
    ok(f"{name}: a client must show a certificate")
    # What a member could do, by whoever has its certificate.
    result = scan(port, *COMMANDS, "--cert", profile / "tls.pem", "--key", profile / "tls.key")
    for version in OLDER:
        demand(not of(result, f"{version}_cipher_suites")["is_tls_version_supported"], f"{name}: speaks {version}")
    suites = {each["cipher_suite"]["name"] for each in of(result, "tls_1_3_cipher_suites")["accepted_cipher_suites"]}
    demand(suites == SUITES, f"{name}: suites {suites}")
    ok(f"{name}: TLS 1.3 with its three suites, and nothing older")
    curves = of(result, "elliptic_curves")["supported_curves"] or []
    curves = {each["name"] for each in curves}
    demand(curves == CURVES, f"{name}: groups {curves}")
    ok(f"{name}: groups {', '.join(sorted(curves))} of those that sslyze knows")
    # Early data wants a ticket, and there is none; who names no protocol is sent away by gRPC before sslyze sees that.
    early = result["scan_result"]["tls_1_3_early_data"]
    is_closed = early["status"] == "ERROR" and "Connection was shut down by peer" in early["error_trace"]
    demand(is_closed or not of(result, "tls_1_3_early_data")["supports_early_data"], f"{name}: takes early data")
    demand(not of(result, "tls_compression")["supports_compression"], f"{name}: compresses")
    demand(not of(result, "heartbleed")["is_vulnerable_to_heartbleed"], f"{name}: Heartbleed")
    demand(not of(result, "openssl_ccs_injection")["is_vulnerable_to_ccs_injection"], f"{name}: CCS injection")
    robot = of(result, "robot")["robot_result"]
    demand(robot == "NOT_VULNERABLE_RSA_NOT_SUPPORTED", f"{name}: ROBOT {robot}")
    renegotiation = of(result, "session_renegotiation")
    demand(renegotiation["client_renegotiations_success_count"] == 0, f"{name}: renegotiates: {renegotiation}")
    demand(not renegotiation["is_vulnerable_to_client_renegotiation_dos"], f"{name}: renegotiates: {renegotiation}")
    # In sslyze's sense resumption is of TLS 1.2, which nobody here speaks; OpenSSL looks for the tickets of TLS 1.3.
    resumption = json.dumps(result["scan_result"]["session_resumption"])
    demand("FULLY_SUPPORTED" not in resumption.replace("NOT_FULLY", ""), f"{name}: resumes: {resumption}")
    ok(f"{name}: no early data, compression, renegotiation or resumption")


def openssl(port: int, profile: Path, *flags: str, certificate: bool = True) -> str:
    command = ["openssl", "s_client", "-connect", f"localhost:{port}", "-CAfile", profile / "ca.pem",
               "-verify_return_error", "-servername", "localhost", *flags]
    if certificate:
        command += ["-cert", profile / "tls.pem", "-key", profile / "tls.key"]
    # Its input stays open, so that what the hub says after the handshake is heard: an alert, tickets.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        pass
    said, _none = process.communicate(b"Q\n", timeout=10)
    return said.decode(errors="replace")


def with_openssl(port: int, profile: Path, name: str, protocols: tuple[str, ...]) -> None:
    for protocol in protocols:
        said = openssl(port, profile, "-alpn", protocol)
        demand("Verify return code: 0 (ok)" in said, f"{name}: {said}")
        demand(f"ALPN protocol: {protocol}" in said and "TLSv1.3" in said, f"{name}: {said}")
        demand("New Session Ticket" not in said, f"{name}: a ticket: {said}")
        demand("Early data was not sent" in said or "Max Early Data: 0" in said, f"{name}: {said}")
    ok(f"{name}: OpenSSL gets in with {' and '.join(protocols)}, and has no ticket")
    for flags in (("-tls1_2",), ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"), ("-groups", "P-521"), ("-groups", "ffdhe2048"),
                  ("-groups", "X448"), ("-ciphersuites", "TLS_AES_128_CCM_SHA256"), ("-alpn", "spdy/3")):
        said = openssl(port, profile, *flags)
        demand("SSL alert number" in said and ("(NONE)" in said or "no application protocol" in said), f"{name}: {flags}: {said}")
    ok(f"{name}: OpenSSL is refused with old versions, other groups and suites, and another protocol")
    said = openssl(port, profile, "-alpn", protocols[0], certificate=False)
    demand("certificate required" in said, f"{name}: without a certificate: {said}")
    ok(f"{name}: OpenSSL is refused without a certificate")


def with_gnutls(port: int, profile: Path, name: str) -> None:
    def speak(*flags: str) -> str:
        command = ["gnutls-cli", "--port", str(port), "--x509cafile", profile / "ca.pem", "--alpn", "h2", *flags, "localhost"]
        done = subprocess.run(command, input=b"", capture_output=True, timeout=30, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    shown = ("--x509certfile", str(profile / "tls.pem"), "--x509keyfile", str(profile / "tls.key"))
    said = speak(*shown)
    demand("Handshake was completed" in said and "TLS1.3" in said, f"{name}: {said}")
    said = speak(*shown, "--priority", "NORMAL:-VERS-TLS1.3")
    demand("Handshake was completed" not in said, f"{name}: TLS 1.2: {said}")
    said = speak(*shown, "--priority", "NORMAL:-GROUP-ALL:+GROUP-FFDHE2048")
    demand("Handshake was completed" not in said, f"{name}: FFDHE: {said}")
    ok(f"{name}: GnuTLS gets in with TLS 1.3, and not with 1.2 or a finite field")


def testssl(port: int, profile: Path, name: str) -> None:
    program = next((each for each in ("testssl", "testssl.sh") if subprocess.run(
        ["which", each], capture_output=True, check=False).returncode == 0), None)
    demand(program is not None, "testssl.sh is missing")
    with tempfile.TemporaryDirectory() as folder:
        report, both = Path(folder) / "report.json", Path(folder) / "both.pem"
        both.write_text((profile / "tls.pem").read_text() + (profile / "tls.key").read_text())
        command = [program, "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", report, "--mtls", both,
                   "--add-ca", profile / "ca.pem", "-p", "-s", "-f", "-U", f"localhost:{port}"]
        subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=900, check=False)
        demand(report.exists(), "testssl.sh wrote no report: it takes certificates of clients (--mtls) from 3.2 on")
        findings = json.loads(report.read_text())
    grave = [each for each in findings if each["severity"] in ("MEDIUM", "HIGH", "CRITICAL")]
    demand(not grave, f"{name}: {grave}")
    ok(f"{name}: testssl.sh finds nothing above LOW in {len(findings)} findings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--grpc", type=int, required=True)
    parser.add_argument("--taxii", type=int, required=True)
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    for port, name, protocols in ((args.grpc, "gRPC", ("h2",)), (args.taxii, "TAXII", ("h2", "http/1.1"))):
        sslyze(port, args.profile, name)
        with_openssl(port, args.profile, name, protocols)
        with_gnutls(port, args.profile, name)
        if args.full:
            testssl(port, args.profile, name)


if __name__ == "__main__":
    try:
        main()
    except Refuted as refuted:
        sys.exit(f"tls tools: {refuted}")
