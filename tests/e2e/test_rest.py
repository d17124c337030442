"""Systems that are known by their mapping file alone: the seed's stories, end to end."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors.signature import sign
from gateway.delivery import owed
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.sandbox import rest_partner, serve
from gateway.sandbox.faults import Sandbox
from tests.contract.rest_mapping import CVX, MAPPING, as_xml

from . import post_box
from .desk import Desk, opened
from .post_box import PostBox, settled
from .waiting import until

pytestmark = pytest.mark.anyio

SECRET = f"whsec_{base64.b64encode(b'a secret of twenty-four ').decode()}"
IDS = "https://state-ehr.example/people"
PATH = "/api/webhooks/state-ehr"
QUICK: dict[str, Any] = {"deliver": True, "retry_schedule": (0.0, *[0.05] * 400), "lease": 2.0, "delivery_timeout": 2.0}


BOOKING = {
    "personId": "s-1",
    "startsAt": "2026-07-01T10:30:00",
    "endsAt": "2026-07-01T10:45:00",
    "state": "confirmed",
    "vaccine": "COVID-19",
}


@dataclass
class Meeting:
    """The gateway, the state's EHR, and the post between them."""

    desk: Desk
    ehr: Sandbox
    url: str
    post: PostBox

    def connect(self, **more: Any) -> None:
        self.desk.connect(
            {
                "name": "state-ehr",
                "type": "REST",
                "endpoint": f"{self.url}/api",
                "auth": {"scheme": "apiKey", "key": rest_partner.API_KEY},
                "sync": {"mode": "webhook", "secret": SECRET},
                "idSystem": IDS,
                "mapping": MAPPING,
                "allow_networks": ["127.0.0.0/8"],
                **more,
            }
        )

    async def subscribe(self) -> None:
        async with httpx.AsyncClient(trust_env=False, headers={"X-API-Key": rest_partner.API_KEY}) as client:
            asked = json.encode({"url": self.post.url, "events": [], "secret": SECRET})
            assert (await client.post(f"{self.url}/api/subscribe", content=asked)).status_code == 201

    async def edit(self, name: str, item_id: str, verb: str = "updated", **fields: Any) -> None:
        """A clerk of the EHR changes something; the event waits in the post."""
        async with httpx.AsyncClient(trust_env=False) as client:
            asked = json.encode({"set": fields, "verb": verb})
            answer = await client.post(f"{self.url}/_edit/{name}/{item_id}", content=asked)
            assert json.decode(answer.content)["webhook"] == 200

    async def held(self, name: str) -> list[dict[str, Any]]:
        async with httpx.AsyncClient(trust_env=False) as client:
            found: list[dict[str, Any]] = json.decode((await client.get(f"{self.url}/_held/{name}")).content)
        return found

    async def handed_over(self) -> None:
        assert set(await self.post.hand_over(self.desk, PATH)) == {200}
        await settled(self.desk)

    async def ines(self) -> Resource:
        [found] = await self.desk.found(f"/Patient?identifier={IDS}|s-1")
        return found


@pytest.fixture
async def meeting(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Meeting]:
    ehr = rest_partner.create()
    with serve.running(ehr) as url, post_box.opened() as post:
        async with opened(tmp_path, **QUICK) as desk:
            meeting = Meeting(desk, ehr, url, post)
            meeting.connect()
            await meeting.subscribe()
            yield meeting


def connector(**more: Any) -> dict[str, Any]:
    """The seed's connector, its system reached by events only."""
    return {
        "name": "StateEHR",
        "type": "REST",
        "endpoint": "https://stateehr.example/fhir/Patient",
        "sync": {"mode": "webhook", "path": "/api/webhooks/state-ehr/patient", "secret": SECRET, "read": False},
        "mapping": {"hmsPatientId": "id", "hmsName": "name"},
        **more,
    }


async def tell(desk: Desk, path: str, payload: Any, *, secret: str = SECRET, event_id: str = "e1") -> int:
    body = json.encode(payload)
    headers = sign(secret, event_id, body, now=datetime.now(UTC))
    return (await desk.call("POST", path, body, key="", kind="application/json", headers=headers)).status_code


