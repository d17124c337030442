"""What we serve in Metriport's shape: consolidated data by webhook, settings with ping and retry, summaries."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.fhir import gate, json
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

from .desk import MRN, PUBLIC, Desk, bundle, entry, opened, patient

pytestmark = pytest.mark.anyio

CONDITION = {
    "resourceType": "Condition",
    "clinicalStatus": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
    },
    "code": {"coding": [{"system": "http://snomed.info/sct", "code": "38341003", "display": "Hypertension"}]},
    "onsetDateTime": "2021-03-04",
}
WEIGHT = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"text": "Body <weight>"},
    "effectiveDateTime": "2023-05-06T08:00:00Z",
    "valueQuantity": {"value": 70.50, "unit": "kg"},
}


@dataclass
class Partner:
    """A client of Metriport's shape: answers pings, keeps the rest."""

    url: str
    app: Sandbox
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [body for body in map(json.decode, (raw for _, raw in self.received)) if body["meta"]["type"] == kind]


@pytest.fixture
def partner() -> Iterator[Partner]:
    received: list[tuple[dict[str, str], bytes]] = []

    async def receive(request: Request) -> Response:
        raw = await request.body()
        received.append((dict(request.headers), raw))
        said = json.decode(raw)
        return JSONResponse({"pong": said["ping"]} if "ping" in said else {})

    app = Sandbox(Starlette(routes=[Route("/hook", receive, methods=["POST"])]))
    with serve.running(app) as url:
        yield Partner(f"{url}/hook", app, received)


@pytest.fixture
async def desk(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Desk]:
    async with opened(tmp_path, deliver=True) as desk:
        desk.connect({"name": "clinic", "profile": "intake", "push": False, "allow_networks": ["127.0.0.0/8"]})
        desk.made["clinic"] = desk.add_key("clinic", "clinic", "system/*.rs")
        yield desk


async def medical(desk: Desk, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
    given = desk.made["clinic"] if key is None else key
    return await desk.call(method, path, body, key=given, kind="application/json")


async def ada(desk: Desk) -> str:
    subject = {"reference": "urn:uuid:00000000-0000-4000-8000-000000000001"}
    entries = [
        entry("PUT", f"Patient?identifier={MRN}|1", patient("Quill", (MRN, "1")), full_url=subject["reference"]),
        entry("POST", "Condition", {**CONDITION, "subject": subject}),
        entry("POST", "Observation", {**WEIGHT, "subject": subject}),
    ]
    answer = await desk.call("POST", "/fhir", bundle("transaction", *entries))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["entry"][0]["response"]["location"]).split("/")[1]


async def until(reached: Callable[[], Any], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.02)


async def settled(desk: Desk, partner: Partner) -> str:
    """The webhook key, once the ping was answered."""
    answer = await medical(desk, "POST", "/settings", {"webhookUrl": partner.url})
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(10):
        while not (await medical(desk, "GET", "/settings/webhook")).json().get("webhookEnabled"):
            await asyncio.sleep(0.02)
    return str(answer.json()["webhookKey"])


async def failed(desk: Desk, number: int) -> Any:
    """The state of its webhooks, once so many failed."""
    async with asyncio.timeout(10):
        while (said := (await medical(desk, "GET", "/settings/webhook")).json())["webhookRequestsFailed"] < number:
            await asyncio.sleep(0.02)
    return said


