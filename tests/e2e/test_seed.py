"""The seed request of a partner, as the Canvas plugin `example_patient_sync` is called (canvas.md, surface A)."""

from __future__ import annotations

from typing import Any

import pytest

from .desk import CANVAS, Desk, decoded, patient

pytestmark = pytest.mark.anyio

PARTNER = "https://partner.example/patients"
SEED = (
    b'{"firstName":"Alice","lastName":"Example","sexAtBirth":"F","dateOfBirth":"1980-02-22","partnerId":"pat_12345678"}'
)
NAMED = {
    "firstName": "Alice",
    "lastName": "Example",
    "sexAtBirth": "F",
    "dateOfBirth": "1980-02-22",
    "partnerId": "p-1",
}


@pytest.fixture
async def partner(desk: Desk) -> str:
    desk.connect({"name": "partner", "profile": "intake", "push": False, "idSystem": PARTNER})
    return desk.add_key("partner", "partner", "system/Patient.cruds")


async def test_byte_for_byte(desk: Desk, partner: str) -> None:
    answer = await desk.seed(SEED, partner)
    assert answer.status_code == 202 and answer.headers["content-type"] == "application/json"
    assert answer.json() == {"external_identifier": {"system": PARTNER, "value": "pat_12345678"}}
    [alice] = await desk.found(f"/Patient?identifier={PARTNER}|pat_12345678")
    assert alice["name"] == [{"family": "Example", "given": ["Alice"]}]
    assert (alice["gender"], alice["birthDate"]) == ("female", "1980-02-22")
    before = desk.sequence()
    again = await desk.seed(SEED, partner)
    assert again.content == answer.content and desk.sequence() == before


async def test_who_sends_without_being_configured_is_found_by_the_identifier_of_the_answer(desk: Desk) -> None:
    """A key alone makes a sender."""
    key = desk.add_key("walk-in", "walk-in", "system/Patient.cruds")
    answer = await desk.seed(SEED, key)
    external = answer.json()["external_identifier"]
    assert external == {"system": "urn:connector:walk-in", "value": "pat_12345678"}
    for asked in (f"{external['system']}|pat_12345678", "pat_12345678"):
        [alice] = await desk.found(f"/Patient?identifier={asked}")
        assert alice["identifier"] == [external]
    before = desk.sequence()
    assert (await desk.seed(SEED, key)).content == answer.content and desk.sequence() == before


async def test_two_connectors_may_speak_of_one_systems_ids(desk: Desk, partner: str) -> None:
    """The partner's sender and its reader, say: who is linked by both is one patient, and shows the id once."""
    desk.connect({"name": "reader", "profile": "intake", "push": False, "idSystem": PARTNER})
    reader = desk.add_key("reader", "reader", "system/Patient.cruds")
    for key in (partner, reader, partner):
        assert (await desk.seed(SEED, key)).status_code == 202
    [alice] = await desk.found(f"/Patient?identifier={PARTNER}|pat_12345678")
    assert [one["value"] for one in alice["identifier"]] == ["pat_12345678"]
    assert desk.counts()["Patient"] == 1


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json;charset=x"]
)
async def test_the_content_type_is_not_looked_at(desk: Desk, partner: str, kind: str | None) -> None:
    """The plugin takes the body as it is, and so do we (canvas.md, surface A: there is no other validation)."""
    headers = {"authorization": partner, **({"content-type": kind} if kind else {})}
    assert (await desk.client.post(CANVAS, content=SEED, headers=headers)).status_code == 202
    for body in (b"not json", b"[]", b""):
        answer = await desk.client.post(CANVAS, content=body, headers=headers)
        assert (answer.status_code, answer.content) == (400, b'"Invalid JSON body."')


async def test_a_slash_at_the_end_is_no_other_address(desk: Desk, partner: str) -> None:
    answer = await desk.client.post(f"{CANVAS}/", content=SEED, headers={"authorization": partner})
    assert answer.status_code == 202, "a redirect would lose the body at many clients"


async def test_the_raw_key_serves_on_this_path_only(desk: Desk, partner: str) -> None:
    raw = {"authorization": partner}
    elsewhere = [
        ("GET", "/fhir/Patient"),
        ("POST", "/fhir"),
        ("POST", "/api/documents"),
        ("POST", "/convert/v1/ccda/to/fhir?patientId=1"),
        ("POST", "/fhir/Patient/_search"),
    ]
    for method, path in elsewhere:
        answer = await desk.client.request(method, path, headers=raw)
        assert answer.status_code == 401, path
    for headers in (
        raw,
        {"authorization": f"Bearer {partner}"},
        {"x-api-key": partner},
        {"authorization": f"bearer  {partner} "},
    ):
        sent = {"content-type": "application/json", **headers}
        assert (await desk.client.post(CANVAS, content=SEED, headers=sent)).status_code == 202
    for wrong in ("", "x", f"Basic {partner}", f"{partner} x", partner[:-1], partner + "x", "Bearer"):
        sent = {"content-type": "application/json", "authorization": wrong}
        assert (await desk.client.post(CANVAS, content=SEED, headers=sent)).status_code == 401, wrong