@pytest.mark.parametrize("more", [{}, {"endpoint": None, "push": False, "idSystem": "https://stateehr.example/ids"}])
async def test_the_acceptance_example_of_hms(desk: Desk, more: dict[str, Any]) -> None:
    desk.connect({name: value for name, value in connector(**more).items() if value is not None})
    system = more.get("idSystem", "https://stateehr.example/fhir/Patient")
    path = "/api/webhooks/state-ehr/patient"
    assert await tell(desk, path, {"id": "p1", "name": "Ada"}) == 200
    assert await tell(desk, path, {"id": "p1", "name": "Ada"}) == 200, "the same event twice"
    assert await tell(desk, path, {"id": "p2", "name": "Eve"}, secret=f"whsec_{'A' * 32}") == 401

    async def found() -> list[Resource]:
        return await desk.found(f"/Patient?identifier={system}|p1")

    [ada] = await until(found)
    assert {"system": system, "value": "p1"} in ada["identifier"] and ada["name"] == [{"text": "Ada"}]
    assert ada["meta"]["versionId"] == "1" and desk.counts()["Patient"] == 1
    assert len([one for one in desk.messages() if one.kind == "webhook"]) == 1


async def test_events_of_a_system_that_cannot_be_read_are_believed(desk: Desk) -> None:
    sync = {"mode": "webhook", "secret": SECRET, "read": False}
    desk.connect({"name": "far", "type": "REST", "sync": sync, "mapping": MAPPING, "idSystem": IDS, "push": False})
    person = {"id": "s-1", "last": "Sample", "first": "Ines", "dob": "03/09/1974"}
    payload = {"kind": "booking.created", "eventId": "b", "model": {"id": "b-1", **BOOKING}}
    assert await tell(desk, "/api/webhooks/far", payload, event_id="b") == 200
    await settled(desk)
    assert "Appointment" not in desk.counts(), "of nobody who is known: it waits as a failed message"
    person_event = {"kind": "person.created", "eventId": "p", "model": person}
    assert await tell(desk, "/api/webhooks/far", person_event, event_id="p") == 200
    assert await tell(desk, "/api/webhooks/far", {**payload, "eventId": "b2"}, event_id="b2") == 200
    await settled(desk)
    [ines] = await desk.found(f"/Patient?identifier={IDS}|s-1")
    [appointment] = await desk.found(f"/Appointment?patient=Patient/{ines['id']}")
    assert appointment["participant"][0]["actor"] == {"reference": f"Patient/{ines['id']}"}
    part = {"kind": "person.updated", "eventId": "p2", "model": {"id": "s-1", "first": "Ines Maria", "dob": None}}
    assert await tell(desk, "/api/webhooks/far", part, event_id="p2") == 200
    await settled(desk)
    after = await desk.read(f"/Patient/{ines['id']}")
    assert after["name"] == [{"family": "Sample", "given": ["Ines", "Maria"]}], "half a name was completed"
    assert after["birthDate"] == "1974-03-09", "an event alone takes nothing away"


async def test_a_person_there_is_a_patient_here_and_an_edit_follows(meeting: Meeting) -> None:
    await meeting.edit("people", "s-1", sex="F", mobile="555-010-2030")
    await meeting.handed_over()
    ines = await meeting.ines()
    assert ines["name"] == [{"family": "Sample", "given": ["Ines", "Maria"]}] and ines["gender"] == "female"
    await meeting.edit("people", "s-1", last="Other")
    await meeting.handed_over()
    assert (await meeting.ines())["name"] == [{"family": "Other", "given": ["Ines", "Maria"]}]
    held = (await meeting.held("people"))[0]
    assert held["externalId"] == ines["id"], "they keep our id"


async def test_an_edit_here_is_written_there_and_settles(meeting: Meeting) -> None:
    await meeting.edit("people", "s-1", note="prefers mornings", mobile="555-010-2030")
    await meeting.handed_over()
    ines = await meeting.ines()
    ines["telecom"] = [{"system": "phone", "use": "mobile", "value": "+1 555 010 9999"}]
    assert (await meeting.desk.fhir("PUT", f"/Patient/{ines['id']}", ines)).status_code == 200
    await settled(meeting.desk)
    held = (await meeting.held("people"))[0]
    assert (held["mobile"], held["note"]) == ("15550109999", "prefers mornings")
    before, writes = meeting.desk.sequence(), len(meeting.ehr.log)
    await meeting.edit("people", "s-1")  # an event without a change: their digits are our number
    await meeting.handed_over()
    assert meeting.desk.sequence() == before
    assert {one["method"] for one in meeting.ehr.log[writes:]} == {"GET"}
    assert (await meeting.ines())["telecom"] == ines["telecom"]


