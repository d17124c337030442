"""Canvas, another partner and the gateway between them: everything settles, nothing is doubled, nothing comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.fhir.json import Resource
from gateway.sandbox.canvas_plugin import PATH
from gateway.translators.json.canvas import BIRTH_SEX

from .canvas_stage import CANVAS_SYSTEM, Stage, staged
from .desk import MRN, OURS, decoded, patient
from .waiting import until

pytestmark = pytest.mark.anyio

FULL: Resource = {
    "resourceType": "Patient",
    "active": True,
    "extension": [{"url": BIRTH_SEX, "valueCode": "F"}],
    "identifier": [{"system": MRN, "value": "m-1"}],
    "name": [
        {"use": "official", "family": "Jones", "given": ["Samantha", "Ann"]},
        {"use": "nickname", "given": ["Sam"]},
    ],
    "telecom": [
        {"system": "phone", "value": "+1 (555) 432-0555", "use": "mobile"},
        {"system": "email", "value": "Samantha.Jones@example.com", "use": "work"},
    ],
    "gender": "female",
    "birthDate": "1980-11-13",
    "address": [
        {"use": "home", "line": ["12 Oak St.", "Flat 3", "Rear"], "city": "Los Angeles", "state": "California"}
    ],
    "contact": [
        {"name": {"family": "Jones", "given": ["Dan"]}, "telecom": [{"system": "phone", "value": "555 123 4567"}]}
    ],
    "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
    "maritalStatus": {"text": "married"},
}


@pytest.fixture
async def stage(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as stage:
        yield stage


@pytest.fixture
async def fhir(stage: Stage) -> Stage:
    await stage.connect()
    return stage


@pytest.fixture
async def plugin(stage: Stage) -> Stage:
    await stage.connect(create="plugin")
    return stage


async def only(stage: Stage) -> Resource:
    [one] = await stage.in_canvas()
    return one


def official(held: Resource) -> Resource:
    return next(name for name in held["name"] if name.get("use") == "official")


def values(held: Resource, system: str) -> list[str]:
    return [one["value"] for one in held.get("identifier", []) if one.get("system") == system]


async def linked(stage: Stage, made: str) -> str:
    """Her id in Canvas as we show it."""
    [canvas_id] = values(await stage.desk.read(f"/Patient/{made}"), CANVAS_SYSTEM)
    return canvas_id


async def changed(stage: Stage, made: str, **elements: Any) -> None:
    read = await stage.desk.fhir("GET", f"/Patient/{made}")
    body = {name: value for name, value in {**decoded(read), **elements}.items() if value is not None}
    answer = await stage.desk.fhir("PUT", f"/Patient/{made}", body, headers={"if-match": read.headers["etag"]})
    assert answer.status_code == 200, answer.text


async def looked(stage: Stage, made: str) -> None:
    """Their side is read again, as any delivery does: a change of something that only we care about orders one."""
    await changed(stage, made, active=not (await stage.desk.read(f"/Patient/{made}")).get("active", True))
    await stage.quiet()


# Created by FHIR.


async def test_a_patient_arrives_once_and_settles(fhir: Stage) -> None:
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    held = await only(fhir)
    assert held["id"] == await linked(fhir, made)
    assert (values(held, MRN), values(held, OURS)) == (["m-1"], [made])
    assert held["address"][0]["state"] == "CA" and len(held["address"][0]["line"]) == 2
    assert held["contact"][0]["name"] == {"text": "Dan Jones"}
    assert held["contact"][0]["telecom"] == [{"system": "phone", "value": "5551234567"}]
    assert [one for one in fhir.writes(fhir.canvas) if one[0] != "POST"] == []
    here = await fhir.desk.read(f"/Patient/{made}")
    assert here["maritalStatus"] == FULL["maritalStatus"] and here["telecom"] == FULL["telecom"]
    assert here["address"] == FULL["address"] and here["contact"] == FULL["contact"]
    assert "photo" not in here and here["name"] == FULL["name"]


@pytest.mark.parametrize("said", [{"active": True}, {}], ids=["active", "nothing"])
async def test_who_was_deleted_here_and_is_brought_back_is_active_there(fhir: Stage, said: Resource) -> None:
    """Whether or not the body says so: who says nothing is taken to be active (FHIR R4 Patient.active)."""
    body = {**{name: value for name, value in FULL.items() if name != "active"}, **said}
    made = await fhir.desk.made_id(body)
    await fhir.quiet()
    assert (await fhir.desk.fhir("DELETE", f"/Patient/{made}")).status_code == 204
    await fhir.quiet()
    assert (await only(fhir))["active"] is False
    assert (await fhir.desk.fhir("PUT", f"/Patient/{made}", {**body, "id": made})).status_code == 201
    await fhir.quiet()
    assert (await only(fhir))["active"] is True


async def test_canvas_is_told_whose_patient_it_made(fhir: Stage) -> None:
    """PATIENT_CREATED fires for what we create by FHIR as well; it finds our id and tells us its own."""
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()

    async def called() -> bool:
        return bool(await fhir.told())

    await until(called)
    [told] = await fhir.told()
    assert (told["method"], told["path"], told["status"]) == ("POST", f"/patients/v2/{made}", 200)
    assert (await fhir.desk.read(f"/Patient/{made}"))["name"] == FULL["name"]


async def test_the_same_again_changes_nothing(fhir: Stage) -> None:
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    before = len(fhir.writes(fhir.canvas)), len(fhir.writes(fhir.other)), await fhir.in_canvas()
    assert (await fhir.desk.read(f"/Patient/{made}"))["meta"]["versionId"] == "2", "Canvas' record number was news"
    assert (await fhir.desk.post(FULL)).status_code == 200
    await fhir.quiet()
    assert (len(fhir.writes(fhir.canvas)), len(fhir.writes(fhir.other)), await fhir.in_canvas()) == before
    assert (await fhir.desk.read(f"/Patient/{made}"))["meta"]["versionId"] == "2"


async def test_an_edit_here_keeps_the_ids_of_entries_there(fhir: Stage) -> None:
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    before = await only(fhir)
    phone = {"system": "phone", "value": "555 999 0000", "use": "mobile"}
    extra = {"system": "phone", "value": "555 111 2222", "use": "home"}
    await changed(fhir, made, telecom=[phone, FULL["telecom"][1], extra])
    await fhir.quiet()
    after = await only(fhir)
    ids = {one["id"]: one["value"] for one in after["telecom"]}
    assert [ids.get(one["id"]) for one in before["telecom"]] == ["5559990000", "Samantha.Jones@example.com"]
    assert len(after["telecom"]) == 3
    for name in ("identifier", "address", "contact"):
        assert after[name] == before[name], "untouched, ids and all"
    assert [one for one in fhir.writes(fhir.canvas) if one[0] == "PUT"] == [("PUT", f"/Patient/{after['id']}")]


async def test_edits_both_ways_settle_without_echo(fhir: Stage) -> None:
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    canvas_id = await linked(fhir, made)
    name = {"use": "official", "family": "Miller", "given": ["Samantha", "Ann"]}
    await fhir.edit_in_canvas(canvas_id, name=[name, {"use": "nickname", "given": ["Sam"]}])
    await looked(fhir, made)
    [other] = await fhir.elsewhere()
    assert other["lastName"] == "Miller", "what a user of Canvas typed went on to the other partner"
    await fhir.edit_elsewhere(other["id"], lastName="Smith")

    async def arrived() -> bool:
        return bool(official(await only(fhir))["family"] == "Smith")

    await until(arrived)
    await fhir.quiet()
    assert (await fhir.desk.read(f"/Patient/{made}"))["name"][0]["family"] == "Smith"
    assert official(await only(fhir))["given"] == ["Samantha", "Ann"]


async def test_what_only_canvas_knows_is_not_erased(fhir: Stage) -> None:
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    canvas_id = await linked(fhir, made)
    held = await only(fhir)
    pharmacy = {"url": "http://schemas.canvasmedical.com/fhir/extensions/preferred-pharmacy", "valueString": "p-1"}
    consent = {"url": "http://schemas.canvasmedical.com/fhir/extensions/has-consent", "valueBoolean": True}
    telecom = [{**held["telecom"][0], "extension": [consent]}, held["telecom"][1]]
    await fhir.edit_in_canvas(canvas_id, extension=[*held["extension"], pharmacy], telecom=telecom)
    await changed(fhir, made, gender="other")
    await fhir.quiet()
    after = await only(fhir)
    assert after["gender"] == "other"
    assert pharmacy in after["extension"] and after["telecom"][0]["extension"] == [consent]
    assert values(after, "http://canvasmedical.com") == values(held, "http://canvasmedical.com")


async def test_a_partial_birth_date_never_becomes_the_first(fhir: Stage) -> None:
    made = await fhir.desk.made_id({**FULL, "birthDate": "1980-11"})
    await fhir.quiet()
    assert (await only(fhir))["birthDate"] == "1980-11-01"
    await looked(fhir, made)
    assert (await fhir.desk.read(f"/Patient/{made}"))["birthDate"] == "1980-11"
    await fhir.edit_in_canvas(await linked(fhir, made), birthDate="1980-11-13")
    await looked(fhir, made)
    assert (await fhir.desk.read(f"/Patient/{made}"))["birthDate"] == "1980-11-13", "an edit is an edit"


async def test_an_unknown_sex_stays_unknown_here(fhir: Stage) -> None:
    made = await fhir.desk.made_id(patient("Plain", gender=None))
    await fhir.quiet()
    held = await only(fhir)
    assert held["gender"] == "unknown" and {"url": BIRTH_SEX, "valueCode": "UNK"} in held["extension"]
    here = await fhir.desk.read(f"/Patient/{made}")
    assert "gender" not in here and "extension" not in here
    await looked(fhir, made)
    assert "gender" not in await fhir.desk.read(f"/Patient/{made}")


async def test_a_patient_canvas_cannot_take_waits_for_a_person(fhir: Stage) -> None:
    await fhir.desk.made_id(patient("Nameless", name=[{"family": "Nameless"}]))
    await fhir.quiet()
    assert await fhir.in_canvas() == []
    errors = [
        one.error
        for one in fhir.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=9))
        if one.connector == "canvas"
    ]
    assert len(errors) == 1 and "given name" in str(errors[0])


async def test_a_patient_they_hold_already_is_found_by_a_key(fhir: Stage) -> None:
    """Her medical record number is a key here: she is linked, not made twice."""
    there = await fhir.register(
        resourceType="Patient",
        extension=[{"url": BIRTH_SEX, "valueCode": "F"}],
        identifier=[{"system": MRN, "value": "m-1"}],
        name=[{"use": "official", "family": "Jones", "given": ["Samantha"]}],
        gender="female",
        birthDate="1980-11-13",
    )
    await fhir.quiet()
    await fhir.desk.post(FULL)
    await fhir.quiet()
    assert [one["id"] for one in await fhir.in_canvas()] == [there]


@pytest.mark.parametrize(
    "fault", [{"drop": "before"}, {"drop": "after"}, {"status": 500, "html": True}, {"delay": 1.4}]
)
async def test_what_gets_lost_by_fhir_is_made_good_once(stage: Stage, fault: dict[str, Any]) -> None:
    """A slow answer too: Canvas has no conditional create, so it is waited for until it must have shown up."""
    await stage.connect(settleSeconds=0.8)
    stage.canvas.set(**fault, methods=["POST"], times=1)
    made = await stage.desk.made_id(FULL)
    await stage.quiet()
    assert values(await only(stage), OURS) == [made]


async def test_a_change_between_read_and_write_is_kept(fhir: Stage) -> None:
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    fhir.canvas.set(status=412, methods=["PUT"], times=1)
    await changed(fhir, made, gender="male")
    await fhir.quiet()
    assert (await only(fhir))["gender"] == "male"
    assert [one[0] for one in fhir.writes(fhir.canvas)].count("PUT") == 1
    assert next(one["status"] for one in fhir.canvas.log if one["method"] == "PUT") == 412


# Created in Canvas.


async def test_a_patient_of_canvas_reaches_the_others_and_is_told_our_id(fhir: Stage) -> None:
    canvas_id = await fhir.register(firstName="Alice", lastName="Example", dateOfBirth="1980-02-22")
    await fhir.quiet()
    assert [(one["method"], one["path"]) for one in await fhir.told()] == [
        ("GET", f"/patients/v2/{canvas_id}"),
        ("POST", "/patients/v2"),
    ]
    [other] = await fhir.elsewhere()
    assert (other["firstName"], other["lastName"], other["dateOfBirth"]) == ("Alice", "Example", "1980-02-22")
    assert set(values(await only(fhir), OURS)) == {other["externalId"]}
    assert fhir.desk.counts()["Patient"] == 1


async def test_the_event_twice_makes_one(fhir: Stage) -> None:
    await fhir.turn(events=2)
    await fhir.register(firstName="Alice", lastName="Example", dateOfBirth="1980-02-22")
    await fhir.quiet()
    assert fhir.desk.counts()["Patient"] == 1 and len(await fhir.elsewhere()) == 1


async def test_a_duplicate_at_the_other_partner_is_linked_under_the_id_it_names(fhir: Stage) -> None:
    """It holds her under our id, but does not find her when first asked: the 409 says where she is."""
    fhir.other.set(down=True)
    made = await fhir.desk.made_id(FULL)
    same = {"externalId": made, "firstName": "Samantha Ann", "lastName": "Jones", "dateOfBirth": "1980-11-13"}
    await fhir.edit_elsewhere("pat_12345678", tell=False, **same)
    fhir.other.set(status=404, methods=["GET"], times=1)
    await fhir.quiet()
    assert [one["status"] for one in fhir.other.log][:2] == [404, 409]
    assert await fhir.elsewhere() == []
    shown = (await fhir.desk.read(f"/Patient/{made}"))["identifier"]
    assert ("https://other.example/patients", "pat_12345678") in {(one["system"], one["value"]) for one in shown}


async def test_a_409_is_linked_once_canvas_asks_again(fhir: Stage) -> None:
    """Two events at once: the one that came second is answered 409, and links nothing; the next one finds her."""
    canvas_id = await fhir.register(firstName="Alice", lastName="Example", dateOfBirth="1980-02-22")
    await fhir.quiet()
    held = await only(fhir)
    without = [one for one in held["identifier"] if one.get("id") and one["system"] != OURS]
    await fhir.edit_in_canvas(canvas_id, identifier=without)
    await fhir.turn(partner_system=OURS)
    await fhir.event(canvas_id)
    asked, told = (await fhir.told())[-2:]
    assert asked["path"] == f"/patients/v2/{canvas_id}" and told["status"] == 200
    assert len(values(await only(fhir), OURS)) == 1 and fhir.desk.counts()["Patient"] == 1


async def test_a_look_at_canvas_finds_new_patients_and_edits(fhir: Stage) -> None:
    """As the poller takes it; Canvas tells nobody of later edits."""
    made = await fhir.desk.made_id(FULL)
    await fhir.quiet()
    await fhir.turn(events=0)
    await fhir.register(firstName="Bob", lastName="Builder", dateOfBirth="1970-05-06")
    await fhir.edit_in_canvas(await linked(fhir, made), birthDate="1980-11-14")
    landed = await fhir.looked_through()
    assert [one.error for one in landed] == [None, None]
    await fhir.quiet()
    assert (await fhir.desk.read(f"/Patient/{made}"))["birthDate"] == "1980-11-14"
    assert {one["lastName"] for one in await fhir.elsewhere()} == {"Jones", "Builder"}
    before = fhir.desk.sequence()
    await fhir.looked_through()
    await fhir.quiet()
    assert fhir.desk.sequence() == before, "a second look changes nothing"


# Created through the plugin.


async def test_the_plugin_creates_and_the_call_links(plugin: Stage) -> None:
    made = await plugin.desk.made_id(FULL)
    await plugin.quiet()
    held = await only(plugin)
    assert held["id"] == await linked(plugin, made)
    assert values(held, OURS) == [made] and values(held, MRN) == ["m-1"]
    assert official(held)["given"] == ["Samantha", "Ann"], "what the plugin cannot take followed by FHIR"
    assert len(held["telecom"]) == 2 and held["contact"]
    assert plugin.writes(plugin.canvas).count(("POST", PATH)) == 1
    here = await plugin.desk.read(f"/Patient/{made}")
    assert (here["name"], here["telecom"]) == (FULL["name"], FULL["telecom"])
    assert here["meta"]["versionId"] == "2", "of what came back only Canvas' record number was news"


async def test_a_call_before_the_answer_links_too(plugin: Stage) -> None:
    await plugin.turn(event_first=True)
    made = await plugin.desk.made_id(FULL)
    await plugin.quiet()
    held = await only(plugin)
    assert held["id"] == await linked(plugin, made) and len(held["telecom"]) == 2
    assert plugin.writes(plugin.canvas).count(("POST", PATH)) == 1


async def test_the_call_starts_what_is_left_to_send(tmp_path: Path) -> None:
    """Nobody waits for the next attempt at the create, which may be minutes away."""
    async with staged(tmp_path, retry_schedule=(0.0, 60.0, 60.0)) as stage:
        await stage.connect(create="plugin")
        await stage.desk.made_id(FULL)

        async def complete() -> bool:
            return [len(one.get("telecom", [])) for one in await stage.in_canvas()] == [2]

        await until(complete, seconds=8)


async def test_a_late_creation_is_waited_for(plugin: Stage) -> None:
    await plugin.turn(delay=0.6)
    made = await plugin.desk.made_id(FULL)

    async def there() -> bool:
        return bool(await plugin.in_canvas())

    await until(there)
    await plugin.quiet()
    assert (await only(plugin))["id"] == await linked(plugin, made)
    assert plugin.writes(plugin.canvas).count(("POST", PATH)) == 1, "the plugin makes duplicates"


async def test_without_a_call_the_search_links(plugin: Stage) -> None:
    await plugin.turn(events=0, delay=0.3)
    made = await plugin.desk.made_id(FULL)
    await plugin.quiet()
    assert (await only(plugin))["id"] == await linked(plugin, made)
    assert plugin.writes(plugin.canvas).count(("POST", PATH)) == 1


async def test_a_look_links_what_the_plugin_made(tmp_path: Path) -> None:
    """No call came, and the next search is minutes away: the poll finds her under our id."""
    async with staged(tmp_path, retry_schedule=(0.0, 60.0, 60.0)) as stage:
        await stage.connect(create="plugin")
        await stage.turn(events=0)
        made = await stage.desk.made_id(FULL)

        async def there() -> bool:
            return bool(await stage.in_canvas())

        await until(there)
        await stage.looked_through()
        assert (await only(stage))["id"] == await linked(stage, made)

        async def complete() -> bool:
            return len((await only(stage)).get("telecom", [])) == 2

        await until(complete, seconds=8)
        assert stage.desk.counts()["Patient"] == 1


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 500, "html": True}, {"drop": "before"}])
async def test_a_lost_answer_of_the_plugin_is_never_answered_by_a_second_patient(stage: Stage, fault: Any) -> None:
    await stage.connect(create="plugin", settleSeconds=0.2)
    await stage.turn(delay=0.15)
    stage.canvas.set(**fault, methods=["POST"], times=1)
    made = await stage.desk.made_id(FULL)

    async def there() -> bool:
        return bool(await stage.in_canvas())

    await until(there)
    await stage.quiet()
    assert values(await only(stage), OURS) == [made]
    assert (await only(stage))["id"] == await linked(stage, made)


async def test_what_the_plugin_lost_is_sent_again_after_a_search(stage: Stage) -> None:
    await stage.connect(create="plugin", settleSeconds=0.1)
    await stage.turn(lost=True)
    made = await stage.desk.made_id(FULL)
    await asyncio.sleep(0.3)
    await stage.turn(lost=False)
    await stage.quiet()
    assert values(await only(stage), OURS) == [made]


async def test_a_wrong_plugin_key_waits_for_somebody_to_mend_it(stage: Stage) -> None:
    await stage.connect(create="plugin", plugin_key="another")
    made = await stage.desk.made_id(FULL)

    async def noticed() -> bool:
        return stage.health() == "needs_reauth"

    await until(noticed)
    assert await stage.in_canvas() == []
    await stage.connect(create="plugin")
    await stage.quiet()
    assert values(await only(stage), OURS) == [made], "it was never given up"
