"""A customer's back end in Python, on a client that openapi-python-client made of cloud-api/openapi.json: everything it does
for a site, by the generated functions alone. It reads its arguments from the environment, prints `erasure ID` for each
erasure that a controller has to answer, and ends with a traceback where an answer is not what the description promises."""

import datetime
import hashlib
import io
import json
import os
import ssl
import sys
import time
import uuid

from cardea_client import AuthenticatedClient, Client
from cardea_client.api.biometrics import (
    enrol_face,
    list_consents,
    read_act,
    read_consent_text,
    read_erasure,
    read_subject,
    record_consent,
    record_consent_text,
    withdraw_consent,
)
from cardea_client.api.events import export_incident, signing_keys
from cardea_client.api.plates import admit_plate, change_plate, list_plates, read_plate, remove_plate
from cardea_client.api.sales import read_sale, sell_property
from cardea_client.api.sites import list_sites
from cardea_client.api.tokens import token
from cardea_client.models import (
    ActView,
    AdmitPlate,
    ChangeValidity,
    ConsentRecorded,
    ConsentTextRecorded,
    ErasureOrdered,
    ErasureView,
    ExportIncident,
    FaceEnrolled,
    PhotoForm,
    PlateAdmitted,
    PlateView,
    ProblemDetails,
    RecordConsent,
    RecordConsentText,
    SaleView,
    SellProperty,
    SubjectView,
    TokenRequest,
    TokenResponse,
)
from cardea_client.types import File

BASE, SITE, ACCOUNT, NOW = (os.environ[f"CARDEA_{name}"] for name in ("BASE", "SITE", "ACCOUNT", "NOW"))
NOW = datetime.datetime.fromisoformat(NOW)
FLAT, SOLD = str(uuid.uuid4()), str(uuid.uuid4())


def expect(kind, response, status):
    """The body of an answer, which has to be of this status and this type."""
    assert response.status_code == status, (response.status_code, response.content)
    assert isinstance(response.parsed, kind), response.parsed
    return response.parsed


def connection():
    context = ssl.create_default_context(cafile=os.environ["CARDEA_CA"])
    context.load_cert_chain(os.environ["CARDEA_CERT"], os.environ["CARDEA_KEY"])
    return {"base_url": BASE, "verify_ssl": context, "timeout": 60, "raise_on_unexpected_status": True}


def log_in():
    with Client(**connection()) as client:
        body = TokenRequest(grant_type="client_credentials", client_id=ACCOUNT)
        issued = expect(TokenResponse, token.sync_detailed(client=client, body=body), 200)
    assert issued.token_type == "Bearer" and issued.expires_in > 0
    return AuthenticatedClient(token=issued.access_token, **connection())


def a_car(client):
    admitted = expect(PlateAdmitted, admit_plate.sync_detailed(SITE, client=client, body=AdmitPlate(plate="А123ВС 77")), 201)
    listed = list_plates.sync(SITE, client=client, limit=10)
    assert [(plate.plate, plate.plate_id) for plate in listed.plates] == [("A123BC77", admitted.plate_id)]
    answer = read_plate.sync_detailed(SITE, admitted.plate_id, client=client)
    assert expect(PlateView, answer, 200).plate == "A123BC77"
    until = NOW + datetime.timedelta(days=30)
    change, tag = ChangeValidity(valid_until=until), answer.headers["ETag"]
    changed = change_plate.sync_detailed(SITE, admitted.plate_id, client=client, body=change, if_match=tag)
    assert changed.status_code == 204, changed.content
    stale = change_plate.sync_detailed(SITE, admitted.plate_id, client=client, body=change, if_match=tag)
    assert expect(ProblemDetails, stale, 412).type_.startswith("/problems/")
    assert read_plate.sync(SITE, admitted.plate_id, client=client).valid_until == until
    assert remove_plate.sync_detailed(SITE, admitted.plate_id, client=client).status_code == 204
    assert list_plates.sync(SITE, client=client).plates == []