async def test_a_value_that_cannot_be_told_there_is_named_beside_the_delivery(meeting: Meeting) -> None:
    """Their form of a date has no place for a year alone: the rest is sent, and a person can see what was not."""
    year = {"resourceType": "Patient", "name": [{"family": "Sample", "given": ["Bea"]}], "birthDate": "1974"}
    await meeting.desk.made_id(year)
    await settled(meeting.desk)
    [bea] = [one for one in await meeting.held("people") if one["first"] == "Bea"]
    assert not bea.get("dob")
    [done] = meeting.desk.ask(lambda reader: reader.deliveries(["done"], limit=10))
    assert "mapping.Patient.fields.birthDate" in done.error and "1974" not in done.error


async def test_a_booking_there_is_an_appointment_here_until_it_is_called_off(meeting: Meeting) -> None:
    await meeting.edit("bookings", "b-9", "created", **BOOKING)
    await meeting.handed_over()
    ines = await meeting.ines()
    [appointment] = await meeting.desk.found(f"/Appointment?patient=Patient/{ines['id']}")
    assert appointment["status"] == "booked" and appointment["start"] == "2026-07-01T10:30:00-04:00"
    assert appointment["participant"][0]["actor"] == {"reference": f"Patient/{ines['id']}"}
    await meeting.edit("bookings", "b-9", state="called off")
    await meeting.handed_over()
    assert (await meeting.desk.read(f"/Appointment/{appointment['id']}"))["status"] == "cancelled"


async def test_a_shot_there_is_an_immunization_here(meeting: Meeting) -> None:
    shot = {"personId": "s-1", "cvx": "208", "vaccineName": "COVID-19 mRNA", "givenOn": "2026-07-01", "lot": "L-9"}
    await meeting.edit("shots", "x-1", "created", **shot)
    await meeting.handed_over()
    ines = await meeting.ines()
    [immunization] = await meeting.desk.found(f"/Immunization?patient=Patient/{ines['id']}")
    assert immunization["vaccineCode"]["coding"] == [{"system": CVX, "code": "208"}]
    assert immunization["lotNumber"] == "L-9" and immunization["occurrenceDateTime"] == "2026-07-01"


async def test_a_value_without_counterpart_is_noted_beside_the_message(meeting: Meeting) -> None:
    await meeting.edit("people", "s-1", sex="Z")
    await meeting.handed_over()
    assert "gender" not in await meeting.ines()
    [message] = [one for one in meeting.desk.messages() if one.kind == "webhook"]
    noted = json.decode(message.issues or b"[]")
    assert message.state == "applied" and "mapping.Patient.fields.gender" in noted[0]["diagnostics"]


async def test_what_the_mapping_ignores_changes_nothing(meeting: Meeting) -> None:
    for kind in ("report.ready", "unheard.of"):
        body = {"kind": kind, "eventId": kind, "model": {"id": "s-1"}}
        assert await tell(meeting.desk, PATH, body, event_id=kind) == 200
    await settled(meeting.desk)
    assert not meeting.desk.counts() and {one.state for one in meeting.desk.messages()} == {"applied"}


async def test_a_person_who_was_removed_there_is_kept_here(meeting: Meeting) -> None:
    await meeting.edit("people", "s-1")
    await meeting.handed_over()
    ines = await meeting.ines()
    body = {"kind": "person.removed", "eventId": "gone", "model": {"id": "s-1"}}
    assert await tell(meeting.desk, PATH, body, event_id="gone") == 200
    await settled(meeting.desk)
    assert (await meeting.desk.read(f"/Patient/{ines['id']}"))["name"] == ines["name"]


FLAT: dict[str, Any] = {"id": "p1", "name": "Ada"}
AS_FHIR: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Lovelace", "given": ["Ada"]}]}


