"""Metriport as its documentation prints it: our client reads it, and the stand-in answers and tells in that shape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.connectors import metriport as client
from gateway.connectors import metriport_calls as calls
from gateway.connectors.metriport_bundle import founds
from gateway.connectors.metriport_calls import OPERATIONS, Options
from gateway.connectors.protocol import Side
from gateway.fhir import gate, json
from gateway.sandbox import metriport, serve
from gateway.translators.json import metriport as model
from tests.conftest import SHARED

pytestmark = pytest.mark.shared

EXAMPLES = SHARED / "partners" / "metriport-examples.json"
PERSONAS = SHARED / "partners" / "metriport-personas.json"
EVENTS = (
    "network-query.hie",
    "network-query.pharmacy",
    "network-query.lab",
    "medical.consolidated-data",
    "medical.document-download",
    "medical.document-bulk-download-urls",
    "patient.admit",
    "patient.transfer",
    "patient.discharge",
    "medical.bulk-patient-create",
)
OURS = "https://gateway.example/fhir"
SIDE = Side(ours=OURS, id_system="https://metriport.example", options=Options(facility_id="f"))
OPTIONAL = {
    "additionalIds",
    "externalId",
    "meta.requestId",
    "requestId",
    "data",
    "prevPage",
    "whenSourceSent",
    "filters",
}
"""What their examples have because of whom they are about."""


def examples() -> Any:
    if not EXAMPLES.exists():
        pytest.skip("set GATEWAY_SHARED to the folder of the reference corpora")
    return json.decode(EXAMPLES.read_bytes())


def lacking(printed: Any, said: Any, where: str = "") -> list[str]:
    """The members of the printed example that the answer lacks, or has of another kind."""
    if isinstance(printed, list):
        return lacking(printed[0], said[0], f"{where}[0]") if printed and isinstance(said, list) and said else []
    if not isinstance(printed, dict):
        return [] if type(said).__name__ == type(printed).__name__ else [f"{where}: {type(said).__name__}"]
    if not isinstance(said, dict):
        return [f"{where}: {type(said).__name__}"]
    found = [f"{where}.{name}" for name in printed if name not in said and name not in OPTIONAL]
    for name in printed.keys() & said.keys():
        found += lacking(printed[name], said[name], f"{where}.{name}")
    return found


@pytest.fixture(scope="module")
def api() -> Iterator[httpx.Client]:
    with (
        serve.running(metriport.create()) as url,
        httpx.Client(base_url=url, headers={"x-api-key": metriport.API_KEY}, trust_env=False) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def jane(api: httpx.Client) -> str:
    body = json.decode(PERSONAS.read_bytes())[0]["patient"] if PERSONAS.exists() else {}
    at = {"facilityId": metriport.FACILITY_ID}
    return str(api.post("/medical/v1/patient", params=at, json={**body, "externalId": "1234567890"}).json()["id"])


def test_every_persona_is_known_by_name(api: httpx.Client) -> None:
    examples()
    for one in json.decode(PERSONAS.read_bytes()):
        made = api.post("/medical/v1/patient", params={"facilityId": metriport.FACILITY_ID}, json=one["patient"])
        assert made.status_code == 201, made.text
        api.post("/medical/v1/document/query", params={"patientId": made.json()["id"]})
        listed = api.get("/medical/v1/document", params={"patientId": made.json()["id"]}).json()["documents"]
        assert len(listed) == 6, one["persona"]


def test_the_stand_in_answers_as_printed(api: httpx.Client, jane: str) -> None:
    printed = examples()
    root, one = "/medical/v1", f"/medical/v1/patient/{jane}"
    patient = {"params": {"patientId": jane}}
    window = {
        "params": {"resources": "Observation,MedicationRequest", "dateFrom": "2021-01-01", "dateTo": "2021-01-31"}
    }
    started = api.post(f"{root}/network/query", json=printed["network.query.request"], **patient).json()
    assert lacking(printed["network.query.response"], started) == []
    hooks = api.post("/settings", json={"webhookUrl": "http://127.0.0.1:9/hook"}).json()
    answers = {
        "patient.list": api.get(f"{root}/patient").json(),
        "facility.response": api.get(f"{root}/facility").json()["facilities"][0] | {"tin": "1"},
        "consolidated.start": api.post(f"{one}/consolidated/query", **window).json(),
        "consolidated.status": api.get(f"{one}/consolidated/query").json(),
        "consolidated.count": {**api.get(f"{one}/consolidated/count", **window).json(), "resources": {}},
        "document.query.start": api.post(f"{root}/document/query", **patient).json(),
        "document.query.status": api.get(f"{root}/document/query", **patient).json(),
        "document.bulk.start": api.post(f"{root}/document/download-url/bulk", **patient).json(),
        "document.upload": api.post(f"{root}/document/upload", json={"description": "x"}, **patient).json(),
        "network.entries": api.get(f"{root}/network-entry").json(),
        "patient.bulk.start": api.post(f"{root}/patient/bulk", params={"facilityId": metriport.FACILITY_ID}).json(),
        "patient.external-sync": api.post(f"{one}/external/sync").json(),
        "settings.get": hooks,
        "token.embed.response": api.post(f"{root}/token/embed", json=printed["token.embed.request"]).json(),
        "ias.session.response": api.post(
            f"{root}/identity/session", json={"patientId": jane, "redirectUrl": "https://app.example"}
        ).json(),
        "error": api.get(f"{root}/patient/nobody").json(),
    }
    wanted = {**printed, "consolidated.count": {**printed["consolidated.count"], "resources": {}}}
    found = {name: lacking(wanted[name], answer) for name, answer in answers.items()}
    her_own = ("personalIdentifiers", "contact", "additionalIds")
    found["patient.list"] = [one for one in found["patient.list"] if not any(name in one for name in her_own)]
    assert {name: problems for name, problems in found.items() if problems} == {}


def sent(api: httpx.Client, kind: str) -> dict[str, Any]:
    rows = [json.decode(body) for type_, _, _, body in api.get("/_webhooks").json() if type_ == kind]
    return rows[-1] if rows else {}


def eventually(probe: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_the_stand_in_tells_as_printed(api: httpx.Client, jane: str) -> None:
    printed = examples()
    patient = {"params": {"patientId": jane}}
    api.post("/medical/v1/network/query", json=printed["network.query.request"], **patient)
    eventually(lambda: sent(api, "network-query.lab"))
    api.post(f"/medical/v1/patient/{jane}/consolidated/query", params={"resources": "Encounter,Observation"})
    api.post("/medical/v1/document/query", **patient)
    api.post("/medical/v1/document/download-url/bulk", **patient)
    for event in ("admit", "transfer", "discharge"):
        api.post(f"/_events/{event}/{jane}")
    started = api.post(
        "/medical/v1/patient/bulk", params={"facilityId": metriport.FACILITY_ID, "dryRun": "true"}
    ).json()
    row = b"firstName,lastName,dob,genderAtBirth,addressLine1,city,state,zip\nA,B,1980-01-01,F,1,C,OH,43999\n"
    httpx.put(started["uploadUrl"], content=row, headers={"content-type": "text/csv"}, trust_env=False)
    for kind in EVENTS:
        told = eventually(lambda kind=kind: sent(api, kind))
        wanted = printed[f"webhook.{kind}"]
        problems = [one for one in lacking(wanted, told) if ".size" not in one and ".total" not in one]
        assert problems == [], kind
        assert client.event(told).kind == client.event(wanted).kind == "gather", kind


def test_our_client_reads_what_is_printed() -> None:
    printed = examples()
    read = model.from_partner(printed["patient.response"], ours=OURS, theirs=SIDE.id_system)
    assert gate.check(read.patient) == [] and read.patient["name"] == [{"family": "Juarez", "given": ["Jose"]}]
    written = model.to_partner(read.patient, our_id="x")
    names = ("firstName", "lastName", "dob", "genderAtBirth", "address", "contact", "personalIdentifiers")
    assert written.missing == ()
    assert {name: written.body[name] for name in names} == {name: printed["patient.response"][name] for name in names}
    encounter = printed["adt.encounter"]
    theirs = encounter["subject"]["reference"].removeprefix("Patient/")
    bundle = {"resourceType": "Bundle", "type": "message", "entry": [{"resource": encounter}]}
    [found] = founds(bundle, theirs, SIDE.id_system)
    assert found.doubt is None and gate.check(found.body) == []
    for paper in printed["document.list"]["documents"]:
        listed = {"resourceType": "Bundle", "entry": [{"resource": paper}]}
        [one] = founds(listed, paper["subject"]["reference"].removeprefix("Patient/"), SIDE.id_system)
        assert one.doubt is None and gate.check(one.body) == []


def test_our_client_asks_as_printed() -> None:
    printed = examples()
    plain = printed["network.query.request"]
    asked = calls.call(OPERATIONS["network-query"], {"patient": "p", **plain}, SIDE)
    assert asked.json == plain
    access = printed["network.query.request.ias"]
    given = {"patient": "p", "purposeOfUse": "ias", "aal2Session": "aal2_1", **access}
    asked = calls.call(OPERATIONS["network-query"], given, SIDE)
    assert asked.json == access and asked.headers == {"x-aal2-session": "aal2_1"}
    message = printed["message.send.request"]
    assert calls.call(OPERATIONS["send-message"], {"patient": "p", **message}, SIDE).json == message
    assert (
        calls.call(OPERATIONS["embed-token"], printed["token.embed.request"], SIDE).json
        == printed["token.embed.request"]
    )
    assert client.answer(printed["webhook.ping"]) == printed["webhook.ping.answer"]