@pytest.mark.parametrize("field", ["firstName", "lastName", "partnerId"])
@pytest.mark.parametrize("value", ["missing", "", "   ", None, 7, True, ["Alice"], {"a": 1}, "\t\n"])
async def test_what_is_required_is_a_string_that_is_not_blank(desk: Desk, partner: str, field: str, value: Any) -> None:
    body = {**NAMED, field: value}
    if value == "missing":
        del body[field]
    answer = await desk.seed(body, partner)
    assert answer.status_code == 422 and answer.json()["at"] == field
    assert desk.counts() == {} and desk.messages() == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 422),
        (b'{"firstName":"A\\u0000","lastName":"E","partnerId":"p"}', 422),
        (b'{"firstName":"A","lastName":"E","partnerId":"p\\u0000"}', 400),
        (b'{"firstName":"A","lastName":"E","partnerId":"' + b"p" * 5_000 + b'"}', 400),
        (b'{"firstName":"A","lastName":"E","partnerId":"p","dateOfBirth":"1980-02-30"}', 422),
        (b'{"firstName":"A","lastName":"E","partnerId":"p","dateOfBirth":1980}', 422),
        (b'{"firstName":"A","lastName":"E","partnerId":"..","dateOfBirth":"1980"}', 422),
    ],
)
async def test_what_cannot_be_used(desk: Desk, partner: str, body: bytes, status: int) -> None:
    answer = await desk.seed(body, partner)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert desk.counts() == {}


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"firstName":"\\ud800","lastName":"E","partnerId":"p"}'],
)
async def test_what_is_no_json_object_is_answered_as_the_plugin_does(desk: Desk, partner: str, body: bytes) -> None:
    answer = await desk.seed(body, partner)
    assert (answer.status_code, answer.json()) == (400, "Invalid JSON body.")
    assert answer.headers["content-type"] == "application/json" and desk.counts() == {}


async def test_a_sex_that_nobody_knows_is_told_and_left_out(desk: Desk, partner: str) -> None:
    answer = await desk.seed({**NAMED, "sexAtBirth": "banana"}, partner)
    assert answer.status_code == 202 and answer.json()["issues"][0]["expression"] == ["sexAtBirth"]
    [alice] = await desk.found(f"/Patient?identifier={PARTNER}|p-1")
    assert "gender" not in alice


async def test_two_people_with_one_partner_id_are_held(desk: Desk, partner: str) -> None:
    await desk.seed(NAMED, partner)
    before = desk.sequence()
    other = {"firstName": "Zoe", "lastName": "Zed", "dateOfBirth": "1950-05-05", "partnerId": "p-1"}
    answer = await desk.seed(other, partner)
    assert answer.status_code == 409 and desk.sequence() == before
    [held] = desk.messages("held")
    assert held.connector == "partner" and held.error
    [alice] = await desk.found(f"/Patient?identifier={PARTNER}|p-1")
    assert alice["name"][0]["given"] == ["Alice"]


async def test_the_connector_follows_from_the_key_never_from_the_body(desk: Desk, partner: str) -> None:
    desk.connect({"name": "other", "profile": "intake", "push": False, "idSystem": "https://other.example"})
    other = desk.add_key("other", "other", "system/Patient.c")
    for key in (partner, other):
        assert (await desk.seed({**NAMED, "connector": "app", "lastName": "Example"}, key)).status_code == 202
    assert len(await desk.found(f"/Patient?identifier={PARTNER}|p-1")) == 1
    assert len(await desk.found("/Patient?identifier=https://other.example|p-1")) == 1
    assert desk.counts()["Patient"] == 2


async def test_a_later_seed_changes_what_it_names_and_leaves_the_rest(desk: Desk, partner: str) -> None:
    await desk.seed(NAMED, partner)
    [alice] = await desk.found(f"/Patient?identifier={PARTNER}|p-1")
    address = [{"use": "home", "city": "Larkfield"}]
    await desk.fhir("PUT", f"/Patient/{alice['id']}", {**alice, "address": address})
    later = {"firstName": "Alice", "lastName": "Sample", "dateOfBirth": "1980-02-22", "partnerId": "p-1"}
    assert (await desk.seed(later, partner)).status_code == 202
    now = await desk.read(f"/Patient/{alice['id']}")
    assert now["name"][0]["family"] == "Sample" and now["address"] == address and now["gender"] == "female"


async def test_a_scope_for_creating_patients_is_needed(desk: Desk, partner: str) -> None:
    reader = desk.add_key("reader", "partner", "system/Patient.rus documents convert snapshot operator")
    assert (await desk.seed(SEED, reader)).status_code == 403
    assert desk.counts() == {}


async def test_a_deleted_patient_is_not_brought_back_by_a_seed(desk: Desk, partner: str) -> None:
    await desk.seed(NAMED, partner)
    [alice] = await desk.found(f"/Patient?identifier={PARTNER}|p-1")
    await desk.fhir("DELETE", f"/Patient/{alice['id']}")
    assert (await desk.seed(NAMED, partner)).status_code == 409
    back = await desk.fhir("PUT", f"/Patient/{alice['id']}", {**patient("Example"), "id": alice["id"]})
    assert back.status_code == 201 and decoded(back)["meta"]["versionId"] == "3"
    assert (await desk.seed(NAMED, partner)).status_code == 202
