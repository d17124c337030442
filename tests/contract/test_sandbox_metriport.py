"""Metriport's stand-in is as strict as the contract: texts, limits, pages, versions, addresses that die."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.fhir import gate, json
from gateway.sandbox import metriport, serve
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.metriport_match import likeness, match
from gateway.sandbox.metriport_personas import personas

ROOT = Path(__file__).resolve().parents[2]
PERSONAS = ROOT / "fixtures" / "ccda" / "personas"
JANE: dict[str, Any] = dict(personas()["Jane"]["patient"])
AT = {"facilityId": metriport.FACILITY_ID}


@pytest.fixture
def api() -> Iterator[httpx.Client]:
    with (
        serve.running(metriport.create(patient_limit=4)) as url,
        httpx.Client(base_url=url, headers={"x-api-key": metriport.API_KEY}, trust_env=False) as client,
    ):
        yield client


def create(api: httpx.Client, **more: Any) -> httpx.Response:
    return api.post("/medical/v1/patient", params=AT, json={**JANE, **more})


def eventually(probe: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 10
    while not (found := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def plain(url: str, **more: Any) -> httpx.Response:
    return httpx.get(url, trust_env=False, **more)


# --- errors, limits, pages --------------------------------------------------------------------------------------------


def test_without_the_key_nothing_is_answered(api: httpx.Client) -> None:
    answer = plain(f"{api.base_url}/settings")
    assert (answer.status_code, answer.json()["title"]) == (401, "UnauthorizedError")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (
            {},
            ", ".join(
                f"Required, on [{name}]" for name in ("firstName", "lastName", "dob", "genderAtBirth", "address")
            ),
        ),
        (
            {**JANE, "dob": "1996-2-10"},
            "Date must be a valid ISO 8601 date formatted YYYY-MM-DD. Example: 2023-03-15, on [dob]",
        ),
        ({**JANE, "dob": "2999-01-01"}, "Date cannot be in the future, on [dob]"),
        ({**JANE, "genderAtBirth": "X"}, "Invalid enum value. Expected 'F' | 'M' | 'O' | 'U', on [genderAtBirth]"),
        ({**JANE, "address": []}, "Array must contain at least 1 element(s), on [address]"),
        (
            {**JANE, "address": [{**JANE["address"][0], "zip": "853", "country": "US"}]},
            "Zip must be a string consisting of 5 numbers, on [address,0,zip], "
            'Invalid literal value, expected "USA", on [address,0,country]',
        ),
        ({**JANE, "contact": [{}]}, "Either phone or email must be present, on [contact,0]"),
        (
            {**JANE, "personalIdentifiers": [{"type": "driversLicense", "value": "1"}]},
            "Required, on [personalIdentifiers,0,state]",
        ),
    ],
)
def test_every_wrong_field_is_named(api: httpx.Client, body: dict[str, Any], detail: str) -> None:
    answer = api.post("/medical/v1/patient", params=AT, json=body)
    said = answer.json()
    assert (answer.status_code, said["title"], said["detail"]) == (400, "Missing or invalid parameters", detail)
    assert answer.headers["content-type"] == "application/json"


def test_unknown_things_are_404_in_their_form(api: httpx.Client) -> None:
    said = api.get("/medical/v1/patient/nobody").json()
    assert said == {
        "status": 404,
        "name": "NOT_FOUND",
        "title": "NotFoundError",
        "detail": "Could not find patient nobody",
    }
    assert api.get("/medical/v1/nothing").json()["name"] == "NOT_FOUND"
    assert api.patch("/medical/v1/patient/nobody").json()["status"] == 404, "as Express answers another method"


def test_the_sixteenth_change_of_a_minute_is_refused_in_plain_text(api: httpx.Client) -> None:
    made = create(api).json()
    answers = [api.put(f"/medical/v1/patient/{made['id']}", params=AT, json=JANE) for _ in range(15)]
    last = answers[-1]
    if last.status_code == 200:  # a new minute began
        answers += [api.put(f"/medical/v1/patient/{made['id']}", params=AT, json=JANE) for _ in range(15)]
        last = answers[-1]
    assert last.status_code == 429 and last.headers["content-type"].startswith("text/plain")
    assert last.text == "Too many patient creates or updates, please try again later."
    assert (last.headers["ratelimit-limit"], last.headers["ratelimit-remaining"]) == ("15", "0")
    assert int(last.headers["retry-after"]) <= 60
    httpx.post(f"{api.base_url}/_knobs", json={"ahead": 61}, trust_env=False)
    assert api.put(f"/medical/v1/patient/{made['id']}", params=AT, json=JANE).status_code == 200


def test_pages_lead_to_each_other(api: httpx.Client) -> None:
    for day in ("01", "02", "03"):
        create(api, dob=f"1990-01-{day}", firstName=f"Ada{day}")
    first = api.get("/medical/v1/patient", params={"count": 2, "facilityId": metriport.FACILITY_ID}).json()
    assert first["meta"]["itemsOnPage"] == 2 and first["meta"]["itemsInTotal"] == 3 and "prevPage" not in first["meta"]
    second = api.get(first["meta"]["nextPage"]).json()
    assert [one["firstName"] for one in second["patients"]] == ["Ada03"]
    assert "itemsInTotal" not in second["meta"] and "nextPage" not in second["meta"]
    assert api.get(second["meta"]["prevPage"]).json()["patients"] == first["patients"]
    assert api.get("/medical/v1/patient", params={"count": 501}).status_code == 400
    for filters, names in (
        ("Ada02", ["Ada02"]),
        ("phoenix -ada02", ["Ada01", "Ada03"]),
        ('+"123 arsenal" Ada01', ["Ada01"]),
    ):
        found = api.get("/medical/v1/patient", params={"filters": filters}).json()["patients"]
        assert [one["firstName"] for one in found] == names, filters


def test_a_sandbox_holds_so_many(api: httpx.Client) -> None:
    answers = [create(api, dob=f"1990-01-0{day}") for day in range(1, 6)]
    assert answers[-1].status_code == 400
    assert answers[-1].json() == {"message": "Cannot create more than 4 patients in Sandbox mode!"}


# --- patients ---------------------------------------------------------------------------------------------------------


def test_creating_somebody_again_answers_with_whom_they_hold(api: httpx.Client) -> None:
    first = create(api, externalId="a")
    again = create(api, firstName="Jayne", externalId="b")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["id"] == first.json()["id"] and again.json()["externalId"] == "a"
    assert api.post("/medical/v1/patient/match", json=JANE).json()["id"] == first.json()["id"]
    assert api.post("/medical/v1/patient/match", json={**JANE, "dob": "1996-02-11"}).status_code == 404


def test_an_etag_guards_a_change(api: httpx.Client) -> None:
    made = create(api).json()
    path = f"/medical/v1/patient/{made['id']}"
    changed = api.put(path, params=AT, json={**JANE, "lastName": "Quill"}, headers={"If-Match": made["eTag"]}).json()
    assert changed["eTag"] != made["eTag"]
    assert api.put(path, params=AT, json=JANE, headers={"If-Match": made["eTag"]}).status_code == 412
    assert api.put(path, params=AT, json={**JANE, "eTag": made["eTag"]}).status_code == 412
    both = api.put(path, params=AT, json={**JANE, "eTag": "old"}, headers={"If-Match": changed["eTag"]})
    assert both.status_code == 200, "the header wins"
    assert api.put(path, params=AT, json=JANE).status_code == 200, "absent is no check"
    assert api.delete(path, params=AT).status_code == 204 and api.get(path).status_code == 404


def test_facilities_and_the_organization_have_etags_too(api: httpx.Client) -> None:
    address = JANE["address"][0]
    body = {"name": "Second", "npi": "1234567893", "address": address}
    made = api.post("/medical/v1/facility", json=body)
    assert made.status_code == 201 and made.json()["oid"]
    path = f"/medical/v1/facility/{made.json()['id']}"
    assert api.put(path, json=body, headers={"If-Match": "old"}).status_code == 412
    assert (
        api.put(path, json={**body, "active": False}, headers={"If-Match": made.json()["eTag"]}).json()["active"]
        is False
    )
    organization = {"name": "Us", "type": "acuteCare", "location": address}
    assert api.get("/medical/v1/organization").status_code == 404
    assert api.post("/medical/v1/organization", json=organization).status_code == 201
    assert api.put("/medical/v1/organization", json={**organization, "eTag": "old"}).status_code == 412
    assert (
        api.post("/medical/v1/facility", json={**body, "npi": "1"}).json()["detail"]
        == "NPI must have 10 digits, on [npi]"
    )


def test_by_external_id(api: httpx.Client) -> None:
    made = create(api, externalId="a").json()
    path = "/medical/v1/patient/external-id"
    assert api.get(path, params={"externalId": "a"}).json()["id"] == made["id"]
    assert api.get(path, params={"externalId": "a", "source": "canvas"}).status_code == 404
    assert api.get(path, params={"externalId": "a", "source": "paper"}).status_code == 400


@pytest.mark.parametrize(
    ("a", "b", "score"), [("martha", "marhta", 0.961), ("dixon", "dicksonx", 0.813), ("", "x", 0.0), ("a", "a", 1.0)]
)
def test_the_likeness_is_jaro_winkler(a: str, b: str, score: float) -> None:
    assert likeness(a, b) == pytest.approx(score, abs=0.001)


def test_an_identifier_matches_whatever_the_name() -> None:
    ssn = {"personalIdentifiers": [{"type": "ssn", "value": "000-12-0077"}]}
    held = {**JANE, **ssn}
    assert match({**held, "firstName": "Zoe", "lastName": "Other"}, [held]) is held
    assert match({**held, "genderAtBirth": "M"}, [held]) is None


# --- data -------------------------------------------------------------------------------------------------------------


def queried(api: httpx.Client, patient: str, **more: Any) -> dict[str, Any]:
    started = api.post("/medical/v1/network/query", params={"patientId": patient}, **more).json()
    path = f"/medical/v1/network/query/{started['requestId']}"
    found: dict[str, Any] = eventually(lambda: (now := api.get(path).json())["status"] != "processing" and now)
    return found


@pytest.mark.parametrize("name", sorted(personas()))
def test_a_persona_has_documents_and_valid_fhir(api: httpx.Client, name: str) -> None:
    made = create(api, **personas()[name]["patient"]).json()
    queried(api, made["id"])
    bundle = json.decode(api.get(f"/medical/v1/patient/{made['id']}/consolidated").content)
    assert {one["resource"]["resourceType"] for one in bundle["entry"]} >= {
        "Patient",
        "Condition",
        "Observation",
        "Immunization",
    }
    assert [problem for one in bundle["entry"] for problem in gate.check(one["resource"])] == []
    api.post("/medical/v1/document/query", params={"patientId": made["id"]})
    listed = api.get("/medical/v1/document", params={"patientId": made["id"]}).json()["documents"]
    kinds = sorted(one["content"][0]["attachment"]["contentType"] for one in listed)
    assert kinds == ["application/pdf"] * 3 + ["application/xml"] + ["image/png"] * 2


def test_both_forms_of_a_network_query_and_what_is_closed(api: httpx.Client) -> None:
    made = create(api).json()
    httpx.post(f"{api.base_url}/_knobs", json={"closed": ["lab"]}, trust_env=False)
    done = queried(api, made["id"], json={"sources": {"hie": {"enabled": True}, "laboratory": {"enabled": True}}})
    assert done["status"] == "partial" and [one["type"] for one in done["sources"]] == ["hie"]
    assert (done["errors"][0]["source"], done["errors"][0]["httpStatus"]) == ("lab", 400)
    query = {"params": {"patientId": made["id"]}}
    for body in ({"sources": []}, {"sources": ["moon"]}, {"metadata": {"a": 1}}, {"metadata": {"k" * 41: "v"}}):
        assert api.post("/medical/v1/network/query", json=body, **query).status_code == 400, body
    access = api.post("/medical/v1/network/query", params={**query["params"], "purposeOfUse": "ias"}, json={})
    assert access.json()["detail"] == "Required, on [proofedIdentityId]"


def test_a_running_consolidated_query_is_returned_again(api: httpx.Client) -> None:
    made = create(api).json()
    httpx.post(f"{api.base_url}/_knobs", json={"pace": 5}, trust_env=False)
    path = f"/medical/v1/patient/{made['id']}/consolidated/query"
    first, again = (api.post(path, params={"resources": "Condition,Observation"}).json() for _ in range(2))
    assert first == again and first["resources"] == ["Condition", "Observation"]
    assert api.post(path, params={"conversionType": "html"}).json()["requestId"] != first["requestId"]
    assert len(api.get(path).json()["queries"]) == 2
    assert api.get(f"{path}/{first['requestId']}").json() == first
    assert api.post(path, params={"conversionType": "doc"}).status_code == 400


@pytest.mark.parametrize("case", ["type", "subject", "twice", "many", "none", "large"])
def test_a_contribution_is_checked(api: httpx.Client, case: str) -> None:
    made = create(api).json()

    def one(name: str, patient: str = made["id"]) -> dict[str, Any]:
        return {"resource": {"resourceType": "Observation", "id": name, "subject": {"reference": f"Patient/{patient}"}}}

    entries = {
        "subject": [one("a", "other")],
        "twice": [one("a"), one("a")],
        "many": [one(str(at)) for at in range(51)],
        "none": [],
        "large": [{"resource": {**one("a")["resource"], "note": [{"text": "x" * 1_000_000}]}}],
    }
    bundle = {
        "resourceType": "Bundle",
        "type": "batch" if case == "type" else "collection",
        "entry": entries.get(case, [one("a")]),
    }
    answer = api.put(f"/medical/v1/patient/{made['id']}/consolidated", json=bundle)
    assert answer.status_code == (413 if case == "large" else 400)


def test_a_contribution_is_answered_entry_by_entry(api: httpx.Client) -> None:
    made = create(api).json()
    resource = {"resourceType": "Observation", "id": "a", "subject": {"reference": f"Patient/{made['id']}"}}
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]}
    path = f"/medical/v1/patient/{made['id']}/consolidated"
    said = [api.put(path, json=bundle).json()["entry"][0]["response"] for _ in range(2)]
    assert [one["status"] for one in said] == ["201 Created", "200 OK"]
    assert said[0]["outcome"]["issue"][0]["details"]["coding"][0]["code"] == "SUCCESSFUL_CREATE"
    assert api.get(f"{path}/count").json() == {
        "total": 1,
        "resources": {"Observation": 1},
        "filter": {"resources": "all"},
    }


# --- addresses --------------------------------------------------------------------------------------------------------


def test_an_address_dies_and_takes_no_key(api: httpx.Client) -> None:
    made = create(api).json()
    api.post("/medical/v1/document/query", params={"patientId": made["id"]})
    [name] = [f"{made['id']}/jane.xml"]
    url = api.get("/medical/v1/document/download-url", params={"fileName": name}).json()["url"]
    assert plain(url).content == (PERSONAS / "jane.xml").read_bytes()
    assert plain(url, headers={"x-api-key": "x"}).status_code == 400
    assert plain(url.replace("Signature=", "Signature=0")).status_code == 403
    httpx.post(f"{api.base_url}/_knobs", json={"ahead": 61}, trust_env=False)
    assert (plain(url).status_code, "Request has expired" in plain(url).text) == (403, True)
    assert api.get("/medical/v1/document/download-url", params={"fileName": "none"}).status_code == 404


def test_an_upload_wants_its_length_and_its_kind(api: httpx.Client) -> None:
    started = api.post("/medical/v1/patient/bulk", params=AT).json()
    assert started["status"] == "waiting"
    url = started["uploadUrl"]
    assert (
        httpx.put(url, content=iter([b"x"]), headers={"content-type": "text/csv"}, trust_env=False).status_code == 411
    )
    assert httpx.put(url, content=b"x", headers={"content-type": "text/plain"}, trust_env=False).status_code == 403
    httpx.post(f"{api.base_url}/_knobs", json={"ahead": 601}, trust_env=False)
    assert httpx.put(url, content=b"x", headers={"content-type": "text/csv"}, trust_env=False).status_code == 403
    assert api.get(f"/medical/v1/patient/bulk/{started['requestId']}").json()["status"] == "expired"


# --- webhooks ---------------------------------------------------------------------------------------------------------


class Receiver:
    """Where webhooks arrive; `status` and `pong` as a test wants them."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        self.pong = True

    async def receive(self, request: Request) -> Response:
        body = await request.body()
        self.got.append((dict(request.headers), body))
        ping = json.decode(body).get("ping")
        return JSONResponse({"pong": ping if self.pong else "no"} if ping else {}, self.status)

    def types(self) -> list[str]:
        return [json.decode(body)["meta"]["type"] for _, body in self.got]