async def test_a_url_is_tried_by_a_signed_ping(desk: Desk, partner: Partner) -> None:
    key = await settled(desk, partner)
    [(headers, raw)] = partner.received
    assert headers["x-metriport-signature"] == hmac.new(key.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["user-agent"] == "Metriport API"
    assert (await medical(desk, "GET", "/settings")).json() == {
        "id": "clinic",
        "webhookUrl": partner.url,
        "webhookKey": key,
    }


async def test_a_wrong_pong_is_told(desk: Desk, partner: Partner) -> None:
    async def deaf(_: Request) -> Response:
        return JSONResponse({"pong": "something else"})

    with serve.running(Sandbox(Starlette(routes=[Route("/hook", deaf, methods=["POST"])]))) as url:
        await medical(desk, "POST", "/settings", {"webhookUrl": f"{url}/hook"})
        async with asyncio.timeout(10):
            while not (said := (await medical(desk, "GET", "/settings/webhook")).json()).get("webhookRequestsFailed"):
                await asyncio.sleep(0.02)
    assert said["webhookEnabled"] is False and "pong" in said["webhookStatusDetail"]


async def test_consolidated_data_arrive_by_webhook_as_json_and_gzip(desk: Desk, partner: Partner) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    path = f"/medical/v1/patient/{id_}/consolidated/query"
    started = (await medical(desk, "POST", path, {"metadata": {"visit": "42"}})).json()
    assert started["status"] == "processing"
    await until(lambda: partner.told("medical.consolidated-data"))
    [told] = partner.told("medical.consolidated-data")
    assert told["meta"]["requestId"] == started["requestId"] and told["meta"]["data"] == {"visit": "42"}
    [about] = told["patients"]
    assert about["patientId"] == id_ and about["status"] == "completed"
    attachments = [one["attachment"] for one in about["bundle"]["entry"][0]["resource"]["content"]]
    assert [one["contentType"] for one in attachments] == ["application/json", "application/gzip"]
    plain, packed = [await desk.client.get(one["url"].removeprefix(PUBLIC)) for one in attachments]
    assert gzip.decompress(packed.content) == plain.content
    found = json.decode(plain.content)
    assert found["type"] == "searchset" and gate.check(found) == []
    named = [one["fullUrl"].removeprefix(f"{PUBLIC}/fhir/") for one in found["entry"]]
    assert named == [f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in found["entry"]]
    assert [one["resource"]["resourceType"] for one in found["entry"]] == ["Patient", "Condition", "Observation"]
    assert b"70.5" in plain.content
    done = (await medical(desk, "GET", f"{path}/{started['requestId']}")).json()
    assert done["status"] == "completed"


async def test_the_same_query_while_it_runs_is_the_running_one(desk: Desk, partner: Partner) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    partner.app.set(delay=1.0)
    path = f"/medical/v1/patient/{id_}/consolidated/query?resources=Condition"
    first, again = [(await medical(desk, "POST", path)).json()["requestId"] for _ in range(2)]
    other = (await medical(desk, "POST", path.replace("Condition", "Observation"))).json()["requestId"]
    assert first == again != other


async def test_types_and_days_narrow_it_down(desk: Desk) -> None:
    id_ = await ada(desk)
    base = f"/medical/v1/patient/{id_}/consolidated"
    assert (await medical(desk, "GET", f"{base}/count")).json() == {
        "total": 2,
        "resources": {"Condition": 1, "Observation": 1},
        "filter": {"resources": "all"},
    }
    windowed = (await medical(desk, "GET", f"{base}/count?dateFrom=2022-01-01&dateTo=2023-05-06")).json()
    assert windowed["resources"] == {"Observation": 1}
    both = (await medical(desk, "GET", f"{base}/count?resources=Condition&resources=Observation")).json()
    assert both["total"] == 2 and both["filter"]["resources"] == ["Condition", "Observation"], "none is dropped unsaid"
    only = (await medical(desk, "GET", f"{base}?resources=Condition")).json()
    assert [one["resource"]["resourceType"] for one in only["entry"]] == ["Patient", "Condition"]


async def test_a_prescription_comes_with_its_medication_and_who_wrote_it(desk: Desk) -> None:
    """They are in no patient's compartment, and without them nobody knows what was prescribed."""
    id_ = await ada(desk)
    iron = await desk.made_id({"resourceType": "Medication", "code": {"text": "Iron 50 mg"}})
    clinic = await desk.made_id({"resourceType": "Organization", "name": "Clinic"})
    role = await desk.made_id(
        {"resourceType": "PractitionerRole", "organization": {"reference": f"Organization/{clinic}"}}
    )
    ordered = {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "authoredOn": "2024-01-01"}
    ordered |= {"medicationReference": {"reference": f"Medication/{iron}"}, "subject": {"reference": f"Patient/{id_}"}}
    await desk.made_id({**ordered, "requester": {"reference": f"PractitionerRole/{role}"}})
    base = f"/medical/v1/patient/{id_}"
    every = (await medical(desk, "GET", f"{base}/consolidated")).json()
    modes = {one["resource"]["resourceType"]: one["search"]["mode"] for one in every["entry"]}
    named = {"Medication": "include", "PractitionerRole": "include", "Organization": "include"}
    assert gate.check(every) == [] and every["total"] == 4
    assert modes == dict.fromkeys(("Patient", "Condition", "Observation", "MedicationRequest"), "match") | named
    only = (await medical(desk, "GET", f"{base}/consolidated?resources=MedicationRequest")).json()
    assert [one["resource"]["resourceType"] for one in only["entry"]] == ["Patient", "MedicationRequest", "Medication"]
    counted = (await medical(desk, "GET", f"{base}/consolidated/count?dateFrom=2024")).json()
    assert counted["resources"] == {"MedicationRequest": 1}
    narrow = desk.add_key("narrow", "clinic", "system/Patient.r system/MedicationRequest.r")
    for key, shown in ((None, "Iron 50 mg"), (narrow, f"Medication/{iron}")):
        await medical(desk, "POST", f"{base}/consolidated/query?conversionType=html", key=key)
        url = (await medical(desk, "GET", f"{base}/medical-record?conversionType=html", key=key)).json()["url"]
        page = (await desk.client.get(url.removeprefix(PUBLIC))).text
        assert f"<td>{shown}</td>" in page and page.count("Iron 50 mg") == (key is None)


async def test_nobody_gets_types_that_its_key_may_not_read(desk: Desk) -> None:
    id_ = await ada(desk)
    key = desk.add_key("narrow", "clinic", "system/Patient.r system/Observation.r")
    path = f"/medical/v1/patient/{id_}/consolidated"
    found = (await medical(desk, "GET", path, key=key)).json()
    assert [one["resource"]["resourceType"] for one in found["entry"]] == ["Patient", "Observation"]
    assert (await medical(desk, "GET", f"{path}/count", key=key)).json()["resources"] == {"Observation": 1}
    other = desk.add_key("writer", "clinic", "system/Patient.c")
    refused = await medical(desk, "GET", path, key=other)
    assert refused.status_code == 403 and refused.json()["name"] == "NOT_PERMITTED"


async def test_a_summary_to_read_shows_what_is_known_and_nothing_as_markup(desk: Desk, partner: Partner) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    base = f"/medical/v1/patient/{id_}"
    assert (await medical(desk, "GET", f"{base}/medical-record?conversionType=html")).status_code == 404
    for form in ("html", "pdf"):
        await medical(desk, "POST", f"{base}/consolidated/query?conversionType={form}")
    pages = {}
    for form in ("html", "pdf"):
        url = (await medical(desk, "GET", f"{base}/medical-record?conversionType={form}")).json()["url"]
        pages[form] = await desk.client.get(url.removeprefix(PUBLIC))
    text = pages["html"].text
    assert "Hypertension" in text and "2021-03-04" in text and "70.5 kg" in text and "Quill" in text
    assert "Body &lt;weight&gt;" in text and "<weight>" not in text
    for page in pages.values():
        assert page.headers["cache-control"] == "no-store" and page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert pages["pdf"].content.startswith(b"%PDF-") and pages["pdf"].headers["content-type"] == "application/pdf"
    status = (await medical(desk, "GET", f"{base}/medical-record-status")).json()
    assert set(status) == {"htmlCreatedAt", "pdfCreatedAt"}


async def test_a_summary_is_handed_to_nobody_who_may_not_read_all_of_it(desk: Desk) -> None:
    """Two keys of one connector: what the wider one asked for is not the narrower one's to fetch."""
    base = f"/medical/v1/patient/{await ada(desk)}"
    narrow = desk.add_key("narrow", "clinic", "system/Patient.r system/Observation.r")
    path = f"{base}/medical-record?conversionType=html"
    await medical(desk, "POST", f"{base}/consolidated/query?conversionType=html")
    assert (await medical(desk, "GET", path)).status_code == 200
    assert (await medical(desk, "GET", path, key=narrow)).status_code == 404
    assert (await medical(desk, "GET", f"{base}/medical-record-status", key=narrow)).json() == {}
    await medical(desk, "POST", f"{base}/consolidated/query?conversionType=html", key=narrow)
    url = (await medical(desk, "GET", path, key=narrow)).json()["url"].removeprefix(PUBLIC)
    page = (await desk.client.get(url)).text
    assert "70.5 kg" in page and "Hypertension" not in page


async def test_a_part_of_a_record_is_not_taken_for_the_whole(desk: Desk) -> None:
    """Without that a page that was narrowed down to vaccinations reads as one of somebody without allergies."""
    base = f"/medical/v1/patient/{await ada(desk)}"
    narrow = desk.add_key("narrow", "clinic", "system/Patient.r system/Condition.r")
    stories: list[tuple[str, str | None, list[str], list[str]]] = [
        ("", None, ["Hypertension"], ["Shown", "Nothing"]),
        (
            "&resources=Immunization",
            None,
            ["Shown only", "Immunization", "Nothing of what was asked"],
            ["Hypertension"],
        ),
        ("&dateFrom=2022&dateTo=2022-05", None, ["Shown from", "Shown to", "2022-05", "Nothing of"], ["else"]),
        ("&resources=Condition", narrow, ["Shown only", "Hypertension"], ["Not shown"]),
        ("", narrow, ["Not shown", "may not be read", "Hypertension"], ["70.5", "else"]),
    ]
    for asked, key, shown, hidden in stories:
        await medical(desk, "POST", f"{base}/consolidated/query?conversionType=html{asked}", key=key)
        url = (await medical(desk, "GET", f"{base}/medical-record?conversionType=html", key=key)).json()["url"]
        text = (await desk.client.get(url.removeprefix(PUBLIC))).text
        assert [one for one in shown if one not in text] == [one for one in hidden if one in text] == []


async def test_where_webhooks_go_is_not_for_a_key_that_may_read_less_than_another(desk: Desk) -> None:
    """The addresses in them lead to whatever the wider key asks for, to whoever holds them."""
    narrow = desk.add_key("narrow", "clinic", "system/Patient.r")
    desk.add_key("stranger", "elsewhere", "system/*.cruds")
    same = desk.add_key("next", "clinic", "system/*.r")
    for key, status in ((narrow, 403), (same, 200), (None, 200)):
        assert (await medical(desk, "GET", "/settings", key=key)).status_code == status
        assert (await medical(desk, "POST", "/settings", {"webhookUrl": ""}, key=key)).status_code == status
    assert (await medical(desk, "GET", "/settings/webhook", key=narrow)).status_code == 200


async def test_an_address_is_over_after_three_minutes_and_cannot_be_made_up(desk: Desk) -> None:
    id_ = await ada(desk)
    base = f"/medical/v1/patient/{id_}"
    await medical(desk, "POST", f"{base}/consolidated/query?conversionType=html")
    url = (await medical(desk, "GET", f"{base}/medical-record?conversionType=html")).json()["url"].removeprefix(PUBLIC)
    said, _, signature = url.rpartition(".")
    request_id, _, until_ = said.rpartition(".")
    for forged in (
        f"{request_id}.{int(until_) + 999}.{signature}",
        f"{said}.{signature[:-1]}x",
        f"{said}.",
        "/medical/v1/download/x",
    ):
        assert (await desk.client.get(forged)).status_code == 404
    assert (await desk.client.get(url)).status_code == 200


async def test_what_failed_is_sent_again_as_it_was(desk: Desk, partner: Partner) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    partner.app.set(status=404)
    for kind in ("Condition", "Observation"):
        await medical(desk, "POST", f"/medical/v1/patient/{id_}/consolidated/query?resources={kind}")
    said = await failed(desk, 2)
    assert said["webhookEnabled"] is False and said["webhookStatusDetail"] == "Request failed with status code 404"
    lost = [call["body"]["meta"]["messageId"] for call in partner.app.log if "ping" not in call["body"]]
    partner.app.set()
    assert (await medical(desk, "POST", "/settings/webhook/retry")).status_code == 200
    await until(lambda: len(partner.told("medical.consolidated-data")) == 2)
    assert [one["meta"]["messageId"] for one in partner.told("medical.consolidated-data")] == lost


@pytest.mark.parametrize(
    ("stage", "keys"),
    [
        ("admit", {"admitTimestamp"}),
        ("transfer", {"admitTimestamp", "transfers"}),
        ("discharge", {"admitTimestamp", "transfers", "dischargeTimestamp"}),
    ],
)
async def test_a_test_event_of_a_stay(desk: Desk, partner: Partner, stage: str, keys: set[str]) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    answer = await medical(desk, "POST", f"/medical/v1/test-event?patientId={id_}&type={stage}")
    assert answer.status_code == 200, answer.text
    await until(lambda: partner.told(f"patient.{stage}"))
    [told] = partner.told(f"patient.{stage}")
    assert keys <= told["payload"].keys() and told["payload"]["patientId"] == id_
    stay = json.decode((await desk.client.get(told["payload"]["url"].removeprefix(PUBLIC))).content)
    assert stay["type"] == "message"
    first = stay["entry"][0]["resource"]
    assert first["resourceType"] == "Encounter" and first["meta"]["security"][0]["code"] == "HTEST"
    assert ("end" in first["period"]) == (stage == "discharge")
    nothing = await desk.call("GET", f"/fhir/Encounter?patient={id_}")
    assert nothing.json()["total"] == 0, "a test is no fact"


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("consolidated/query?conversionType=docx", 400, "on [conversionType]"),
        ("consolidated/query?dateFrom=yesterday", 400, "on [dateFrom]"),
        ("consolidated/query?dateFrom=20240501", 400, "on [dateFrom]"),
        ("consolidated/query?dateTo=2024-W01-1", 400, "on [dateTo]"),
        ("consolidated/query?resources=%3Cscript%3E", 400, "on [resources]"),
        ("consolidated/query?resources=Condition,Vampire", 400, "on [resources]"),
    ],
)
async def test_what_is_wrong_is_said_as_metriport_says_it(desk: Desk, path: str, status: int, detail: str) -> None:
    id_ = await ada(desk)
    answer = await medical(desk, "POST", f"/medical/v1/patient/{id_}/{path}")
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert body["title"] == "Missing or invalid parameters" and detail in body["detail"]


