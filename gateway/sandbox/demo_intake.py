"""Demo, steps 1 to 4: three kinds of input come in, meet their patients, and reach the other sides."""

from __future__ import annotations

from functools import partial
from typing import Any

from .demo_check import Step, expect, until
from .demo_http import call
from .demo_inputs import (
    APP_ID,
    APP_SYSTEM,
    MRN,
    MRN_SYSTEM,
    PARTNER_ID,
    SEED,
    document,
    transaction,
)
from .demo_memory import Memory, family

SEED_PATH = "/plugin-io/api/example_patient_sync/patients"


def set_up(memory: Memory) -> list[Step]:
    stage = memory.stage

    def start() -> str:
        stage.gateway.start()
        return stage.gateway.url

    def configure() -> str:
        stage.set_up()
        return f"{len(stage.keys)} keys"

    def refuse() -> str:
        statuses = [call("GET", f"{stage.gateway.url}/fhir/Patient/1").status]
        statuses.append(stage.fhir("GET", "/Patient/1", headers={"Authorization": "Bearer wrong"}).status)
        analyst = {"Authorization": f"Bearer {stage.keys['analyst']}"}
        statuses.append(stage.fhir("POST", "/Patient", {"resourceType": "Patient"}, headers=analyst).status)
        expect(statuses == [401, 401, 403], f"answered {statuses} instead of 401, 401, 403")
        return "401, 401, 403"

    return [
        ("the gateway starts as a process of its own", start),
        ("connectors and keys are made by the command line", configure),
        ("no key, a wrong key and a key without the scope are refused", refuse),
    ]


def fhir_client(memory: Memory) -> list[Step]:
    def post() -> str:
        answer = memory.stage.fhir("POST", "/", transaction())
        expect(answer.status == 200, f"answered {answer.status}: {_first_issue(answer.json)}")
        statuses = [entry["response"]["status"][:3] for entry in answer.json["entry"]]
        expect(statuses == ["201"] * 4, f"entries answered {statuses}")
        return "4 entries created"

    def read() -> str:
        maria = memory.find_maria()
        memory.maria = maria["id"]
        identifiers = {(one.get("system"), one["value"]) for one in maria["identifier"]}
        expect({(MRN_SYSTEM, MRN), (APP_SYSTEM, APP_ID)} <= identifiers, "an identifier is missing")
        return f"Patient/{maria['id']}"

    def linked() -> str:
        observations = memory.stage.found(f"/Observation?patient={memory.maria}")
        expect(len(observations) == 2, f"{len(observations)} results refer to her instead of 2")
        encounters = {one["encounter"]["reference"] for one in observations}
        (encounter,) = encounters
        visit = memory.stage.fhir("GET", f"/{encounter}").json
        expect(visit["subject"]["reference"] == f"Patient/{memory.maria}", "the visit refers to somebody else")
        return "urn:uuid references were replaced by what they became"

    return [
        ("the transaction is accepted as a whole", post),
        ("she is found by her identifier, with both of them", read),
        ("her results and her visit refer to her", linked),
    ]


def rest_partner(memory: Memory) -> list[Step]:
    def send(body: Any) -> Any:
        headers = {"authorization": memory.stage.keys["partner"]}
        return call("POST", f"{memory.stage.gateway.url}{SEED_PATH}", body, headers=headers)

    def seed() -> str:
        answer = send(SEED)
        expect(answer.status == 202, f"answered {answer.status}")
        value = answer.json["external_identifier"]["value"]
        expect(value == PARTNER_ID, "the answer names another patient")
        return f"202, external identifier {value}"

    def nameless() -> str:
        status = send({name: value for name, value in SEED.items() if name != "lastName"}).status
        expect(status == 422, f"answered {status}")
        return "422"

    def stored() -> str:
        alice = until(memory.find_alice, "she is not there")
        memory.alice = alice["id"]
        facts = (family(alice), alice["birthDate"], alice["gender"])
        expect(facts == ("Example", "1980-02-22", "female"), f"she is stored as {facts}")
        return f"Patient/{alice['id']}"

    return [
        ("the request is answered with the external identifier", seed),
        ("a request without a name is refused", nameless),
        ("she is a FHIR Patient now, found by the partner's id", stored),
    ]


