#!/usr/bin/env python3
"""Reads the vectors with code that is not ours: cbor2, cryptography, pycddl (setup/vectors.txt). HPKE and COSE are written out here, of their RFCs.

Usage: check.py FOLDER SYNC.md
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import struct
import sys

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

try:
    import pycddl
except ImportError:  # there is none for arm64
    pycddl = None

FOLDER, SYNC = map(pathlib.Path, sys.argv[1:])
ALGORITHMS = {"cardea-up+cose": -7, "cardea-down+cose": -8}


# pycddl 0.6 does not find the alternative of a choice where a text stands beside maps, nor the last of maps with further keys.
MISREAD = {"events", "changes", "changes-in-part"}


def read(name):
    return json.loads((FOLDER / name).read_text())


KEYS = {who: serialization.load_pem_public_key(key["public_key_pem"].encode()) for who, key in read("keys.json").items() if who != "about"}


def verifies(key, signature, signed):
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(utils.encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(signature, signed)
    except InvalidSignature:
        return False
    return len(signature) == 64


def opened(signed, key, typ):
    """The payload of a COSE_Sign1 (RFC 9052 §4.4), or why there is none."""
    if signed[:1] != b"\xd2":
        return None
    message = cbor2.loads(signed)
    protected, unprotected, payload, signature = message.value
    header = cbor2.loads(protected)
    if header[1] != ALGORITHMS["cardea-up+cose" if key is KEYS["controller"] else "cardea-down+cose"]:
        return None
    to_sign = cbor2.dumps(["Signature1", protected, b"", payload])
    if unprotected or header[16] != typ or not verifies(key, signature, to_sign):
        return None
    return payload


def diagnostic(item):
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, bytes):
        return f"h'{item.hex()}'"
    if isinstance(item, str):
        return json.dumps(item, ensure_ascii=False)
    if isinstance(item, dict):
        return "{" + ", ".join(f"{diagnostic(key)}: {diagnostic(value)}" for key, value in item.items()) + "}"
    if isinstance(item, (list, tuple)):
        return "[" + ", ".join(map(diagnostic, item)) + "]"
    return repr(item)


def described_by(root):
    """Whether bytes are as the CDDL of the documentation says, with `root` first."""
    if pycddl is None:
        return lambda _: True
    rules = "\n".join(re.findall(r"^```cddl\n(.*?)^```", SYNC.read_text(), re.S | re.M))
    schema = pycddl.Schema(f"start = {root}\n{rules}")

    def is_described(payload):
        try:
            schema.validate_cbor(payload)
        except pycddl.ValidationError as error:
            return print(error)
        return True

    return is_described


def messages():
    file = read("messages.json")
    for root, who in (("up", "controller"), ("down", "cloud")):
        is_described = described_by(root)
        for vector in file[root]:
            name = vector["name"]
            payload = opened(bytes.fromhex(vector["signed"]), KEYS[who], vector["typ"])
            assert payload == bytes.fromhex(vector["payload"]), name
            envelope = cbor2.loads(payload)
            assert cbor2.dumps(envelope, canonical=True) == payload, f"{name}: not deterministic"
            assert diagnostic(envelope) == vector["meaning"], f"{name}: {diagnostic(envelope)}"
            assert (envelope["controller"], envelope["session"]) == (file["controller"], file["session"]), name
            assert name in MISREAD or is_described(payload), name
        print(f"{len(file[root])} messages {root}: signed, deterministic{', as described' if pycddl else ''}")


def refused():
    is_described = described_by("down")
    for vector in read("refused.json")["refused"]:
        payload = opened(bytes.fromhex(vector["signed"]), KEYS["cloud"], "cardea-down+cose")
        if payload is None:
            continue
        envelope = cbor2.loads(payload)
        plain = cbor2.dumps(envelope, canonical=True) == payload and envelope["controller"] == "gate-1"
        assert not (plain and pycddl and is_described(payload)), vector["name"]
    print("what is to be refused is")


def extract(suite, salt, label, ikm):
    return hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")


def expand(suite, key, label, info, length):
    labelled = struct.pack(">H", length) + b"HPKE-v1" + suite + label + info
    return hmac.digest(key, labelled + b"\x01", "sha256")[:length]


def seal():
    """Opens the box by RFC 9180: DeriveKeyPair (§7.1.3), Decap (§4.1), KeySchedule (§5.1), base mode."""
    file = read("seal.json")
    value = {name: bytes.fromhex(file[name]) for name in ("ikm", "public_key", "plaintext", "enc", "ct")}
    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
    private = x25519.X25519PrivateKey.from_private_bytes(
        expand(kem, extract(kem, b"", b"dkp_prk", value["ikm"]), b"sk", b"", 32)
    )
    public = private.public_key().public_bytes_raw()
    assert public == value["public_key"]
    shared = private.exchange(x25519.X25519PublicKey.from_public_bytes(value["enc"]))
    secret = expand(kem, extract(kem, b"", b"eae_prk", shared), b"shared_secret", value["enc"] + public, 32)
    info = extract(suite, b"", b"info_hash", file["info"].encode())
    context = b"\x00" + extract(suite, b"", b"psk_id_hash", b"") + info
    key = extract(suite, secret, b"secret", b"")
    aead = ChaCha20Poly1305(expand(suite, key, b"key", context, 32))
    nonce = expand(suite, key, b"base_nonce", context, 12)
    assert aead.decrypt(nonce, value["ct"], file["associated_data"].encode()) == value["plaintext"]
    print("the sealed template opens")


def field(text):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">Q", len(text)) + text


def entry(fields):
    return hashlib.sha256(b"".join(map(field, fields))).digest()


def ends(held):
    validity = held.get("validity", {})
    open_ended = (-(2**63), 2**63 - 1)
    return [struct.pack(">q", validity.get(end, default)) for end, default in zip(("from", "until"), open_ended)]


def plate(held):
    hours = held.get("schedule")
    hours = json.dumps({"time_zone": hours["time_zone"], "hours": hours["hours"]}, separators=(",", ":"), ensure_ascii=False) if hours else ""
    once = "once" if held.get("single_entry") else ""
    fields = ["plate", held["plate_id"], held["plate"], *ends(held), held.get("subject", ""), hours, once]
    while not fields[-1]:
        fields.pop()
    return entry(fields)


def digest():
    file, expected = read("messages.json"), read("digest.json")
    page = next(vector for vector in file["down"] if vector["name"] == "snapshot")
    held = cbor2.loads(bytes.fromhex(page["payload"]))["message"]["snapshot"]
    card = held["cards"][0]
    template = held["templates"][0]
    plaintext = bytes.fromhex(read("seal.json")["plaintext"])
    entries = {
        "the plain plate": plate(held["plates"][0]),
        "the plate with everything": plate(held["plates"][1]),
        "the card": entry(["card", card["card_id"], card["hash"].hex(), card["subject"], *ends(card)]),
        "the template of seal.json": entry(
            ["template", template["template_id"], template["subject"], hashlib.sha256(plaintext).digest()]
        ),
    }
    of = lambda hashes_of: hashlib.sha256(b"".join(sorted(hashes_of))).hexdigest()
    computed = {"nothing": of([]), "all four": of(entries.values())} | {name: of([one]) for name, one in entries.items()}
    assert computed == expected, computed
    print("the digests agree")


def receipt():
    file = read("receipt.json")
    decode = lambda text: base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    header, claims, signature = file["jws"].split(".")
    assert verifies(KEYS["controller"], decode(signature), f"{header}.{claims}".encode())
    header = json.loads(decode(header))
    assert (header["alg"], header["typ"]) == ("ES256", "cardea-receipt+jws")
    assert json.loads(decode(claims)) == file["claims"]
    print("the receipt verifies")


messages()
refused()
seal()
digest()
receipt()
