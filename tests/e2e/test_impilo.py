"""Impilo and the gateway in step: patients both ways, readings in, events in both envelopes, echoes, late events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.commands import reconcile
from gateway.connectors import impilo
from gateway.connectors.protocol import Hook, Side
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.sandbox import impilo as stand_in
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

from . import post_box
from .desk import OURS, Desk, opened
from .post_box import PostBox, deliver, settled

pytestmark = pytest.mark.anyio

PATH = "/api/webhooks/impilo"
SECRET = "echoed as it is"
SYSTEM = impilo.ID_SYSTEM
QUICK: dict[str, Any] = {"deliver": True, "retry_schedule": (0.0, *[0.05] * 400), "lease": 2.0, "delivery_timeout": 2.0}


@dataclass
class Clinic:
    """The gateway, Impilo, and the post between them."""

    desk: Desk
    partner: Sandbox
    url: str
    post: PostBox

    async def control(self, path: str, body: Any = None) -> Any:
        async with httpx.AsyncClient(trust_env=False) as client:
            url = f"{self.url}{path}"
            answer = await (client.post(url, content=json.encode(body)) if body is not None else client.get(url))
            answer.raise_for_status()
            return json.decode(answer.content) if answer.content else None

    async def patients(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.control("/_patients")
        return found

    async def hand_over(self) -> list[int]:
        return await self.post.hand_over(self.desk, PATH)

    async def tell(self, body: bytes, *, secret: str = SECRET) -> int:
        return await deliver(self.desk, PATH, ({"impilo-webhook-secret": secret}, body))

    async def settled(self) -> None:
        await settled(self.desk)

    async def ines(self) -> Resource:
        [found] = await self.desk.found(f"/Patient?identifier={SYSTEM}|101")
        return found


def connector(url: str, **options: Any) -> dict[str, Any]:
    return {
        "name": "impilo",
        "type": "REST",
        "profile": "impilo",
        "endpoint": f"{url}{stand_in.BASE}",
        "auth": {"scheme": "apiKey", "header": "Impilo-API-Key", "key": stand_in.API_KEY},
        "sync": {"mode": "webhook", "secret": SECRET},
        "rateLimit": {"requests": 1000},
        "options": options,
        "allow_networks": ["127.0.0.0/8"],
    }


@pytest.fixture
async def clinic(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Clinic]:
    partner = stand_in.create()
    with serve.running(partner) as url, post_box.opened() as post:
        async with opened(tmp_path, **QUICK) as desk:
            clinic = Clinic(desk, partner, url, post)
            desk.connect(connector(url, units={"weight": "kg"}))
            await register(clinic)
            yield clinic


def phone_of(patient: Resource) -> str:
    [found] = [one["value"] for one in patient["telecom"] if one["system"] == "phone"]
    return str(found)


async def register(clinic: Clinic) -> None:
    """As the registry does when the connector is made."""
    key = {"Impilo-API-Key": stand_in.API_KEY}
    peer = Peer("impilo", f"{clinic.url}{stand_in.BASE}", key, networks(["127.0.0.0/8"]))
    side = Side(OURS, SYSTEM, options=impilo.Options())
    async with Outbound() as outbound:
        await outbound.run(impilo.register(Hook(clinic.post.url, SECRET), side), peer)


@pytest.mark.parametrize("envelope", ["guide", "seed"])
async def test_an_edit_there_comes_here_by_either_envelope(clinic: Clinic, envelope: str) -> None:
    await clinic.control("/_knobs", {"envelope": envelope})
    told = await clinic.control("/_edit/101", {"set": {"phoneNumber": "555-010-4444"}})
    assert told["webhooks"] == [200]
    assert await clinic.hand_over() == [200]
    await clinic.settled()
    ines = await clinic.ines()
    assert ines["name"] == [{"family": "Sample", "given": ["Ines"]}] and ines["birthDate"] == "1974-03-09"
    assert phone_of(ines) == "555-010-4444"
    assert ines["active"] is True and ines["managingOrganization"]["display"] == "North Clinic"


async def test_a_new_patient_goes_there_once_and_its_echo_changes_nothing(clinic: Clinic) -> None:
    bob = {
        "resourceType": "Patient",
        "name": [{"use": "official", "family": "Builder", "given": ["Bob"]}],
        "birthDate": "1970-05-06",
        "telecom": [{"system": "phone", "use": "mobile", "value": "+1 555 010 7788"}],
    }
    our_id = await clinic.desk.made_id(bob)
    await clinic.post.arrived(1)  # patient.created, for what we made ourselves
    await clinic.settled()
    before, writes = clinic.desk.sequence(), len(clinic.partner.log)
    assert await clinic.hand_over() == [200]
    await clinic.settled()
    assert clinic.desk.sequence() == before, "an echo is no edit"
    held = (await clinic.patients())[1]
    assert (held["externalIdentifier"], held["firstName"], held["lastName"]) == (our_id, "Bob", "Builder")
    assert [one["method"] for one in clinic.partner.log[writes:]] == ["GET"], "it was read again, and nothing written"
    assert {"system": SYSTEM, "value": str(held["id"])} in (await clinic.desk.read(f"/Patient/{our_id}"))["identifier"]


async def test_an_edit_here_is_a_patch_there_and_theirs_survives_beside_it(clinic: Clinic) -> None:
    await clinic.control("/_edit/101", {"set": {}})
    await clinic.hand_over()
    await clinic.settled()
    ines = await clinic.ines()
    await clinic.control("/_edit/101", {"set": {"email": "ines@new.example"}, "tell": False})
    ines["birthDate"] = "1974-03-19"
    assert (await clinic.desk.fhir("PUT", f"/Patient/{ines['id']}", ines)).status_code == 200
    await clinic.settled()
    held = (await clinic.patients())[0]
    assert (held["dateOfBirth"], held["email"]) == ("1974-03-19", "ines@new.example")
    assert held["externalIdentifier"] == "clinic-0001" and held["address"]["note"] == "Ring twice"
    written = [one for one in clinic.partner.log if one["method"] == "PATCH"]
    assert {"firstName", "lastName", "dateOfBirth"} <= written[0]["body"].keys()
    assert "email" not in written[0]["body"], "a partial write"
    mails = [one["value"] for one in (await clinic.ines())["telecom"] if one["system"] == "email"]
    assert mails == ["ines@new.example"], "read before it was written"


async def test_a_late_event_changes_nothing_newer(clinic: Clinic) -> None:
    await clinic.control("/_edit/101", {"set": {"phoneNumber": "555-010-1111"}})
    late = clinic.post.letters.pop()
    await clinic.control("/_edit/101", {"set": {"phoneNumber": "555-010-2222"}})
    await clinic.hand_over()
    await clinic.settled()
    before = clinic.desk.sequence()
    assert await clinic.tell(late[1]) == 200  # 105 minutes later, by their third retry
    await clinic.settled()
    assert clinic.desk.sequence() == before
    assert phone_of(await clinic.ines()) == "555-010-2222"


READINGS = {
    "weight": (
        {"weight": Decimal("71.20")},
        {"value": "71.20", "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    ),
    "temperature": ({"temperature": 37.1}, {"value": "37.1"}),
    "bloodGlucose": ({"bloodGlucose": 97}, {"value": "97"}),
    "bloodOxygen": ({"bloodOxygen": 98}, {"value": "98", "code": "%"}),
    "bloodPressure": ({"systolic": 120, "diastolic": 80, "heartRate": 66}, None),
}


@pytest.mark.parametrize("kind", READINGS)
async def test_a_reading_is_an_observation_of_its_patient(clinic: Clinic, kind: str) -> None:
    values, quantity = READINGS[kind]
    asked = {"patientId": 101, "readingTimestamp": "2026-03-04T08:30:00Z", **values}
    await clinic.control(f"/_reading/{kind}", asked)
    assert await clinic.hand_over() == [200]
    await clinic.settled()
    ines = await clinic.ines()
    [observation] = await clinic.desk.found(f"/Observation?patient=Patient/{ines['id']}")
    assert observation["subject"] == {"reference": f"Patient/{ines['id']}"}
    assert observation["status"] == "final" and observation["effectiveDateTime"] == "2026-03-04T08:30:00Z"
    if quantity is not None:
        found = {name: str(value) for name, value in observation["valueQuantity"].items()}
        assert found.items() >= quantity.items() and ("unit" in found) == ("code" in quantity)
    else:
        assert observation["code"]["coding"][0]["code"] == "85354-9"
        parts = {one["code"]["coding"][0]["code"]: one["valueQuantity"]["value"] for one in observation["component"]}
        assert parts == {"8480-6": 120, "8462-4": 80, "8867-4": 66}


async def test_their_test_event_is_a_reading_like_others(clinic: Clinic) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"{clinic.url}{stand_in.BASE}/test/blood-pressure-webhook"
        body = {"patientId": 101, "systolic": 120, "diastolic": 80, "heartRate": 100}
        headers = {"Impilo-API-Key": stand_in.API_KEY}
        assert (await client.post(url, content=json.encode(body), headers=headers)).status_code == 200
    await clinic.post.arrived(1)
    assert await clinic.hand_over() == [200]
    await clinic.settled()
    assert clinic.desk.counts().get("Observation") == 1


async def test_the_same_event_twice_is_one_message(clinic: Clinic) -> None:
    clinic.partner.set(duplicate_webhooks=True)
    await clinic.control("/_reading/weight", {"patientId": 101, "weight": 70})
    assert len(clinic.post.letters) == 2 and await clinic.hand_over() == [200, 200]
    await clinic.settled()
    assert len(clinic.desk.messages()) == 1 and clinic.desk.counts()["Observation"] == 1


async def test_an_event_of_another_type_is_another_event_whatever_its_id(clinic: Clinic) -> None:
    """Their pages print one id for events of several types."""
    reading = {"id": 3, "weight": 70, "patient": {"id": 101}}
    for kind, payload in (("patient.updated", {"id": 101}), ("reading.weight", reading)):
        assert await clinic.tell(json.encode({"id": 7, "type": kind, "payload": payload})) == 200
    await clinic.settled()
    assert clinic.desk.counts()["Observation"] == 1


@pytest.mark.parametrize("secret", ["", "guessed", SECRET + " "])
async def test_an_event_without_the_secret_is_refused_and_not_kept(clinic: Clinic, secret: str) -> None:
    await clinic.control("/_edit/101", {"set": {"phoneNumber": "555-010-6666"}})
    assert await clinic.tell(clinic.post.letters[0][1], secret=secret) == 401
    assert clinic.desk.messages() == [] and "Patient" not in clinic.desk.counts()


@pytest.mark.parametrize("kind", ["order.status", "device.lowBattery", "patient.merged", "unheard.of"])
async def test_what_is_not_kept_in_step_is_ignored(clinic: Clinic, kind: str) -> None:
    assert await clinic.tell(json.encode({"id": 5, "type": kind, "payload": {"id": 9}})) == 200
    await clinic.settled()
    [message] = clinic.desk.messages()
    assert message.state == "applied" and not clinic.desk.counts() and not message.issues


@pytest.mark.parametrize("kind", ["ecg", "peakFlow", "sleepMatActivity", "sleepMatDuration"])
async def test_a_reading_of_which_nothing_is_made_is_named_beside_its_message(clinic: Clinic, kind: str) -> None:
    assert await clinic.tell(json.encode({"id": 5, "type": f"reading.{kind}", "payload": {"id": 9}})) == 200
    await clinic.settled()
    [message] = clinic.desk.messages()
    assert message.state == "applied" and not clinic.desk.counts(), "nothing is invented"
    [issue] = json.decode(message.issues or b"[]")
    assert issue["expression"] == [f"reading.{kind}"]


async def test_their_archived_patient_is_inactive(clinic: Clinic) -> None:
    await clinic.control("/_edit/101", {"set": {"archived": True}})
    await clinic.hand_over()
    await clinic.settled()
    assert (await clinic.ines())["active"] is False


BOB: Resource = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Builder", "given": ["Bob"]}],
    "birthDate": "1970-05-06",
    "telecom": [
        {"system": "phone", "use": "work", "value": "+1 555 010 1111"},
        {"system": "phone", "use": "mobile", "value": "+1 555 010 7788"},
        {"system": "fax", "value": "+1 555 010 3333"},
    ],
}


async def test_a_create_whose_answer_was_lost_makes_one(clinic: Clinic) -> None:
    clinic.partner.set(drop="after", methods=("POST",), times=1)
    our_id = await clinic.desk.made_id(BOB)
    await clinic.settled()
    assert [one["externalIdentifier"] for one in await clinic.patients()] == ["clinic-0001", our_id]


async def test_the_phone_they_show_is_the_one_that_is_edited(clinic: Clinic) -> None:
    our_id = await clinic.desk.made_id(BOB)
    await clinic.settled()
    held = (await clinic.patients())[1]
    assert held["phoneNumber"] in [one["value"] for one in BOB["telecom"]]
    shown = next(one for one in BOB["telecom"] if one["value"] == held["phoneNumber"])
    clinic.post.letters.clear()
    await clinic.control(f"/_edit/{held['id']}", {"set": {"phoneNumber": "+1 555 010 9999"}})
    await clinic.hand_over()
    await clinic.settled()
    expected = [{**one, "value": "+1 555 010 9999"} if one == shown else one for one in BOB["telecom"]]
    found = (await clinic.desk.read(f"/Patient/{our_id}"))["telecom"]
    assert {one["value"]: one for one in found} == {one["value"]: one for one in expected}, "and no other"
    assert (await clinic.patients())[1]["phoneNumber"] == "+1 555 010 9999"


async def test_who_is_deleted_here_is_archived_there(clinic: Clinic) -> None:
    our_id = await clinic.desk.made_id(BOB)
    await clinic.settled()
    assert (await clinic.desk.fhir("DELETE", f"/Patient/{our_id}")).status_code in (200, 204)
    await clinic.settled()
    assert (await clinic.patients())[1]["archived"] is True
    assert (await clinic.desk.fhir("PUT", f"/Patient/{our_id}", {**BOB, "id": our_id})).status_code == 201
    await clinic.settled()
    assert (await clinic.patients())[1]["archived"] is False, "who says nothing is active (FHIR R4 Patient.active)"


async def test_a_patient_they_know_already_is_linked_by_the_customers_own_identifier(clinic: Clinic) -> None:
    """The clinic's number is a key here: the patient who has it is the one they hold."""
    external = {"system": impilo.Options().external_system, "value": "clinic-0001"}
    clinic.desk.connect({"name": "numbers", "profile": "intake", "push": False, "keySystems": [external["system"]]})
    ines = {
        "resourceType": "Patient",
        "identifier": [external],
        "name": [{"family": "Sample", "given": ["Ines"]}],
        "birthDate": "1974-03-09",
        "gender": "female",
    }
    our_id = await clinic.desk.made_id(ines)
    await clinic.settled()
    [held] = await clinic.patients()
    assert held["externalIdentifier"] == "clinic-0001", "kept"
    found = await clinic.desk.read(f"/Patient/{our_id}")
    assert {"system": SYSTEM, "value": "101"} in found["identifier"] and phone_of(found) == "555-010-2030"


