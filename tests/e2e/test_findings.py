"""Findings: what was met while looking through a system is applied one by one, and nothing costs the rest."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.connectors.call import Found
from gateway.connectors.config import Config
from gateway.flow import Received
from gateway.intake import findings
from gateway.intake.findings import Landed

from .desk import Desk

pytestmark = pytest.mark.anyio

CLINIC = {
    "name": "clinic",
    "profile": "fhir",
    "endpoint": "http://127.0.0.1:9",
    "idSystem": "https://clinic.example/id",
}
ADA = {"resourceType": "Patient", "name": [{"family": "Quill", "given": ["Ada"]}], "birthDate": "1990-12-10"}
ORG = {"resourceType": "Organization", "name": "North ward"}
STAY = {
    "resourceType": "EpisodeOfCare",
    "status": "active",
    "patient": {"reference": "Patient/p_1"},
    "managingOrganization": {"reference": "Organization/7"},
}


def config_of(desk: Desk) -> Config:
    return desk.context.store.query_now(lambda reader: desk.context.flow.directory(reader).peer("clinic"))


async def take(desk: Desk, *founds: Found) -> list[Landed]:
    received = Received("clinic", None, "poll", "application/json", findings.message_body(founds))
    return await findings.take(desk.context.flow, received, config_of(desk), founds, read_start=datetime.now(UTC))


async def test_references_among_findings_point_at_ours_whatever_the_order(desk: Desk) -> None:
    desk.connect(CLINIC)
    landed = await take(
        desk, Found("EpisodeOfCare", "e1", STAY), Found("Patient", "p_1", ADA), Found("Organization", "7", ORG)
    )
    assert [one.error for one in landed] == [None, None, None]
    [stay, patient, org] = [one.applied.state for one in landed if one.applied and one.applied.state]
    body = (await desk.call("GET", f"/fhir/EpisodeOfCare/{stay.id}")).json()
    assert body["patient"] == {"reference": f"Patient/{patient.id}"}
    assert body["managingOrganization"] == {"reference": f"Organization/{org.id}"}


async def test_the_same_findings_again_change_nothing(desk: Desk) -> None:
    desk.connect(CLINIC)
    founds = (Found("Patient", "p_1", ADA), Found("Organization", "7", ORG))
    await take(desk, *founds)
    again = await take(desk, *founds)
    assert [(one.applied.before, one.applied.after) for one in again if one.applied] == [(1, 1), (1, 1)]


async def test_one_that_cannot_be_used_costs_none_of_the_rest_and_is_listed(desk: Desk) -> None:
    desk.connect(CLINIC)
    bad = {"resourceType": "Patient", "gender": "F"}
    landed = await take(desk, Found("Patient", "p_0", bad), Found("Patient", "p_1", ADA))
    assert [one.error is not None for one in landed] == [True, False]
    [message] = desk.store.query_now(lambda reader: reader.messages("failed", limit=5))
    assert message.error and "gender" in message.error and "Quill" not in message.error


async def test_nothing_is_written_by_foreseeing(desk: Desk) -> None:
    desk.connect(CLINIC)
    received = Received("clinic", None, "poll", "application/json", b"[]")
    [landed] = await findings.foresee(desk.context.flow, received, config_of(desk), [Found("Patient", "p_1", ADA)])
    assert landed.applied is not None and landed.applied.created
    assert (await desk.call("GET", "/fhir/Patient")).json()["total"] == 0


async def test_a_deleted_one_ends_its_record_and_not_the_patient(desk: Desk) -> None:
    desk.connect(CLINIC)
    [first] = await take(desk, Found("Patient", "p_1", ADA))
    assert first.applied and first.applied.state
    await take(desk, Found("Patient", "p_1", None))
    answer = await desk.call("GET", f"/fhir/Patient/{first.applied.state.id}")
    assert answer.json()["name"][0]["family"] == "Quill"
    assert "https://clinic.example/id" not in answer.text


@pytest.mark.parametrize(("kind", "body"), [("Patient", ADA), ("Organization", ORG)])
async def test_one_that_was_deleted_and_is_back_is_linked_again(desk: Desk, kind: str, body: dict[str, object]) -> None:
    """A read may miss it for a moment, or their user deletes it and thinks better of it."""
    desk.connect(CLINIC)
    await take(desk, Found(kind, "7", body))
    for _ in range(2):
        await take(desk, Found(kind, "7", None))
        assert desk.ask(lambda reader: reader.links_of("clinic", [(kind, "7")])) == {}
        [back] = await take(desk, Found(kind, "7", body))
        assert back.error is None and back.applied and not back.applied.created
        assert len(desk.ask(lambda reader: reader.links_of("clinic", [(kind, "7")]))) == 1
    [held] = await desk.found(f"/{kind}")
    assert held["meta"]["versionId"] == "1"
    assert kind != "Patient" or held["identifier"] == [{"system": "https://clinic.example/id", "value": "7"}]


VISIT = {
    "resourceType": "Encounter",
    "status": "finished",
    "class": {"code": "AMB"},
    "subject": {"reference": "Patient/p_1"},
    "diagnosis": [{"condition": {"reference": "Condition/c"}}],
}
REASON = {
    "resourceType": "Condition",
    "code": {"text": "Cough"},
    "subject": {"reference": "Patient/p_1"},
    "encounter": {"reference": "Encounter/v"},
}


async def test_what_refers_to_each_other_is_taken_together(desk: Desk) -> None:
    desk.connect(CLINIC)
    founds = (Found("Encounter", "v", VISIT), Found("Condition", "c", REASON), Found("Patient", "p_1", ADA))
    landed = await take(desk, *founds)
    assert [one.error for one in landed] == [None, None, None]
    [visit], [reason] = await desk.found("/Encounter"), await desk.found("/Condition")
    assert visit["diagnosis"][0]["condition"]["reference"] == f"Condition/{reason['id']}"
    assert reason["encounter"]["reference"] == f"Encounter/{visit['id']}"
    before = desk.sequence()
    await take(desk, *founds)
    assert desk.sequence() == before


async def test_one_that_is_in_doubt_is_held_and_costs_no_other(desk: Desk) -> None:
    desk.connect(CLINIC)
    landed = await take(desk, Found("Patient", "p_1", ADA), Found("Organization", "7", ORG, doubt="it is odd"))
    assert landed[0].error is None and landed[1].error is not None and "it is odd" in landed[1].error.message
    assert [(one.state, one.error) for one in desk.messages("held")] == [("held", "held: it is odd")]
    assert "Organization" not in desk.counts()


async def test_an_older_picture_undoes_nothing_newer(desk: Desk) -> None:
    desk.connect(CLINIC)
    for day, name in (("02", "South ward"), ("01", "North ward")):
        at = f"2026-01-{day}T00:00:00Z"
        await take(desk, Found("Organization", "7", {**ORG, "name": name}, at, dated=True))
    assert [one["name"] for one in await desk.found("/Organization")] == ["South ward"]


async def test_a_large_event_is_taken_in_parts_and_again_after_a_crash(desk: Desk) -> None:
    desk.connect(CLINIC)
    flow, config = desk.context.flow, config_of(desk)
    founds = [Found("Organization", str(at), {**ORG, "name": f"Ward {at}"}) for at in range(7)]
    received = Received("clinic", None, "webhook", "application/json", b"{}")
    await flow.store_first(received)
    look = findings.Look(flow, received, config, founds, datetime.now(UTC))
    await flow.store.write(lambda tx: look.take(tx, lots=[[0], [1], [2]], last=False))
    assert desk.messages("received"), "killed here, it is found again at the next start"
    landed = await findings.take(flow, received, config, founds, read_start=datetime.now(UTC), at_once=2)
    assert [one.error for one in landed] == [None] * 7
    assert [one.state for one in desk.messages()] == ["applied"]
    assert [one["meta"]["versionId"] for one in await desk.found("/Organization?_count=50")] == ["1"] * 7
