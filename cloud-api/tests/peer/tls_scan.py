"""Scans a door of the cloud with sslyze and holds what it found to what is promised. Arguments: host:port, the versions of TLS
that are to be spoken, `certificate` or `optional` for whether clients have to show one, and the files of a certificate and its
key that the door takes. Where they are wanted and missing, what needs a connection to the end is not looked at. A scan that did not
run is a failure."""

import json
import pathlib
import subprocess
import sys
import tempfile

VERSIONS = {"ssl_2_0": "sslv2", "ssl_3_0": "sslv3", "tls_1_0": "tlsv1", "tls_1_1": "tlsv1_1", "tls_1_2": "tlsv1_2", "tls_1_3": "tlsv1_3"}
AEAD = ("_GCM_SHA256", "_GCM_SHA384", "_POLY1305_SHA256")
CURVES = {"X25519", "secp256r1", "secp384r1", "X25519MLKEM768"}
# What sslyze is asked for, and what it must have found.
EITHER_WAY = {
    "compression": ("tls_compression", lambda found: not found["supports_compression"]),
    "heartbleed": ("heartbleed", lambda found: not found["is_vulnerable_to_heartbleed"]),
    "openssl_ccs": ("openssl_ccs_injection", lambda found: not found["is_vulnerable_to_ccs_injection"]),
    "robot": ("robot", lambda found: found["robot_result"].startswith("NOT_VULNERABLE")),
    "fallback": ("tls_fallback_scsv", lambda found: found["supports_fallback_scsv"]),
    "ems": ("tls_extended_master_secret", lambda found: found["supports_ems_extension"]),
    "elliptic_curves": ("elliptic_curves", lambda found: {curve["name"] for curve in found["supported_curves"]} <= CURVES),
}
TO_THE_END = {
    "early_data": ("tls_1_3_early_data", lambda found: not found["supports_early_data"]),
    "reneg": (
        "session_renegotiation",
        lambda found: found["supports_secure_renegotiation"] and not found["is_vulnerable_to_client_renegotiation_dos"],
    ),
    "resum": ("session_resumption", lambda found: resumes_nothing(found)),
}


def resumes_nothing(found):
    kinds = [found["session_id_resumption_result"], found["tls_ticket_resumption_result"]]
    return all(kind in ("NOT_SUPPORTED", "SERVER_IS_TLS_1_3_ONLY") for kind in kinds)


def scan(door, options):
    """What sslyze says of the door."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        command = [sys.executable, "-m", "sslyze", "--quiet", "--mozilla_config", "disable", "--json_out", str(report)]
        # Its exit status tells of Mozilla's recommendations, which are not asked for: the report tells.
        run = subprocess.run([*command, *options, door], capture_output=True, text=True, timeout=240, check=False)
        assert report.is_file(), f"sslyze wrote no report\n{run.stdout}\n{run.stderr}"
        [result] = json.loads(report.read_text())["server_scan_results"]
    assert result["scan_status"] == "COMPLETED", result
    return result


def main(door, versions, asks, *credentials):
    wanted = {f"tls_{version.replace('.', '_')}" for version in versions.split(",")}
    checks = EITHER_WAY | (TO_THE_END if credentials or asks == "optional" else {})
    options = [f"--{name}" for name in [*VERSIONS.values(), *checks]]
    if credentials:
        options += ["--cert", credentials[0], "--key", credentials[1]]
    found = scan(door, options)["scan_result"]

    def result(command):
        part = found[command]
        assert part["status"] == "COMPLETED", (command, part["error_reason"], part["error_trace"])
        return part["result"]

    for version in VERSIONS:
        accepted = [suite["cipher_suite"]["name"] for suite in result(f"{version}_cipher_suites")["accepted_cipher_suites"]]
        print(version, *accepted)
        assert bool(accepted) == (version in wanted), (version, accepted)
        assert all(name.endswith(AEAD) for name in accepted), accepted
        # Every suite of TLS 1.3 agrees on a key that is forgotten.
        assert version == "tls_1_3" or all(name.startswith("TLS_ECDHE_") for name in accepted), accepted
    for command, good in checks.values():
        part = result(command)
        print(command, json.dumps(part)[:200])
        assert good(part), (command, part)
    # As somebody without a certificate sees it.
    requirement = scan(door, ["--tlsv1_3"])["connectivity_result"]["client_auth_requirement"]
    print("client certificate", requirement)
    assert requirement == {"certificate": "REQUIRED", "optional": "OPTIONAL"}[asks], requirement


main(*sys.argv[1:])