async def test_a_twin_is_never_found_by_the_contact_data_of_her_family(clinic: Clinic) -> None:
    """MD5 of e-mail and phone is one for the family, and twins have one birth date."""
    clinic.desk.connect(connector(clinic.url, identifier_strategy="md5-email-phone"))
    shared = {"email": "example@example.com", "phoneNumber": "1234567890"}
    external = "874aa79c933a3d5b514fc7cd79fd17b3"
    await clinic.control("/_edit/101", {"set": {**shared, "externalIdentifier": external}, "tell": False})
    twin = {
        "resourceType": "Patient",
        "name": [{"family": "Sample", "given": ["Berta"]}],
        "birthDate": "1974-03-09",
        "telecom": [
            {"system": "phone", "value": "(123) 456-7890"},
            {"system": "email", "value": "Example@example.com"},
        ],
    }
    our_id = await clinic.desk.made_id(twin)
    await clinic.settled()
    [held] = await clinic.patients()
    assert (held["firstName"], held["dateOfBirth"]) == ("Ines", "1974-03-09"), "nothing was written over her sister"
    [refused] = clinic.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=10))
    assert "external identifier" in refused.error
    assert "identifier" not in await clinic.desk.read(f"/Patient/{our_id}")


async def test_who_shares_the_external_identifier_of_her_family_is_kept_in_step_without_it(clinic: Clinic) -> None:
    """Impilo takes it once (409). A second of the family is linked by Impilo's own id, so that nothing else waits."""
    clinic.desk.connect(connector(clinic.url, identifier_strategy="md5-email-phone"))
    shared = {"email": "fam@example.com", "phoneNumber": "5550101"}
    family = [{"system": "phone", "value": "5550101"}, {"system": "email", "value": "fam@example.com"}]
    dad: Resource = {"resourceType": "Patient", "name": [{"family": "Fox", "given": ["Dad"]}], "telecom": family}
    await clinic.desk.made_id({**dad, "birthDate": "1950-01-01"})
    await clinic.settled()
    clinic.post.letters.clear()
    await clinic.control("/_edit/101", {"set": {**shared, "externalIdentifier": None}})
    await clinic.hand_over()
    await clinic.settled()
    ines = await clinic.ines()
    edited = {**ines, "name": [{"family": "Fox", "given": ["Ines"]}]}
    assert (await clinic.desk.fhir("PUT", f"/Patient/{ines['id']}", edited)).status_code == 200
    await clinic.settled()
    held, other = await clinic.patients()
    assert held["lastName"] == "Fox" and not held.get("externalIdentifier") and other["firstName"] == "Dad"
    assert other["externalIdentifier"] and not clinic.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=9))