@contextmanager
def receiving() -> Iterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = Sandbox(Starlette(routes=[Route("/hook", receiver.receive, methods=["POST"])]))
    with serve.running(app) as url:
        yield receiver, f"{url}/hook"


@pytest.mark.parametrize("root", ["", "/medical/v1"])
def test_settings_ping_and_signature(api: httpx.Client, root: str) -> None:
    assert api.get(f"{root}/settings/webhook").content == b""
    with receiving() as (receiver, hook):
        key = api.post(f"{root}/settings", json={"webhookUrl": hook}).json()["webhookKey"]
        eventually(lambda: api.get(f"{root}/settings/webhook").json()["webhookEnabled"])
        [(headers, body)] = receiver.got
        assert headers["x-metriport-signature"] == hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
        assert headers["user-agent"] == "Metriport API" and b" " not in body
        receiver.pong = False
        assert api.post(f"{root}/settings", json={"webhookUrl": hook}).json()["webhookKey"] == key
        eventually(lambda: not api.get(f"{root}/settings/webhook").json()["webhookEnabled"])
        assert api.post(f"{root}/settings", json={"webhookUrl": ""}).json()["webhookKey"] is None
        assert api.post(f"{root}/settings", json={"webhookUrl": hook}).json()["webhookKey"] != key