async def test_a_patient_who_is_not_here_is_not_found(desk: Desk) -> None:
    answer = await medical(desk, "POST", "/medical/v1/patient/nobody/consolidated/query")
    assert answer.json() == {
        "status": 404,
        "name": "NOT_FOUND",
        "title": "NotFoundError",
        "detail": "Could not find patient nobody",
    }


async def test_what_could_not_be_told_anywhere_is_kept_as_failed_until_there_is_a_url(
    desk: Desk, partner: Partner
) -> None:
    id_ = await ada(desk)
    assert (await medical(desk, "GET", "/settings/webhook")).content == b"", "no settings yet"
    path = f"/medical/v1/patient/{id_}/consolidated/query"
    asked = [(await medical(desk, "POST", path)).json()["requestId"]]
    await failed(desk, 1)
    key = await settled(desk, partner)
    gone = (await medical(desk, "POST", "/settings", {"webhookUrl": ""})).json()
    assert gone == {"id": "clinic", "webhookUrl": "", "webhookKey": ""}
    assert (await medical(desk, "GET", "/settings/webhook")).json()["webhookEnabled"] is False, "nothing can arrive"
    asked.append((await medical(desk, "POST", path)).json()["requestId"])
    said = await failed(desk, 2)
    assert said["webhookEnabled"] is False and "URL" in said["webhookStatusDetail"]
    assert await settled(desk, partner) != key, "taking the URL away and setting one makes a new key"
    assert not partner.told("medical.consolidated-data"), "failed ones are sent again only when asked"
    await medical(desk, "POST", "/settings/webhook/retry")
    await until(lambda: len(partner.told("medical.consolidated-data")) == 2)
    assert [one["meta"]["requestId"] for one in partner.told("medical.consolidated-data")] == asked