async def test_a_number_that_nobody_listed_as_a_key_finds_no_twin(clinic: Clinic) -> None:
    """A shared insurance number, or one typed for the sister: the birth date alone does not tell twins apart."""
    number = {"system": impilo.Options().external_system, "value": "clinic-0001"}
    twin = {"resourceType": "Patient", "identifier": [number], "name": [{"family": "Sample", "given": ["Berta"]}]}
    await clinic.desk.made_id({**twin, "birthDate": "1974-03-09"})
    await clinic.settled()
    [held] = await clinic.patients()
    assert (held["firstName"], held["phoneNumber"]) == ("Ines", "555-010-2030"), "nothing was written over her sister"
    [refused] = clinic.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=10))
    assert "external identifier" in refused.error


async def test_who_is_looked_for_is_who_would_be_made(clinic: Clinic) -> None:
    """Of several phones and addresses one is shown there, and of that the external identifier is made."""
    clinic.desk.connect(connector(clinic.url, identifier_strategy="md5-email-phone"))
    clinic.partner.set(drop="after", methods=("POST",), times=1)
    telecom = [
        {"system": "email", "use": "old", "value": "was@example.com"},
        {"system": "email", "value": "is@example.com"},
        {"system": "phone", "use": "work", "value": "555 0109"},
        {"system": "phone", "value": "555 0105"},
    ]
    await clinic.desk.made_id({**BOB, "telecom": telecom})
    await clinic.settled()
    _, held = await clinic.patients()
    assert (held["email"], held["phoneNumber"]) == ("is@example.com", "555 0105")
    assert not clinic.desk.ask(lambda reader: reader.deliveries(["due", "unknown", "rejected"], limit=9))