def test_failed_ones_are_kept_and_sent_again_as_they_were(api: httpx.Client) -> None:
    made = create(api, externalId="a").json()
    with receiving() as (receiver, hook):
        api.post("/settings", json={"webhookUrl": hook})
        eventually(lambda: receiver.got)
        receiver.status = 500
        for event in ("admit", "transfer", "discharge"):
            httpx.post(f"{api.base_url}/_events/{event}/{made['id']}", trust_env=False)
            eventually(lambda event=event: receiver.types()[-1] == f"patient.{event}")
        status = eventually(lambda: (now := api.get("/settings/webhook").json())["webhookRequestsFailed"] == 3 and now)
        assert (status["webhookEnabled"], status["webhookStatusDetail"]) == (
            False,
            "Request failed with status code 500",
        )
        receiver.status, before = 200, [body for _, body in receiver.got[1:]]
        assert api.post("/settings/webhook/retry").status_code == 200
        eventually(lambda: len(receiver.got) == 7 and api.get("/settings/webhook").json()["webhookRequestsFailed"] == 0)
        assert [body for _, body in receiver.got[4:]] == before, "the same bytes, in the order in which they were made"
        assert api.get("/settings/webhook").json()["webhookEnabled"] is True
        admit = json.decode(before[0])["payload"]
        assert (
            admit["externalId"] == "a"
            and plain(admit["url"]).json()["entry"][0]["resource"]["resourceType"] == "Encounter"
        )