async def test_types_come_back_in_the_order_they_were_asked_in(desk: Desk) -> None:
    id_ = await ada(desk)
    path = f"/medical/v1/patient/{id_}/consolidated/query?resources="
    first = (await medical(desk, "POST", f"{path}Observation,MedicationRequest")).json()
    assert first["resources"] == ["Observation", "MedicationRequest"]
    again = (await medical(desk, "POST", f"{path}MedicationRequest,%20Observation")).json()
    assert again["requestId"] == first["requestId"]


async def test_times_have_three_digits_as_metriports(desk: Desk, partner: Partner) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    started = (await medical(desk, "POST", f"/medical/v1/patient/{id_}/consolidated/query")).json()
    await medical(desk, "POST", f"/medical/v1/test-event?patientId={id_}&type=discharge")
    await until(lambda: partner.told("patient.discharge") and partner.told("medical.consolidated-data"))
    [stay] = partner.told("patient.discharge")
    moments = [started["startedAt"], *(json.decode(raw)["meta"]["when"] for _, raw in partner.received)]
    moments += [stay["payload"][name] for name in ("whenSourceSent", "admitTimestamp", "dischargeTimestamp")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one) for one in moments), moments


async def test_a_stay_comes_with_everything_that_it_refers_to(desk: Desk, partner: Partner) -> None:
    await settled(desk, partner)
    id_ = await ada(desk)
    await medical(desk, "POST", f"/medical/v1/test-event?patientId={id_}&type=transfer")
    await until(lambda: partner.told("patient.transfer"))
    [told] = partner.told("patient.transfer")
    raw = (await desk.client.get(told["payload"]["url"].removeprefix(PUBLIC))).content
    stay = json.decode(raw)
    held = {f"{one['resource']['resourceType']}/{one['resource']['id']}" for one in stay["entry"]}
    named = set(re.findall(r'"reference":"([^"]+)"', raw.decode()))
    assert named == held - {f"Encounter/{stay['entry'][0]['resource']['id']}"} and f"Patient/{id_}" in named
    assert stay["id"] and [one["resource"]["name"] for one in stay["entry"][2:]]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/settings", {}, 400, "on [webhookUrl]"),
        ("POST", "/settings", {"webhookUrl": "nonsense"}, 400, "on [webhookUrl]"),
        ("POST", "/settings", {"webhookUrl": None}, 400, "on [webhookUrl]"),
        ("POST", "/settings", {"webhookUrl": "http://[::1"}, 400, "on [webhookUrl]"),
        ("POST", "/settings", {"webhookUrl": "https://xn--/"}, 400, "on [webhookUrl]"),
        ("POST", "/settings", {"webhookUrl": "https://partner.example:port/"}, 400, "on [webhookUrl]"),
        ("POST", "/settings", b"{", 400, "JSON"),
        ("POST", "/medical/v1/patient/{id}/consolidated/query", [], 400, "on [body]"),
        ("GET", "/medical/v1/patient/{id}/medical-record?conversionType=docx", None, 400, "on [conversionType]"),
        ("GET", "/medical/v1/patient/{id}/medical-record?conversionType=json", None, 400, "html or pdf"),
        ("POST", "/medical/v1/test-event?type=admit", None, 400, "on [patientId]"),
        ("GET", "/medical/v1/nothing", None, 404, "Could not find"),
        ("DELETE", "/medical/v1/patient/{id}/consolidated/query", None, 405, "Could not find"),
        ("PUT", "/settings", {}, 405, "Could not find"),
    ],
)
async def test_every_refusal_below_its_paths_has_metriports_form(
    desk: Desk, method: str, path: str, body: Any, status: int, said: str
) -> None:
    answer = await medical(desk, method, path.replace("{id}", await ada(desk)), body)
    assert answer.status_code == status and answer.headers["content-type"] == "application/json"
    told = answer.json()
    assert set(told) == {"status", "name", "title", "detail"} and told["status"] == status and said in told["detail"]
    assert (answer.headers.get("allow") is not None) == (status == 405), "RFC 9110 §15.5.6"
    if status == 400:
        assert (told["name"], told["title"]) == ("BAD_REQUEST", "Missing or invalid parameters")