def a_face(client, subject, version):
    photo = open(os.environ["CARDEA_PHOTO"], "rb").read()
    form = PhotoForm(photo=[File(payload=io.BytesIO(photo), file_name=f"{n}.jpg", mime_type="image/jpeg") for n in (1, 2)])
    refused = enrol_face.sync_detailed(SITE, subject, client=client, body=form)
    problem = expect(ProblemDetails, refused, 403)
    assert (problem.type_, problem.status) == ("/problems/consent-missing", 403) and problem.request_id, problem

    signed = hashlib.sha256(b"what the resident signed").hexdigest()
    body = RecordConsent(subject=subject, document_version=version, given_at=NOW, evidence_sha256=signed)
    recorded = expect(ConsentRecorded, record_consent.sync_detailed(SITE, client=client, body=body), 201)
    for part in form.photo:
        part.payload.seek(0)
    key = str(uuid.uuid4())
    enrolled = enrol_face.sync_detailed(SITE, subject, client=client, body=form, idempotency_key=key)
    enrolled = expect(FaceEnrolled, enrolled, 201)
    assert len(enrolled.photos) == 2 and sum(photo.kept for photo in enrolled.photos) == 1, enrolled
    # The other form of the call: the photo is the body.
    single = enrol_face.sync_detailed(SITE, subject, client=client, body=File(payload=io.BytesIO(photo)))
    expect(FaceEnrolled, single, 201)

    held = expect(SubjectView, read_subject.sync_detailed(SITE, subject, client=client), 200)
    assert enrolled.template_id in [template.template_id for template in held.templates]
    assert [consent.consent_id for consent in held.consents] == [recorded.consent_id]
    return recorded.consent_id


def erased(client, erasure_id, reason):
    """Waits for the controller's receipt; what the act says of it."""
    print("erasure", erasure_id, flush=True)
    deadline = time.monotonic() + 60
    while True:
        erasure = expect(ErasureView, read_erasure.sync_detailed(erasure_id, client=client), 200)
        if erasure.state == "complete":
            break
        assert time.monotonic() < deadline, erasure
        time.sleep(0.1)
    assert erasure.reason == reason and erasure.cloud_erased == 2
    [receipt] = erasure.receipts
    answer = expect(ActView, read_act.sync_detailed(erasure_id, client=client), 200)
    [_, line] = answer.act.log
    assert line.receipt_sha256 == hashlib.sha256(receipt.receipt_jws.encode()).hexdigest()
    assert answer.jws.count(".") == 2 and answer.act.subject == erasure.subject


def an_export(client):
    hour = datetime.timedelta(hours=1)
    body = ExportIncident(from_=NOW - hour, to=NOW + hour)
    answer = export_incident.sync_detailed(SITE, client=client, body=body)
    bundle = expect(File, answer, 200).payload.read()
    header, *entries, signature = [json.loads(line) for line in bundle.splitlines()]
    assert header["site_id"] == SITE and signature["jws"].count(".") == 2
    assert any(entry["action"]["operation"] == "admit_plate" for entry in entries if "action" in entry)
    assert signing_keys.sync_detailed(client=client).status_code == 200


def main():
    with log_in() as client:
        assert SITE in [site.site_id for site in list_sites.sync(client=client).sites]
        unknown = expect(ProblemDetails, list_plates.sync_detailed("no-such-site", client=client), 404)
        assert unknown.type_ == "/problems/not-found", unknown
        a_car(client)

        text = RecordConsentText(version="2026-11", language="en", text="I agree that my face opens the door.")
        text = expect(ConsentTextRecorded, record_consent_text.sync_detailed(client=client, body=text), 201)
        assert read_consent_text.sync(text.text_id, client=client).version == "2026-11"
        consent = a_face(client, FLAT, "2026-11")
        a_face(client, SOLD, "2026-11")
        assert len(list_consents.sync(SITE, client=client).consents) == 2

        withdrawn = expect(ErasureOrdered, withdraw_consent.sync_detailed(SITE, consent, client=client), 202)
        pending = expect(ProblemDetails, read_act.sync_detailed(withdrawn.erasure_id, client=client), 409)
        assert pending.detail, pending
        erased(client, withdrawn.erasure_id, "consent-withdrawn")

        sale = SellProperty(plates=["A124BC77"], subjects=[SOLD])
        sale = expect(SaleView, sell_property.sync_detailed(SITE, client=client, body=sale), 201)
        assert (sale.plates, sale.subjects) == (1, 1)
        [erasure] = sale.erasures
        erased(client, erasure, "property-sold")
        assert expect(SaleView, read_sale.sync_detailed(sale.sale_id, client=client), 200).erasures == [erasure]
        an_export(client)
    print("done", file=sys.stderr)


main()