async def test_a_namesake_of_another_birth_date_is_never_linked(clinic: Clinic) -> None:
    external = {"system": impilo.Options().external_system, "value": "clinic-0001"}
    clinic.desk.connect({"name": "numbers", "profile": "intake", "push": False, "keySystems": [external["system"]]})
    other = {
        "resourceType": "Patient",
        "identifier": [external],
        "name": [{"family": "Other", "given": ["Olaf"]}],
        "birthDate": "1999-01-01",
    }
    our_id = await clinic.desk.made_id(other)
    await clinic.settled()
    [held] = await clinic.patients()
    assert (held["firstName"], held["dateOfBirth"]) == ("Ines", "1974-03-09"), "nothing was written over her"
    [refused] = clinic.desk.ask(lambda reader: reader.deliveries(["rejected"], limit=10))
    assert "agrees neither in name nor in birth date" in refused.error
    assert "telecom" not in await clinic.desk.read(f"/Patient/{our_id}")


async def test_a_comparison_asks_for_patients_only_as_readings_cannot_be_asked_for(clinic: Clinic) -> None:
    await clinic.control("/_reading/weight", {"patientId": 101, "weight": 71})
    assert await clinic.hand_over() == [200]
    await clinic.settled()
    assert clinic.desk.counts()["Observation"] == 1
    settings = clinic.desk.context.settings
    assert await reconcile.differences(settings, "impilo", repair=False) == []
    await clinic.control("/_edit/101", {"set": {"lastName": "Quill"}})
    found = await reconcile.differences(settings, "impilo", repair=False)
    assert [(one.kind, one.field) for one in found] == [("take", "name[-]")]