def test_consolidated_data_come_as_json_and_gzip(api: httpx.Client) -> None:
    made = create(api).json()
    with receiving() as (receiver, hook):
        api.post("/settings", json={"webhookUrl": hook})
        queried(api, made["id"])
        api.post(f"/medical/v1/patient/{made['id']}/consolidated/query", json={"metadata": {"a": "b"}})
        eventually(lambda: "medical.consolidated-data" in receiver.types())
        told = json.decode(receiver.got[-1][1])
    assert receiver.types()[1:] == [
        "network-query.hie.first-data-ready",
        "network-query.hie",
        "network-query.pharmacy",
        "network-query.lab",
        "medical.consolidated-data",
    ]
    assert told["meta"]["data"] == {"a": "b"}
    [entry] = told["patients"][0]["bundle"]["entry"]
    raw, packed = (plain(one["attachment"]["url"]).content for one in entry["resource"]["content"])
    assert gzip.decompress(packed) == raw and json.decode(raw)["total"] == 15


@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF-"), ("html", b"<html>")])
def test_anybody_but_a_persona_gets_the_same_file_to_read_and_no_data(
    api: httpx.Client, kind: str, start: bytes
) -> None:
    made = create(api, firstName="Nora").json()
    with receiving() as (receiver, hook):
        api.post("/settings", json={"webhookUrl": hook})
        for asked in (kind, "json"):
            api.post(f"/medical/v1/patient/{made['id']}/consolidated/query", params={"conversionType": asked})
        eventually(lambda: receiver.types().count("medical.consolidated-data") == 2)
        told = [json.decode(body)["patients"][0] for _, body in receiver.got if b"consolidated-data" in body]
    [file] = [one for one in told if "bundle" in one]
    url = file["bundle"]["entry"][0]["resource"]["content"][0]["attachment"]["url"]
    assert plain(url).content.startswith(start) and b"Nora" not in plain(url).content


# --- personas ---------------------------------------------------------------------------------------------------------


def test_the_files_of_the_personas_are_what_the_tool_writes() -> None:
    check = "all((m.FOLDER / name).read_bytes() == data for name, data in m.files())"
    code = f"import make_personas as m; assert {check}, 'run tools/make_personas.py'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "tools", check=True)
