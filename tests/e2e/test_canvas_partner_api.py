"""We as the partner that Canvas calls when a patient was created there (canvas.md, surface B)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from gateway.fhir import json

from .desk import Desk, patient

pytestmark = pytest.mark.anyio

PARTNER = "https://partner.example"
CANVAS_ID = "7162fd82487e4dc8aa2581ddbca91892"
OTHER_ID = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
ALICE = {"externalId": CANVAS_ID, "firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22"}


@pytest.fixture
async def key(desk: Desk) -> str:
    desk.connect(
        {
            "name": "canvas",
            "profile": "canvas_fhir",
            "push": False,
            "idSystem": "https://fumage-example.canvas.example",
            "options": {"partnerSystem": PARTNER},
        },
        {"name": "partner", "profile": "intake", "push": False, "idSystem": PARTNER},
    )
    return desk.add_key("canvas", "canvas", "system/Patient.cru")


async def call(desk: Desk, key: str, method: str, path: str = "", body: Any = None, **headers: str) -> httpx.Response:
    content = None if body is None else body if isinstance(body, bytes) else json.encode(body)
    sent = {"x-api-key": key, "content-type": "application/json", **headers}
    return await desk.client.request(method, f"/patients/v2{path}", content=content, headers=sent)


async def made(desk: Desk, key: str, body: Any = ALICE) -> str:
    answer = await call(desk, key, "POST", "", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def test_a_patient_created_in_canvas_is_ours_under_both_ids(desk: Desk, key: str) -> None:
    assert (await call(desk, key, "GET", f"/{CANVAS_ID}")).status_code == 404
    answer = await call(desk, key, "POST", "", ALICE)
    assert answer.status_code == 201 and answer.headers["content-type"] == "application/json"
    ours = answer.json()["id"]
    assert answer.json() == {"id": ours, **ALICE}
    for asked in (CANVAS_ID, ours):
        found = await call(desk, key, "GET", f"/{asked}")
        assert (found.status_code, found.json()) == (200, {"id": ours, **ALICE})
    here = await desk.read(f"/Patient/{ours}")
    assert here["name"] == [{"family": "Example", "given": ["Alice"], "use": "official"}]
    assert here["birthDate"] == "1980-02-22"
    shown = {(one["system"], one["value"]) for one in here["identifier"]}
    assert ("https://fumage-example.canvas.example", CANVAS_ID) in shown


async def test_the_same_patient_again_is_a_duplicate_with_her_id(desk: Desk, key: str) -> None:
    ours = await made(desk, key)
    before = desk.sequence()
    again = await call(desk, key, "POST", "", {**ALICE, "firstName": "Alicia"})
    assert (again.status_code, again.json()) == (409, {"error": "duplicate", "id": ours})
    assert desk.sequence() == before and desk.counts()["Patient"] == 1


async def test_an_idempotency_key_answers_the_same_again(desk: Desk, key: str) -> None:
    named = {"idempotency-key": "event-1"}
    first = await call(desk, key, "POST", "", ALICE, **named)
    again = await call(desk, key, "POST", "", ALICE, **named)
    assert (first.status_code, again.status_code) == (201, 201) and first.json() == again.json()


async def test_creates_of_one_canvas_id_at_once_make_one(desk: Desk, key: str) -> None:
    answers = await asyncio.gather(*(call(desk, key, "POST", "", ALICE) for _ in range(6)))
    assert sorted(one.status_code for one in answers) == [201, *[409] * 5]
    assert len({one.json()["id"] for one in answers}) == 1
    assert desk.counts()["Patient"] == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_update_tells_what_canvas_holds(desk: Desk, key: str, method: str) -> None:
    ours = await made(desk, key)
    answer = await call(desk, key, method, f"/{ours}", {**ALICE, "lastName": "Sample"})
    assert (answer.status_code, answer.json()) == (200, {"id": ours, **ALICE, "lastName": "Sample"})
    by_canvas_id = await call(desk, key, method, f"/{CANVAS_ID}", {**ALICE, "lastName": "Sample"})
    assert by_canvas_id.json() == answer.json()
    assert (await desk.read(f"/Patient/{ours}"))["meta"]["versionId"] == "2"


async def test_a_new_family_name_alone_is_told_of_her_own_chart(desk: Desk, key: str) -> None:
    """Who married is the same patient; another chart than hers has to say itself who it is."""
    ours = await made(desk, key)
    stranger = await call(desk, key, "PATCH", f"/{ours}", {"externalId": OTHER_ID, "lastName": "Sample"})
    assert stranger.status_code == 409 and "id" not in stranger.json()
    answer = await call(desk, key, "PATCH", f"/{CANVAS_ID}", {"lastName": "Sample"})
    assert (answer.status_code, answer.json()) == (200, {"id": ours, **ALICE, "lastName": "Sample"})
    other = {"firstName": "Bob", "lastName": "Else", "dateOfBirth": "1950-01-01"}
    assert (await call(desk, key, "PATCH", f"/{CANVAS_ID}", other)).status_code == 409


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ({"firstName": "Zoe"}, 409),
        ({"lastName": "Other"}, 409),
        ({"firstName": "Ida"}, 200),
        ({"lastName": "Voss"}, 200),
        ({"firstName": "Zoe", "dateOfBirth": "1980-02-22"}, 200),
        ({}, 200),
    ],
)
async def test_half_a_name_speaks_against_a_chart_too(desk: Desk, key: str, told: dict[str, Any], status: int) -> None:
    """Of a chart that nothing is known of half a name is not taken over, but whoever has another one is another."""
    name = [{"family": "Voss", "given": ["Ida"]}]
    ours = await desk.made_id({"resourceType": "Patient", "name": name, "birthDate": "1980-02-22"})
    answer = await call(desk, key, "POST", f"/{ours}", {"externalId": OTHER_ID, **told})
    assert answer.status_code == status, answer.text
    assert (await call(desk, key, "GET", f"/{OTHER_ID}")).status_code == (200 if status == 200 else 404)
    assert (await desk.read(f"/Patient/{ours}"))["name"] == name


async def test_what_a_call_leaves_out_stays(desk: Desk, key: str) -> None:
    ours = await made(desk, key)
    answer = await call(desk, key, "POST", f"/{ours}", {"externalId": CANVAS_ID})
    assert (answer.status_code, answer.json()) == (200, {"id": ours, **ALICE})
    nulls = await call(desk, key, "POST", f"/{ours}", {"externalId": CANVAS_ID, "dateOfBirth": None, "firstName": None})
    assert nulls.json() == {"id": ours, **ALICE}
    assert (await desk.read(f"/Patient/{ours}"))["meta"]["versionId"] == "1"


async def test_who_has_one_id_there_need_not_be_told_it_again(desk: Desk, key: str) -> None:
    ours = await made(desk, key)
    for asked in (ours, CANVAS_ID):
        answer = await call(desk, key, "PATCH", f"/{asked}", {"firstName": "Alice", "lastName": "Example"})
        assert (answer.status_code, answer.json()) == (200, {"id": ours, **ALICE})
    other = await call(desk, key, "POST", f"/{CANVAS_ID}", {**ALICE, "externalId": OTHER_ID})
    assert other.status_code == 422, "the path says somebody else"
    unlinked = await desk.made_id(patient("Nobody"))
    assert (await call(desk, key, "PATCH", f"/{unlinked}", {"lastName": "Nobody"})).status_code == 422


async def test_canvas_may_hold_one_patient_twice(desk: Desk, key: str) -> None:
    """Its plugin makes duplicates: both are hers, and she stays one."""
    ours = await made(desk, key)
    second = await call(desk, key, "POST", f"/{ours}", {**ALICE, "externalId": OTHER_ID})
    assert (second.status_code, second.json()["externalId"]) == (200, OTHER_ID)
    for asked in (CANVAS_ID, OTHER_ID):
        found = (await call(desk, key, "GET", f"/{asked}")).json()
        assert (found["id"], found["externalId"]) == (ours, asked)
    assert desk.counts()["Patient"] == 1


async def test_a_patient_of_ours_is_linked_by_the_id_we_gave(desk: Desk, key: str) -> None:
    ours = await desk.made_id(patient("Example", name=[{"family": "Example", "given": ["Alice", "Ann"]}]))
    assert (await call(desk, key, "GET", f"/{CANVAS_ID}")).status_code == 404
    answer = await call(desk, key, "POST", f"/{ours}", ALICE)
    assert answer.status_code == 200 and answer.json()["externalId"] == CANVAS_ID
    assert (await call(desk, key, "GET", f"/{CANVAS_ID}")).json()["id"] == ours
    assert desk.counts()["Patient"] == 1


async def test_a_patient_of_the_plugin_endpoint_meets_herself(desk: Desk, key: str) -> None:
    """A: the partner tells us of pat_12345678. B: Canvas calls back with that id, and its own."""
    seed = {"firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22", "partnerId": "pat_12345678"}
    given = await desk.seed(seed, desk.add_key("partner", "partner", "system/Patient.c"))
    assert given.json()["external_identifier"] == {"system": PARTNER, "value": "pat_12345678"}
    answer = await call(desk, key, "POST", "/pat_12345678", ALICE)
    assert (answer.status_code, answer.json()["id"]) == (200, "pat_12345678")
    found = (await call(desk, key, "GET", f"/{CANVAS_ID}")).json()
    assert (found["id"], found["externalId"]) == ("pat_12345678", CANVAS_ID)
    assert desk.counts()["Patient"] == 1


async def test_one_connector_may_be_both_sides(desk: Desk) -> None:
    desk.connect({"name": "both", "profile": "intake", "push": False, "idSystem": "https://both.example"})
    key = desk.add_key("both", "both", "system/Patient.cru")
    seed = {"firstName": "Alice", "lastName": "Example", "dateOfBirth": "1980-02-22", "partnerId": "pat_12345678"}
    assert (await desk.seed(seed, key)).status_code == 202
    assert (await call(desk, key, "POST", "/pat_12345678", ALICE)).json()["id"] == "pat_12345678"
    found = (await call(desk, key, "GET", f"/{CANVAS_ID}")).json()
    assert (found["id"], found["externalId"]) == ("pat_12345678", CANVAS_ID)


async def test_an_id_of_canvas_belongs_to_one_patient(desk: Desk, key: str) -> None:
    first = await made(desk, key)
    second = await made(desk, key, {**ALICE, "externalId": OTHER_ID, "lastName": "Other"})
    answer = await call(desk, key, "POST", f"/{second}", ALICE)
    assert (answer.status_code, answer.json()) == (409, {"error": "duplicate", "id": first})
    assert (await call(desk, key, "GET", f"/{second}")).json()["externalId"] == OTHER_ID


async def test_another_person_under_a_known_id_is_held(desk: Desk, key: str) -> None:
    ours = await desk.made_id(patient("Example"))
    stranger = {**ALICE, "firstName": "Bob", "lastName": "Builder", "dateOfBirth": "1970-05-06"}
    answer = await call(desk, key, "POST", f"/{ours}", stranger)
    assert answer.status_code == 409 and "id" not in answer.json()
    assert (await call(desk, key, "GET", f"/{CANVAS_ID}")).status_code == 404
    assert [one.state for one in desk.messages() if one.kind == "canvas-call"] == ["held"]


async def test_a_middle_name_that_canvas_does_not_tell_stays(desk: Desk, key: str) -> None:
    ours = await desk.made_id(
        patient("Jones", name=[{"use": "official", "family": "Jones", "given": ["Samantha", "Ann"]}])
    )
    told = {**ALICE, "firstName": "Samantha", "lastName": "Jones"}
    assert (await call(desk, key, "POST", f"/{ours}", told)).status_code == 200
    assert (await call(desk, key, "POST", f"/{ours}", told)).status_code == 200
    [name] = (await desk.read(f"/Patient/{ours}"))["name"]
    assert name["given"] == ["Samantha", "Ann"]


ODD_BODIES: list[tuple[Any, int]] = [
    (b"{", 400),
    (b"", 400),
    (b"[]", 422),
    (b'"text"', 422),
    ({}, 422),
    ({**ALICE, "externalId": ""}, 422),
    ({**ALICE, "externalId": 7}, 422),
    ({**ALICE, "externalId": ".."}, 422),
    ({**ALICE, "externalId": "x" * 256}, 422),
    ({**ALICE, "firstName": ["Alice"]}, 422),
    ({**ALICE, "dateOfBirth": "22/02/1980"}, 422),
    ({"externalId": CANVAS_ID}, 422),
]


@pytest.mark.parametrize(("body", "status"), ODD_BODIES, ids=str)
async def test_what_cannot_be_used_is_refused_in_json(desk: Desk, key: str, body: Any, status: int) -> None:
    answer = await call(desk, key, "POST", "", body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json" and "id" not in answer.json()
    assert desk.counts() == {}


async def test_unknown_ids_are_404_in_json(desk: Desk, key: str) -> None:
    for method, body in (("GET", None), ("POST", ALICE), ("PATCH", ALICE)):
        answer = await call(desk, key, method, "/pat_nobody", body)
        assert answer.status_code == 404 and answer.json()["error"] == "not-found"


async def test_a_deleted_patient_is_unknown(desk: Desk, key: str) -> None:
    ours = await made(desk, key)
    assert (await desk.fhir("DELETE", f"/Patient/{ours}")).status_code == 204
    for asked in (ours, CANVAS_ID):
        assert (await call(desk, key, "GET", f"/{asked}")).status_code == 404
    again = await call(desk, key, "POST", "", ALICE)
    assert again.status_code == 409 and "id" not in again.json(), "held: it was deleted here"


async def test_a_key_and_its_scopes_are_needed(desk: Desk, key: str) -> None:
    calls = (("GET", f"/{CANVAS_ID}", None), ("POST", "", ALICE), ("POST", f"/{CANVAS_ID}", ALICE))
    for method, path, body in calls:
        for wrong in ("", "guessed", key[:-1]):
            answer = await call(desk, wrong, method, path, body)
            assert answer.status_code == 401 and answer.headers["content-type"] == "application/json"
            assert answer.json()["error"] == "login"
    weak = desk.add_key("weak", "canvas", "snapshot")
    for method, path, body in calls:
        answer = await call(desk, weak, method, path, body)
        assert answer.status_code == 403 and answer.json()["error"] == "forbidden"
    assert desk.counts() == {}


async def test_reads_and_writes_are_audited(desk: Desk, key: str) -> None:
    ours = await made(desk, key)
    await call(desk, key, "GET", f"/{ours}")
    await call(desk, key, "POST", "", ALICE)
    told = [one for one in await desk.audits() if one.connector == "canvas" and one.type in ("Patient", None)]
    rows = [(one.action, one.id, one.status) for one in told]
    assert rows == [("U", None, 409), ("R", ours, 200), ("C", ours, 201)]
