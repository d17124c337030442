"""Metriport as a client, end to end: a Patient here becomes one there, and what the networks know of her comes back."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.commands import reconcile
from gateway.connectors.call import Reply
from gateway.errors import PartnerRejected
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.intake.ingest import Ask
from gateway.sandbox import metriport
from gateway.systems.metriport import Metriport

from .desk import observation, patient
from .metriport_meeting import JANE, SYSTEM, Meeting, met
from .waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def meeting(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Meeting]:
    async with met(tmp_path) as found:
        yield found


async def test_a_patient_here_becomes_one_there(meeting: Meeting) -> None:
    made = await meeting.jane()
    [there] = await meeting.patients()
    assert (there["firstName"], there["lastName"], there["dob"], there["genderAtBirth"]) == (
        "Jane",
        "Smith",
        "1996-02-10",
        "F",
    )
    assert there["address"][0]["state"] == "AZ" and there["contact"] == [{"phone": "2025550180"}]
    await meeting.desk.store.write(lambda tx: None)
    ours = await meeting.desk.read(f"/Patient/{made}")
    assert {"system": SYSTEM, "value": there["id"]} in ours["identifier"]
    assert ours["telecom"] == JANE["telecom"] and ours["address"] == JANE["address"], (
        "their spelling is no edit of ours"
    )


async def test_the_key_is_kept_and_never_shown_and_the_ping_is_answered(meeting: Meeting) -> None:
    await meeting.listen()
    key = (await meeting.theirs("GET", "/settings"))["webhookKey"]
    said = await meeting.operate("settings")
    assert key and key not in said.text and said.json()["webhookUrl"].endswith("/api/webhooks/metriport")
    assert meeting.desk.ask(lambda reader: reader.secrets("metriport"))["webhook_secret"] == key
    assert not [one for one in meeting.desk.messages() if one.kind == "webhook"], "a handshake is no message"


async def test_a_new_key_is_made_by_taking_the_address_away(meeting: Meeting) -> None:
    await meeting.listen()
    old = (await meeting.theirs("GET", "/settings"))["webhookKey"]
    await meeting.operate("set-webhook", webhookUrl="")
    await meeting.listen()
    new = (await meeting.theirs("GET", "/settings"))["webhookKey"]
    assert old != new == meeting.desk.ask(lambda reader: reader.secrets("metriport"))["webhook_secret"]


async def registered(meeting: Meeting, name: str) -> httpx.Response:
    """Metriport made as a connector by the registry, which can be reached where it says that it is."""
    object.__setattr__(meeting.desk.context.registry, "public", meeting.here)
    auth = {"scheme": "apiKey", "header": "x-api-key", "key": metriport.API_KEY}
    sync = {"mode": "webhook", "signature": "metriport"}
    body = {"name": name, "profile": "metriport", "endpoint": meeting.url, "auth": auth, "sync": sync, "push": False}
    body |= {"allow_networks": ["127.0.0.0/8"]}
    path = "/api/external-connectors"
    return await meeting.desk.call("POST", path, body, key=meeting.operator, kind="application/json")


async def test_the_registry_sets_the_address_of_the_webhooks_and_keeps_their_key(meeting: Meeting) -> None:
    made = await registered(meeting, "networks")
    assert (made.status_code, made.json()["status"]) == (201, "connected"), made.text
    settings = await meeting.theirs("GET", "/settings")
    assert settings["webhookUrl"] == f"{meeting.here}/api/webhooks/networks"
    assert meeting.desk.ask(lambda reader: reader.secrets("networks"))["webhook_secret"] == settings["webhookKey"]
    assert settings["webhookKey"] not in made.text

    async def enabled() -> bool:
        return bool((await meeting.theirs("GET", "/settings/webhook"))["webhookEnabled"])

    await until(enabled)


async def test_the_registry_takes_no_address_of_somebody_else_away(meeting: Meeting) -> None:
    await meeting.listen()
    before = await meeting.theirs("GET", "/settings")
    assert (await registered(meeting, "networks")).status_code == 201
    assert await meeting.theirs("GET", "/settings") == before


async def test_a_network_query_brings_her_data_in_as_fhir_under_our_patient(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    asked = await meeting.operate(
        "network-query", patient=jane, sources=["hie", "pharmacy", "lab"], metadata={"a": "b"}
    )
    assert asked.status_code == 200, asked.text
    assert [one["type"] for one in asked.json()["sources"]] == ["hie", "pharmacy", "lab"]
    for kind in ("network-query.hie", "network-query.pharmacy", "network-query.lab"):
        await meeting.settled(kind)
    desk = meeting.desk
    conditions = await desk.found(f"/Condition?patient={jane}")
    assert {one["code"]["text"] for one in conditions} == {
        "Depressive disorder",
        "Generalized anxiety disorder",
        "Insomnia",
    }
    requests = await desk.found(f"/MedicationRequest?patient={jane}")
    [author] = await desk.found("/Practitioner")
    assert {one["requester"]["reference"] for one in requests} == {f"Practitioner/{author['id']}"}
    [report] = await desk.found(f"/DiagnosticReport?patient={jane}")
    observations = {f"Observation/{one['id']}" for one in await desk.found(f"/Observation?patient={jane}")}
    assert {one["reference"] for one in report["result"]} <= observations and len(observations) == 4
    [tsh] = [
        one for one in await desk.found(f"/Observation?patient={jane}") if one["code"]["coding"][0]["code"] == "3016-3"
    ]
    assert str(tsh["valueQuantity"]["value"]) == "2.10", "every digit"
    assert desk.counts()["Patient"] == 1, "their own Patient is no second one"


async def test_the_same_data_again_change_nothing(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    await meeting.operate("network-query", patient=jane, sources="hie,pharmacy,lab")
    await meeting.settled("network-query.lab")
    found = (await meeting.operate("consolidated-search", patient=jane, query="sertraline")).json()["entry"]
    assert [one["resource"]["resourceType"] for one in found] == ["MedicationRequest"]
    before = meeting.desk.sequence()
    taken = await meeting.operate("consolidated", patient=jane)
    assert taken.json()["refused"] == 0 and taken.json()["taken"] == 14
    assert meeting.desk.sequence() == before


@pytest.mark.parametrize("event", ["admit", "transfer", "discharge"])
async def test_a_hospital_event_brings_the_encounter_and_what_it_refers_to(meeting: Meeting, event: str) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    await meeting.play(f"_events/{event}/{await meeting.their_id(jane)}")
    await meeting.settled(f"patient.{event}")
    [stay] = await meeting.desk.found(f"/Encounter?patient={jane}")
    assert stay["status"] == ("finished" if event == "discharge" else "in-progress")
    for path in (
        stay["location"][0]["location"]["reference"],
        stay["participant"][0]["individual"]["reference"],
        stay["diagnosis"][0]["condition"]["reference"],
    ):
        await meeting.desk.read(f"/{path}")
    assert stay["subject"]["reference"] == f"Patient/{jane}"


async def test_admit_then_discharge_are_one_encounter(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    theirs = await meeting.their_id(jane)
    for event in ("admit", "discharge"):
        await meeting.play(f"_events/{event}/{theirs}")
        await meeting.settled(f"patient.{event}")
    [stay] = await meeting.desk.found(f"/Encounter?patient={jane}")
    assert (stay["status"], stay["meta"]["versionId"]) == ("finished", "2")


async def test_an_admit_that_comes_after_its_discharge_opens_the_stay_again_for_nobody(meeting: Meeting) -> None:
    """A webhook that failed and is sent again later: what it tells of was so then."""
    jane = await meeting.jane()
    await meeting.listen()
    theirs = await meeting.their_id(jane)
    for event in ("discharge", "admit"):
        await meeting.play(f"_events/{event}/{theirs}")
        await meeting.settled(f"patient.{event}")
    [stay] = await meeting.desk.found(f"/Encounter?patient={jane}")
    assert stay["status"] == "finished" and stay["period"]["end"]


@pytest.mark.parametrize("kind", ["json", "pdf"])
async def test_a_consolidated_query_comes_back_by_webhook(meeting: Meeting, kind: str) -> None:
    jane = await meeting.jane()
    await meeting.operate("network-query", patient=jane)

    async def counted() -> bool:
        said = await meeting.operate("consolidated-count", patient=jane)
        return bool(said.json()["total"] == 14)

    await until(counted)
    await meeting.listen()
    asked = await meeting.operate("consolidated-query", patient=jane, conversionType=kind, resources="Condition")
    assert asked.json()["status"] == "processing"
    await meeting.settled("medical.consolidated-data")
    if kind == "json":
        assert len(await meeting.desk.found(f"/Condition?patient={jane}")) == 3
        assert await meeting.desk.found(f"/Observation?patient={jane}") == []
    else:
        [paper] = await meeting.desk.found(f"/DocumentReference?patient={jane}")
        assert paper["content"][0]["attachment"]["contentType"] == "application/pdf"


async def test_documents_arrive_with_their_files(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    await meeting.operate("document-query", patient=jane)
    await meeting.settled("medical.document-download")
    await meeting.settled("medical.document-conversion")
    papers = await meeting.desk.found(f"/DocumentReference?patient={jane}")
    kinds = sorted(one["content"][0]["attachment"]["contentType"] for one in papers)
    assert kinds == ["application/pdf"] * 3 + ["application/xml", "image/png", "image/png"]
    [document] = [one for one in papers if one["content"][0]["attachment"]["contentType"] == "application/xml"]
    binary = await meeting.desk.read(f"/{document['content'][0]['attachment']['url']}")
    assert b"<ClinicalDocument" in base64.b64decode(binary["data"])
    before = meeting.desk.sequence()
    await meeting.operate("document-bulk", patient=jane)
    await meeting.settled("medical.document-bulk-download-urls")
    assert meeting.desk.sequence() == before, "the same files by another event"


@pytest.mark.parametrize("last", ["event", "bundle"])
async def test_what_events_and_bundles_say_of_a_document_is_one_reference(meeting: Meeting, last: str) -> None:
    """Their consolidated data have the DocumentReference of a file that an event brought: who wrote it, where it lies
    there. Neither undoes the other, and the same again changes nothing."""
    jane = await meeting.jane()
    await meeting.listen()
    theirs, desk = await meeting.their_id(jane), meeting.desk
    await meeting.operate("document-query", patient=jane)
    await meeting.settled("medical.document-download")
    listed = (await meeting.operate("documents", patient=jane)).json()["documents"]
    title = listed[0]["content"][0]["attachment"]["title"]
    described: Resource = {
        "resourceType": "DocumentReference",
        "id": listed[0]["id"],
        "status": "current",
        "subject": {"reference": f"Patient/{theirs}"},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "Hill Hospital"}],
        "author": [{"reference": "#o"}],
        "content": [
            {
                "attachment": {"contentType": "application/xml", "url": "https://files.example/1", "title": title},
                "format": {"system": "urn:oid:1.3.6.1.4.1.19376.1.2.3", "code": "urn:ihe:pcc:xphr:2007"},
            }
        ],
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": described}]}
    client = Metriport(desk.context.flow, answering(bundle), public=meeting.here)
    steps = ("bundle", "event", "event") if last == "event" else ("bundle", "event", "bundle", "bundle")
    for step in steps:
        before = desk.sequence()
        if step == "bundle":
            said = await client.run("metriport", "consolidated", {"patient": jane})
            assert said.json["taken"] == 1
        else:
            await meeting.operate("document-bulk", patient=jane)
            await meeting.settled("medical.document-bulk-download-urls")
        papers = await desk.found(f"/DocumentReference?patient={jane}")
        [one] = [paper for paper in papers if paper.get("author")]
        assert len(papers) == 6 and one["contained"][0]["name"] == "Hill Hospital"
        [content] = one["content"]
        assert content["format"]["code"] == "urn:ihe:pcc:xphr:2007" and content["attachment"]["title"] == title
        binary = await desk.read(f"/{content['attachment']['url']}")
        assert binary["resourceType"] == "Binary"
        assert one["masterIdentifier"] == {"system": SYSTEM, "value": f"DocumentReference/{described['id']}"}
    assert desk.sequence() == before, "the same again changes nothing"


async def test_a_document_can_be_fetched_and_given(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.operate("document-query", patient=jane)
    listed = (await meeting.operate("documents", patient=jane)).json()["documents"]
    name = next(one["content"][0]["attachment"]["title"] for one in listed if "xml" in str(one["content"]))
    said = await meeting.operate("document", fileName=name)
    assert said.content.startswith(b"<?xml") and said.headers["content-disposition"] == "attachment"
    path = f"/api/connectors/metriport/metriport/document-upload?patient={jane}&description=Letter"
    given = await meeting.desk.call("POST", path, b"%PDF-1.4 hello", key=meeting.operator, kind="application/pdf")
    assert set(given.json()) == {"documentReferenceId"}, "the address of the upload is of no use to anybody else"
    assert len((await meeting.operate("documents", patient=jane)).json()["documents"]) == 7


async def test_a_message_is_sent_and_its_fate_is_known_here(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    [found] = (await meeting.operate("destinations", name="cardiology")).json()["destinations"]
    arguments = {"destination": found["destination"], "subject": "Referral", "body": "Please see her."}
    sent = await meeting.operate("send-message", patient=jane, **arguments)
    assert (sent.json()["resourceType"], sent.json()["status"]) == ("Communication", "in-progress")
    await meeting.settled("message.status")
    [kept] = await meeting.desk.found(f"/Communication?patient={jane}")
    assert kept["status"] == "completed" and kept["payload"] == [{"contentString": "Please see her."}]
    await meeting.play(f"_message/{await meeting.their_id(jane)}", {"subject": "Reply", "body": "She was seen."})
    await meeting.settled("message.received")
    assert len(await meeting.desk.found(f"/Communication?patient={jane}")) == 2
    assert len((await meeting.operate("messages", patient=jane, direction="received")).json()["messages"]) == 1


async def test_individual_access_needs_a_proofed_identity_and_a_second_factor(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    refused = await meeting.operate("network-query", patient=jane, purposeOfUse="ias")
    assert refused.status_code == 400 and "proofedIdentityId and aal2Session" in refused.text
    session = (await meeting.operate("identity-session", patient=jane, redirectUrl="https://app.example/back")).json()
    await visit(session["sessionUrl"])
    await meeting.settled("ias.identity.verified")
    [identity] = (await meeting.operate("identities")).json()["identities"]
    assert identity["patientId"] == await meeting.their_id(jane)
    named = {"proofedIdentityId": identity["proofedIdentityId"]}
    challenge = await meeting.operate("aal2-challenge", redirectUrl="https://app.example/back", **named)
    back = await visit(challenge.json()["challengeUrl"])
    session_id = parse_qs(urlsplit(back).query)["aal2SessionId"][0]
    assert (
        await meeting.operate("network-query", patient=jane, purposeOfUse="ias", aal2Session="x", **named)
    ).status_code == 502
    asked = await meeting.operate("network-query", patient=jane, purposeOfUse="ias", aal2Session=session_id, **named)
    assert asked.json()["status"] == "processing"
    await meeting.settled("network-query.lab")
    assert len(await meeting.desk.found(f"/Condition?patient={jane}")) == 3


async def visit(url: str) -> str:
    """Where a browser is sent back to."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return str((await client.get(url)).headers["location"])