@pytest.mark.parametrize(
    ("answer", "name"), [(FLAT, [{"text": "Ada"}]), (AS_FHIR, AS_FHIR["name"]), (404, [{"text": "Ada"}]), (410, None)]
)
async def test_the_seeds_own_connector_calls_itself_fhir_and_is_flat(
    desk: Desk, answer: dict[str, Any] | int, name: Any
) -> None:
    """Type FHIR, the endpoint of its Patients, a mapping: its side is read, whatever form it answers in. Where it does
    not serve them as FHIR (404) the signed event counts; what was deleted (410) is not brought back."""

    async def read(request: Request) -> Response:
        assert request.path_params["id"] == "p1"
        if isinstance(answer, int):
            return Response(status_code=answer)
        return Response(json.encode(answer), media_type="application/json")

    server = Sandbox(Starlette(routes=[Route("/fhir/Patient/{id}", read)]))
    with serve.running(server) as url:
        more = {"type": "FHIR", "endpoint": f"{url}/fhir/Patient", "allow_networks": ["127.0.0.0/8"], "idSystem": IDS}
        sync = {"mode": "webhook", "path": "/api/webhooks/state-ehr/patient", "secret": SECRET}
        desk.connect(connector(**more, sync=sync, push=False))
        assert await tell(desk, "/api/webhooks/state-ehr/patient", FLAT) == 200
        await settled(desk)
        found = await desk.found(f"/Patient?identifier={IDS}|p1")
    assert [one["name"] for one in found] == ([name] if name else [])


# --- the vaccine booking: a hospital books at the state's EHR, the shot comes back ------------------------------------


def hospital(patient_id: str) -> Resource:
    """What the hospital's own system posts to the gateway."""
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "description": "COVID-19, second dose",
        "start": "2026-07-01T14:30:00Z",
        "end": "2026-07-01T14:45:00Z",
        "participant": [{"actor": {"reference": f"Patient/{patient_id}"}, "status": "accepted"}],
    }


ADA: Resource = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Lovelace", "given": ["Ada"]}],
    "birthDate": "1990-12-10",
    "gender": "female",
}


async def test_a_vaccine_is_booked_there_and_the_shot_comes_back(meeting: Meeting) -> None:
    ada = await meeting.desk.made_id(ADA)
    appointment = await meeting.desk.made_id(hospital(ada))
    await settled(meeting.desk)
    person = (await meeting.held("people"))[-1]
    [booking] = await meeting.held("bookings")
    assert (person["externalId"], person["last"], person["dob"]) == (ada, "Lovelace", "12/10/1990")
    assert (booking["personId"], booking["externalId"]) == (person["id"], appointment)
    assert (booking["startsAt"], booking["state"]) == ("2026-07-01T10:30:00", "confirmed")
    writes = [one["path"] for one in meeting.ehr.log if one["method"] == "POST" and "externalId" in str(one["body"])]
    assert writes == ["/api/people", "/api/bookings"], "the person before what refers to her, and each once"

    await meeting.edit("bookings", booking["id"], state="done")
    shot = {
        "personId": person["id"],
        "cvx": "208",
        "vaccineName": "COVID-19 mRNA",
        "givenOn": "2026-07-01",
        "lot": "L-9",
    }
    await meeting.edit("shots", "x-1", "created", **shot)
    await meeting.handed_over()
    assert (await meeting.desk.read(f"/Appointment/{appointment}"))["status"] == "fulfilled"
    [immunization] = await meeting.desk.found(f"/Immunization?patient=Patient/{ada}")
    assert immunization["patient"] == {"reference": f"Patient/{ada}"} and immunization["status"] == "completed"
    assert meeting.desk.counts() == {"Patient": 1, "Appointment": 1, "Immunization": 1, **provenances(meeting.desk)}


def provenances(desk: Desk) -> dict[str, int]:
    return {"Provenance": desk.counts()["Provenance"]}


async def test_what_the_hospital_calls_off_is_called_off_there(meeting: Meeting) -> None:
    ada = await meeting.desk.made_id(ADA)
    appointment = await meeting.desk.made_id(hospital(ada))
    await settled(meeting.desk)
    called_off = await meeting.desk.read(f"/Appointment/{appointment}") | {"status": "cancelled"}
    assert (await meeting.desk.fhir("PUT", f"/Appointment/{appointment}", called_off)).status_code == 200
    await settled(meeting.desk)
    assert [one["state"] for one in await meeting.held("bookings")] == ["called off"]


async def test_a_booking_whose_answer_was_lost_is_made_once(meeting: Meeting) -> None:
    ada = await meeting.desk.made_id(ADA)
    await settled(meeting.desk)
    meeting.ehr.set(drop="after", methods=("POST",), times=1)
    await meeting.desk.made_id(hospital(ada))
    await settled(meeting.desk)
    assert len(await meeting.held("bookings")) == 1