async def test_a_client_that_always_names_a_media_type_may_send_no_body(desk: Desk) -> None:
    path = f"/medical/v1/patient/{await ada(desk)}/consolidated/query"
    assert (await medical(desk, "POST", path, b"")).status_code == 200
    assert (await medical(desk, "POST", path, b"null")).status_code == 200
    key = {"x-api-key": desk.made["clinic"]}
    untyped = await desk.client.post(f"{path}/", content=b'{"metadata":{"a":"b"}}', headers=key)
    assert untyped.status_code == 200, "nor does a missing media type matter, or a slash at the end"
    assert (await desk.client.post("/settings", content=b'{"webhookUrl":""}', headers=key)).status_code == 200


async def test_a_patient_is_read_by_our_id_and_by_theirs(desk: Desk) -> None:
    desk.connect({"name": "chart", "profile": "canvas", "push": False, "idSystem": "https://chart.example/ids"})
    key = desk.add_key("chart", "chart", "system/*.cruds")
    body = {"firstName": "Zoë", "lastName": "Quill", "dateOfBirth": "1980-02-22", "partnerId": "c-7"}
    assert (await desk.seed(body, key)).status_code == 202
    [made] = await desk.found("/Patient?identifier=https://chart.example/ids|c-7")
    by_theirs = await medical(desk, "GET", "/medical/v1/patient/external-id?externalId=c-7", key=key)
    said = (await medical(desk, "GET", f"/medical/v1/patient/{made['id']}", key=key)).json()
    assert by_theirs.json() == said and (said["id"], said["externalId"]) == (made["id"], "c-7")
    assert (said["firstName"], said["lastName"], said["dob"]) == ("Zoë", "Quill", "1980-02-22")
    assert said["eTag"] == "1" and said["dateCreated"].endswith("Z") and said["facilityIds"] == []
    assert said["genderAtBirth"] == "U" and not {"address", "contact"} & said.keys(), "nothing is made up"
    other = (await medical(desk, "GET", f"/medical/v1/patient/{made['id']}")).json()
    assert "externalId" not in other, "what one system calls her is not told to another"
    for path, status in (
        ("patient/external-id?externalId=c-7", 404),  # of another system
        ("patient/external-id", 400),
        ("patient/external-id?externalId=c-7&source=nobody", 400),
        ("patient/nobody", 404),
        ("document", 400),
        ("document?patientId=nobody", 404),
    ):
        assert (await medical(desk, "GET", f"/medical/v1/{path}")).status_code == status, path


async def test_her_documents_are_listed(desk: Desk) -> None:
    id_ = await ada(desk)
    attachment = {"attachment": {"contentType": "text/plain", "title": "Letter"}}
    paper = {"resourceType": "DocumentReference", "status": "current", "content": [attachment]}
    paper |= {"subject": {"reference": f"Patient/{id_}"}, "date": "2023-05-06T08:00:00Z"}
    await desk.made_id(paper)
    path = f"/medical/v1/document?patientId={id_}"
    [found] = (await medical(desk, "GET", path)).json()["documents"]
    assert found["resourceType"] == "DocumentReference" and found["content"] == [attachment]
    assert (await medical(desk, "GET", f"{path}&dateFrom=2024-01-01")).json() == {"documents": []}
    narrow = desk.add_key("narrow", "clinic", "system/Patient.r")
    assert (await medical(desk, "GET", path, key=narrow)).status_code == 403