async def test_what_others_told_us_of_her_is_contributed_and_what_they_told_us_is_not(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.listen()
    await meeting.operate("network-query", patient=jane)
    await meeting.settled("network-query.lab")
    for number in range(60):
        await meeting.desk.made_id(observation(f"Patient/{jane}", ("https://clinic.example/obs", str(number))))
    said = await meeting.operate("contribute", patient=jane)
    assert said.json() == {"sent": 60, "refused": []}
    puts = [one for one in meeting.partner.log if one["method"] == "PUT" and one["path"].endswith("/consolidated")]
    assert [len(one["body"]["entry"]) for one in puts] == [50, 10], "the sandbox takes 50 at once"
    subjects = {entry["resource"]["subject"]["reference"] for one in puts for entry in one["body"]["entry"]}
    assert subjects == {f"Patient/{await meeting.their_id(jane)}"}


def answering(answer: Any) -> Ask:
    """Their side, which answers everything so."""

    async def ask(_: Any, made: Any) -> Any:
        next(made)
        try:
            made.send(Reply(200, {"content-type": "application/json"}, json.encode(answer)))
        except StopIteration as finished:
            return finished.value
        raise AssertionError("it asks for more")

    return ask


async def test_what_they_do_not_take_of_a_contribution_is_named(meeting: Meeting) -> None:
    jane = await meeting.jane()
    made = [
        await meeting.desk.made_id(observation(f"Patient/{jane}", ("https://clinic.example/obs", str(number))))
        for number in range(2)
    ]
    large = observation(f"Patient/{jane}", ("https://clinic.example/obs", "3")) | {"note": [{"text": "x" * 1_000_000}]}
    long = await meeting.desk.made_id(large)
    statuses = ("201 Created", "422 Unprocessable Entity")
    answer = {"resourceType": "Bundle", "entry": [{"response": {"status": status}} for status in statuses]}
    client = Metriport(meeting.desk.context.flow, answering(answer), public=meeting.here)
    said = await client.run("metriport", "contribute", {"patient": jane})
    assert said.json == {"sent": 1, "refused": [f"Observation/{long}", f"Observation/{made[1]}"]}


@pytest.mark.parametrize("answer", [None, [], {"resourceType": "OperationOutcome"}])
async def test_what_is_no_bundle_is_their_fault(meeting: Meeting, answer: Any) -> None:
    jane = await meeting.jane()
    client = Metriport(meeting.desk.context.flow, answering(answer), public=meeting.here)
    with pytest.raises(PartnerRejected):
        await client.run("metriport", "consolidated", {"patient": jane})


async def test_patients_are_created_in_bulk(meeting: Meeting) -> None:
    await meeting.listen()
    rows = (
        "externalId,firstName,lastName,dob,genderAtBirth,addressLine1,city,state,zip\n"
        "a-1,Ada,Quill,1980-02-22,F,1 Mill Lane,Alder,OH,43999\n"
        "a-2,Bea,Quill,1981-02-22,F,,Alder,OH,43999\n"
    )
    path = "/api/connectors/metriport/metriport/bulk-create"
    for dry in ("true", "false"):
        said = await meeting.desk.call(
            "POST", f"{path}?dryRun={dry}", rows.encode(), key=meeting.operator, kind="application/octet-stream"
        )
        assert said.json()["status"] == "waiting"

        async def done(request: str = said.json()["requestId"]) -> bool:
            state = (await meeting.operate("bulk-status", request=request)).json()
            return (state["status"], state.get("successful"), state.get("failed")) == ("completed", 1, 1)

        await until(done)
        assert len(await meeting.patients()) == (0 if dry == "true" else 1)

    async def here() -> bool:
        return meeting.desk.counts().get("Patient") == 1

    await until(here)


async def test_the_summary_the_token_and_the_rest(meeting: Meeting) -> None:
    jane = await meeting.jane()
    assert (await meeting.operate("summary", patient=jane, conversionType="pdf")).status_code == 404
    await meeting.operate("network-query", patient=jane)

    async def made() -> bool:
        return "pdfCreatedAt" in (await meeting.operate("summary-status", patient=jane)).json()

    await until(made)
    assert (await meeting.operate("summary", patient=jane, conversionType="pdf")).content.startswith(b"%PDF")
    assert len((await meeting.operate("embed-token", expirationInSeconds=3600)).json()["token"]) == 36
    assert (await meeting.operate("facilities")).json()["facilities"][0]["npi"] == "1234567893"
    assert (await meeting.operate("opt-out", patient=jane, hieOptOut=True)).json()["hieOptOut"] is True
    assert (await meeting.operate("network-entries", filter="alder")).json()["networkEntries"]
    matched = (await meeting.operate("match", patient=jane)).json()["match"]
    assert matched["externalId"] == jane


async def test_failed_webhooks_come_again_when_asked_and_count_once(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.operate("network-query", patient=jane, sources="pharmacy")

    async def failed() -> bool:
        said = (await meeting.operate("webhook-status")).json() or {}
        return bool(said.get("webhookRequestsFailed") == 1)

    await until(failed)
    await meeting.listen()
    await meeting.operate("webhook-retry")
    await meeting.settled("network-query.pharmacy")
    assert len(await meeting.desk.found(f"/MedicationRequest?patient={jane}")) == 2
    assert (await meeting.operate("webhook-status")).json()["webhookRequestsFailed"] == 0


async def test_only_an_operator_may_start_anything(meeting: Meeting) -> None:
    path = "/api/connectors/metriport/metriport/settings"
    assert (await meeting.desk.call("POST", path, {}, kind="application/json")).status_code == 403
    assert (await meeting.desk.call("POST", path, {}, key="", kind="application/json")).status_code == 401
    listed = await meeting.desk.call("GET", "/api/connectors/metriport/metriport", key=meeting.operator)
    assert listed.json()["network-query"]["required"] == ["patient"]
    for operation, arguments, status in (
        ("nothing", {}, 404),
        ("opt-out", {}, 400),
        ("settings", {"more": 1}, 400),
        ("summary-status", {"patient": "nobody"}, 404),
    ):
        assert (await meeting.operate(operation, **arguments)).status_code == status, operation
    other = await meeting.desk.call("GET", "/api/connectors/app/metriport/settings", key=meeting.operator)
    assert other.status_code in (400, 404)
    assert (await meeting.desk.call("GET", f"{path[:-8]}webhook-retry", key=meeting.operator)).status_code == 405


async def test_somebody_they_hold_already_is_linked_and_nothing_of_theirs_is_lost(meeting: Meeting) -> None:
    held = {
        "firstName": "Jane",
        "lastName": "Smith",
        "dob": "1996-02-10",
        "genderAtBirth": "F",
        "address": [
            {"addressLine1": "123 Arsenal St", "city": "Phoenix", "state": "AZ", "zip": "85300", "country": "USA"}
        ],
        "contact": [{"email": "jane@mail.example"}, {"phone": "2025550199"}],
    }
    await meeting.make(held)
    jane = await meeting.jane()
    [there] = await meeting.patients()
    assert there["externalId"] == jane

    async def both() -> bool:
        read = await meeting.desk.read(f"/Patient/{jane}")
        return {one["value"] for one in read["telecom"]} >= {"+1 (202) 555-0180", "jane@mail.example"}

    await until(both)
    [there] = await meeting.patients()
    assert {"phone": "2025550199"} in there["contact"], "a second contact of theirs stays"


async def test_another_externalid_there_is_put_before_a_person(meeting: Meeting) -> None:
    await meeting.make({**theirs_of(JANE), "externalId": "somebody-else"})
    await meeting.desk.made_id(JANE)
    row = await rejected(meeting)
    assert "another externalId" in row.error and len(await meeting.patients()) == 1
    assert (await meeting.patients())[0]["externalId"] == "somebody-else"


async def test_a_twin_whom_they_take_for_her_is_never_linked(meeting: Meeting) -> None:
    await meeting.make({**theirs_of(JANE), "firstName": "June"})
    await meeting.desk.made_id(JANE)
    row = await rejected(meeting)
    assert "name or birth date differs" in row.error
    assert "externalId" not in (await meeting.patients())[0]


async def test_what_they_require_and_we_lack_is_named(meeting: Meeting) -> None:
    await meeting.desk.made_id(patient("Nowhere", birthDate="1980-02"))
    row = await rejected(meeting)
    assert "Patient.birthDate (a whole day), Patient.address" in row.error
    assert await meeting.patients() == []


async def rejected(meeting: Meeting) -> Any:
    async def found() -> Any:
        rows = meeting.desk.ask(lambda reader: reader.deliveries(("rejected",), limit=10))
        return rows[0] if rows else None

    return await until(found)


def theirs_of(one: Resource) -> dict[str, Any]:
    [name], [address] = one["name"], one["address"]
    place = {"addressLine1": address["line"][0], "city": address["city"], "state": "AZ", "zip": address["postalCode"]}
    return {
        "firstName": name["given"][0],
        "lastName": name["family"],
        "dob": one["birthDate"],
        "genderAtBirth": "F",
        "address": [{**place, "country": "USA"}],
        "contact": [{"phone": "2025550180"}],
    }


async def test_an_edit_there_comes_here_and_an_edit_here_goes_there_and_then_it_is_quiet(meeting: Meeting) -> None:
    jane = await meeting.jane()
    theirs = await meeting.their_id(jane)
    await meeting.play(f"_edit/{theirs}", {"lastName": "Smith-Quill"})
    await meeting.operate("network-query", patient=jane)
    read = await meeting.desk.read(f"/Patient/{jane}")
    moved = {**read, "telecom": [{"system": "phone", "use": "home", "value": "(202) 555-0181"}]}
    answer = await meeting.desk.fhir("PUT", f"/Patient/{jane}", moved)
    assert answer.status_code == 200

    async def both() -> bool:
        here = await meeting.desk.read(f"/Patient/{jane}")
        [there] = await meeting.patients()
        return here["name"][0]["family"] == "Smith-Quill" == there["lastName"] and there["contact"] == [
            {"phone": "2025550181"}
        ]

    await until(both)
    owed = meeting.desk.ask(lambda reader: reader.deliveries(("due", "unknown", "rejected"), limit=10))
    assert owed == [] and SYSTEM in str(await meeting.desk.read(f"/Patient/{jane}"))


async def test_what_they_write_in_their_own_way_settles_after_one_exchange(meeting: Meeting) -> None:
    sex = {"url": "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex", "valueCode": "F"}
    phone = {"system": "phone", "use": "work", "value": "+49 89 1234"}
    mail = {"system": "email", "use": "work", "value": "J@x.example"}
    work = {"use": "work", "line": ["9 Way"], "city": "Alder", "state": "OH", "postalCode": "43999"}
    maiden = {"use": "maiden", "family": "Jones", "given": ["Jane"]}
    more = {
        "extension": [sex],
        "gender": "other",
        "name": [*JANE["name"], maiden],
        "telecom": [*JANE["telecom"], phone, mail],
        "address": [*JANE["address"], work],
    }
    jane = await meeting.jane(**more)
    await meeting.listen()
    for _ in range(2):
        await meeting.operate("network-query", patient=jane, sources="lab")
        await meeting.settled("network-query.lab")
    read = await meeting.desk.read(f"/Patient/{jane}")
    assert read["meta"]["versionId"] == "1", "nothing of theirs is an edit"
    assert {name: read[name] for name in more if name != "telecom"} == {
        name: more[name] for name in more if name != "telecom"
    }
    writes = [entry["method"] for entry in meeting.partner.log if entry["path"].startswith("/medical/v1/patient")]
    assert writes.count("PUT") == 0 and writes.count("POST") == 2, "a match and a create, no more"


async def test_looking_through_their_patients_finds_those_who_are_not_here(meeting: Meeting) -> None:
    jane = await meeting.jane()
    await meeting.make({**theirs_of(JANE), "firstName": "Nora", "dob": "1970-01-01", "externalId": "chart-7"})
    meeting.connect(sync={"mode": "polling", "signature": "metriport", "intervalSeconds": 0.1})

    async def both() -> bool:
        return meeting.desk.counts().get("Patient") == 2

    await until(both)
    [nora] = [one for one in await meeting.desk.found("/Patient") if one["name"][0]["given"] == ["Nora"]]
    assert {"system": f"{SYSTEM}/external-id", "value": "chart-7"} in nora["identifier"]
    assert (await meeting.desk.read(f"/Patient/{jane}"))["meta"]["versionId"] == "1"
    held = {one["firstName"]: one.get("externalId") for one in await meeting.patients()}
    assert held == {"Jane": jane, "Nora": "chart-7"}, "an externalId that somebody else gave is theirs"


async def test_a_comparison_of_both_sides_finds_what_differs_and_nothing_else(meeting: Meeting) -> None:
    jane = await meeting.jane()
    settings = meeting.desk.context.settings
    assert await reconcile.differences(settings, "metriport", repair=False) == []
    await meeting.listen()
    await meeting.operate("network-query", patient=jane, sources="hie")
    await meeting.settled("network-query.hie")
    assert await meeting.desk.found(f"/Condition?patient={jane}")
    assert await reconcile.differences(settings, "metriport", repair=False) == [], (
        "what webhooks bring is not asked for"
    )
    await meeting.play(f"_edit/{await meeting.their_id(jane)}", {"lastName": "Smith-Quill"})
    found = await reconcile.differences(settings, "metriport", repair=False)
    assert [(one.kind, one.field) for one in found] == [("take", "name[official]")]
