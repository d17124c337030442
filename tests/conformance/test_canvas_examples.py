"""Canvas' documented payloads, each handled by what is to handle it (canvas-examples.json of the reference corpora)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors import canvas_fhir
from gateway.connectors.call import Call, Reply, Seen
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import VersionConflict
from gateway.fhir import gate, json
from gateway.fhir.json import Resource
from tests.conftest import SHARED
from tests.e2e.desk import CANVAS, Desk, opened

FILE = SHARED / "partners" / "canvas-examples.json"
EXAMPLES: dict[str, Any] = json.decode(FILE.read_bytes()) if FILE.exists() else {}
SIDE = Side("https://gateway.example/fhir", "https://fumage-example.canvas.example")
MRN = "http://canvasmedical.com"

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not EXAMPLES, reason="needs GATEWAY_SHARED")]


@pytest.fixture
async def desk(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Desk]:
    async with opened(tmp_path) as desk:
        desk.connect({"name": "partner", "profile": "intake", "push": False, "idSystem": "https://partner.example"})
        yield desk


def read(body: Any, remote_id: str | None = "7162fd82487e4dc8aa2581ddbca91892") -> Seen:
    calls = canvas_fhir.read(Target("Patient", "p", remote_id), SIDE)
    next(calls)
    with pytest.raises(StopIteration) as finished:
        calls.send(Reply(200, {"date": "Wed, 25 Nov 2026 19:00:00 GMT"}, json.encode(body)))
    seen: Seen = finished.value.value
    return seen


def update(seen: Seen, **changes: Any) -> Call:
    assert seen.body is not None
    item = Item("Patient", "p", {**seen.body, **changes}, seen.remote_id, seen.version, raw=seen.raw)
    return next(canvas_fhir.push(item, SIDE))


def test_every_example_is_used_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in EXAMPLES if f'"{name}"' not in source] == []


def test_a_read_is_a_valid_patient_and_written_back_as_it_was() -> None:
    body = EXAMPLES["fhir.patient-read-response"]
    seen = read(body)
    assert seen.remote_id == body["id"] and seen.body is not None and gate.check(seen.body) == []
    assert {one["system"] for one in seen.body["identifier"]} == {MRN, "HealthCo"}
    call = update(seen, birthDate="1980-11-14")
    assert (call.method, call.path) == ("PUT", f"/Patient/{body['id']}")
    assert call.headers == {"if-unmodified-since": "Wed, 25 Nov 2026 19:00:00 GMT"}
    sent: Resource = call.json
    for name in ("telecom", "address", "contact", "communication", "active", "gender"):
        assert sent[name] == body[name], name
    assert sent["identifier"] == [one for one in body["identifier"] if one["system"] != MRN]
    urls = [one["url"] for one in body["extension"]]
    assert sorted(one["url"] for one in sent["extension"]) == sorted(urls)
    assert all(one in sent["extension"] for one in body["extension"])
    assert sent["birthDate"] == "1980-11-14"


def test_a_search_finds_her() -> None:
    seen = read(EXAMPLES["fhir.patient-search-response"], None)
    assert seen.remote_id == "7162fd82487e4dc8aa2581ddbca91892"
    calls = canvas_fhir.scan(None, SIDE)
    next(calls)
    with pytest.raises(StopIteration) as finished:
        calls.send(Reply(200, {}, json.encode(EXAMPLES["fhir.patient-search-response"])))
    assert [one.remote_id for one in finished.value.value.found] == [seen.remote_id] and not finished.value.value.more


@pytest.mark.parametrize(
    "name", ["fhir.patient.create.request", "fhir.patient.update.request", "fhir.patient.create.minimal"]
)
def test_a_documented_request_is_what_we_send_for_such_a_patient(name: str) -> None:
    sample = EXAMPLES[name]
    seen = read({**sample, "id": "x"})
    assert seen.body is not None
    calls = canvas_fhir.push(Item("Patient", "p", seen.body), SIDE)
    sent: Resource = next(calls).json
    ours = [one["url"] for one in seen.body["extension"]]
    assert [one for one in sample["extension"] if one["url"] in ours] == sent["extension"]
    for element in ("name", "telecom", "gender", "birthDate", "active", "identifier", "communication"):
        assert sent.get(element) == sample.get(element), element
    given = [{key: part for key, part in one.items() if key != "text"} for one in sample.get("address", [])]
    assert sent.get("address", []) == given
    assert [one["name"] for one in sent.get("contact", [])] == [one["name"] for one in sample.get("contact", [])]


def test_a_412_is_a_version_conflict() -> None:
    seen = read(EXAMPLES["fhir.patient-read-response"])
    assert seen.body is not None
    calls = canvas_fhir.push(Item("Patient", "p", seen.body, seen.remote_id, seen.version, raw=seen.raw), SIDE)
    next(calls)
    with pytest.raises(VersionConflict):
        calls.send(Reply(412, {}, json.encode(EXAMPLES["fhir.error.412"])))


async def test_the_plugin_request_and_the_calls_after_it(desk: Desk) -> None:
    key = desk.add_key("partner", "partner", "system/Patient.cru")
    sent = {"content-type": "application/json", "authorization": key}
    answer = await desk.client.post(CANVAS, content=json.encode(EXAMPLES["plugin.patients.request"]), headers=sent)
    assert (answer.status_code, answer.json()) == (202, EXAMPLES["plugin.patients.response"])
    called = {"content-type": "application/json", "x-api-key": key}
    body = EXAMPLES["partner.upsert.request"]
    path = f"/patients/v2/{EXAMPLES['plugin.patients.request']['partnerId']}"
    linked = await desk.client.post(path, content=json.encode(body), headers=called)
    assert linked.status_code == 200
    found = (await desk.client.get(f"/patients/v2/{body['externalId']}", headers=called)).json()
    assert found | EXAMPLES["partner.get.response"] == found