async def test_a_booking_waits_for_a_person_who_was_refused_and_goes_when_she_is_there(meeting: Meeting) -> None:
    meeting.ehr.set(status=422, methods=("POST",), times=1)
    ada = await meeting.desk.made_id(ADA)

    async def refused() -> bool:
        return bool(meeting.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=1)))

    await until(refused)
    booking = await meeting.desk.made_id(hospital(ada))

    async def waits() -> bool:
        due = meeting.desk.ask(lambda reader: reader.deliveries(["due"], limit=9))
        return any(row.error == f"waits for Patient/{ada}, which was rejected" and row.attempt == 0 for row in due)

    await until(waits)
    assert await meeting.held("bookings") == [], "it has no one to be for there"
    owed.replay(meeting.desk.store, owed.Selection(everything=True), dry=False)
    meeting.desk.context.flow.ordered()

    async def person_is_there() -> bool:
        return any(one.get("externalId") == ada for one in await meeting.held("people"))

    await until(person_is_there)
    meeting.desk.store.write_now(lambda tx: tx.make_due("state-ehr", limit=5))
    meeting.desk.context.flow.ordered()

    async def booked() -> bool:
        return [one["externalId"] for one in await meeting.held("bookings")] == [booking]

    await until(booked)


async def test_a_booking_of_which_a_value_cannot_be_told_is_put_before_a_person(meeting: Meeting) -> None:
    ada = await meeting.desk.made_id(ADA)
    await meeting.desk.made_id({**hospital(ada), "status": "waitlist"})
    await settled(meeting.desk)
    assert await meeting.held("bookings") == []
    [refused] = meeting.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=10))
    assert "mapping.Appointment.fields.status" in refused.error


async def test_a_scheduling_service_and_an_older_ehr_in_xml_stay_in_step(meeting: Meeting) -> None:
    """The seed's own story: someone books or calls off outside, and the EHR follows; the shot goes back."""
    older = rest_partner.create(seeds={}, xml=True)
    with serve.running(older) as url:
        loopback = {"allow_networks": ["127.0.0.0/8"], "auth": {"scheme": "apiKey", "key": rest_partner.API_KEY}}
        sync = {"mode": "webhook", "secret": SECRET}
        xml = {"name": "older", "type": "REST", "endpoint": f"{url}/api", "contentType": "xml", "mapping": as_xml()}
        meeting.desk.connect({**xml, **loopback, "sync": sync, "idSystem": "https://older.example/people"})
        await meeting.edit("bookings", "b-9", "created", **BOOKING)
        await meeting.handed_over()
        there = Meeting(meeting.desk, older, url, meeting.post)
        [person], [booking] = await there.held("people"), await there.held("bookings")
        assert (person["last"], person["dob"]) == ("Sample", "03/09/1974")
        assert (booking["personId"], booking["startsAt"], booking["state"]) == (
            person["id"],
            "2026-07-01T10:30:00",
            "confirmed",
        )
        await meeting.edit("bookings", "b-9", state="called off")
        await meeting.handed_over()
        assert [one["state"] for one in await there.held("bookings")] == ["called off"]

        await there.subscribe()
        await there.edit("shots", "x-1", "created", personId=person["id"], cvx="208", givenOn="2026-07-02")
        assert there.post.letters[0][1].startswith(b"<event>")
        assert await there.post.hand_over(meeting.desk, "/api/webhooks/older") == [200]
        await settled(meeting.desk)
    ines = await meeting.ines()
    [immunization] = await meeting.desk.found(f"/Immunization?patient=Patient/{ines['id']}")
    assert immunization["occurrenceDateTime"] == "2026-07-02"
    [told] = await meeting.held("shots")
    assert (told["personId"], told["cvx"], told["externalId"]) == ("s-1", "208", immunization["id"])


async def test_an_event_is_known_by_the_id_in_its_body_where_the_signature_has_none(meeting: Meeting) -> None:
    meeting.connect(sync={"mode": "webhook", "signature": "header", "secret": "plain text"})
    headers = {"X-Webhook-Secret": "plain text"}
    body = json.encode({"kind": "person.updated", "eventId": "e-7", "model": {"id": "s-1"}})
    for sent in (body, body, b"no json"):
        answer = await meeting.desk.call("POST", PATH, sent, key="", kind="application/json", headers=headers)
        assert answer.status_code == 200
    await settled(meeting.desk)
    assert sorted(one.state for one in meeting.desk.messages()) == ["applied", "failed"]