def clinic(memory: Memory) -> list[Step]:
    def post() -> str:
        answer = post_document(memory)
        expect(answer.status in (200, 201), f"answered {answer.status}: {answer.body[:300]!r}")
        named = answer.json["patient"]
        expect(memory.maria and memory.maria in str(named), "the document went to another patient")
        sections = answer.json["report"]["sections"]
        converted = sum(section["converted"] for section in sections)
        return f"{len(sections)} sections, {converted} entries converted, {len(answer.json['issues'])} issues"

    def enriched() -> str:
        maria = memory.find_maria()
        expect(maria["id"] == memory.maria, "she became another patient")
        phones = [one["value"] for one in maria.get("telecom", ())]
        expect(any("0142" in phone for phone in phones), "her phone number is missing")
        expect(family(maria) == "Example" and maria["birthDate"] == "1984-06-17", "what was known was changed")
        return f"version {maria['meta']['versionId']}, with the clinic's number, phone and address"

    def clinical() -> str:
        allergy = memory.only(f"/AllergyIntolerance?patient={memory.maria}")
        problem = memory.only(f"/Condition?patient={memory.maria}")
        codes = [one["code"]["coding"][0].get("code") for one in (allergy, problem)]
        originals = memory.stage.found(f"/DocumentReference?patient={memory.maria}")
        expect(len(originals) == 1, "the original document was not kept")
        return f"allergy {codes[0]}, problem {codes[1]}, and the original document"

    return [
        ("the document is taken for the patient it names", post),
        ("she is enriched; no second Patient appears", enriched),
        ("what the document tells is stored with her", clinical),
    ]


def post_document(memory: Memory) -> Any:
    headers = {"X-API-Key": memory.stage.keys["clinic"]}
    return call(
        "POST", f"{memory.stage.gateway.url}/api/documents", document(), headers=headers, kind="application/hl7-v3+xml"
    )


def other_sides(memory: Memory) -> list[Step]:
    def registry() -> str:
        for kind, count in (("Patient", 1), ("Observation", 2), ("AllergyIntolerance", 1)):
            until(partial(_have_arrived, memory, kind, count), f"{kind} did not arrive")
        bundles = [entry["body"] for entry in memory.stage.registry.writes()]
        requests = [entry["request"] for bundle in bundles for entry in bundle["entry"]]
        by_identifier = [one for one in requests if one["method"] == "PUT" and "identifier=" in one["url"]]
        expect(by_identifier, "no update by identifier was received")
        return f"{len(bundles)} Bundles, {len(by_identifier)} updates by identifier"

    def rest() -> str:
        until(lambda: memory.stage.at_partner(memory.maria).get("id"), "Maria did not arrive")
        until(lambda: _updates(memory, PARTNER_ID), "Alice's record was not updated")
        made = [(entry["method"], entry["path"]) for entry in memory.stage.partner.calls()]
        expect(("GET", f"/patients/v2/{memory.maria}") in made, "they were not asked for Maria first")
        expect(("POST", "/patients/v2") in made, "Maria was not created there")
        return "GET, POST to create, POST to update"

    def our_id() -> str:
        bodies = [entry["body"] for entry in memory.stage.partner.writes()]
        ids = {body.get("externalId") for body in bodies}
        expect(ids == {memory.maria, memory.alice}, f"external ids sent: {sorted(map(str, ids))}")
        return f"in {len(bodies)} of {len(bodies)} calls"

    def links() -> str:
        theirs = memory.stage.at_partner(memory.maria)["id"]
        registry_id = memory.at_registry("Patient", memory.maria)[0]["id"]
        until(
            lambda: {theirs, registry_id} <= {one["value"] for one in memory.find_maria()["identifier"]},
            "their ids are not shown in Patient.identifier",
        )
        return f"{theirs} and {registry_id}"

    return [
        ("the FHIR server has received Bundles with updates by identifier", registry),
        ("the REST partner has been asked, sent a new patient, then an update", rest),
        ("our id was in every call that wrote", our_id),
        ("their ids are linked to her", links),
    ]


def _have_arrived(memory: Memory, kind: str, count: int) -> bool:
    """Whether the FHIR stand-in holds each of her resources of that type, once."""
    ours = [memory.maria]
    if kind != "Patient":
        ours = [one["id"] for one in memory.stage.found(f"/{kind}?patient={memory.maria}")]
    held = [len(memory.at_registry(kind, our_id)) for our_id in ours]
    return held == [1] * count


def _updates(memory: Memory, remote_id: str) -> list[Any]:
    path = f"/patients/v2/{remote_id}"
    return [entry for entry in memory.stage.partner.writes() if entry["path"] == path and entry["status"] == 200]


def _first_issue(outcome: Any) -> str:
    issues = outcome.get("issue") or [{}]
    return f"{issues[0].get('expression', [''])[0]} {issues[0].get('diagnostics', '')}".strip()
