"""Who may do what: 401 and 403 for every interaction, revoked keys, and what the audit keeps."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.commands import keys

from .desk import CANVAS, FHIR, MRN, PUBLIC, Desk, bundle, decoded, entry, issue, observation, patient

pytestmark = pytest.mark.anyio

DOCUMENT = (Path(__file__).parents[2] / "fixtures" / "ccda" / "minimal.xml").read_bytes()
SEED = {"firstName": "Ada", "lastName": "Seed", "partnerId": "s-1"}

Asked = tuple[str, str, Any, str]

OPEN = {
    "/health",
    "/api/webhooks/{path:path}",
    "/api/webhooks/{path:path}/{type_}/{id_}",
    "/oauth/start/{ticket}",
    "/oauth/callback",
    "/medical/v1/download/{ticket}",
}
"""Their proof is a signature, a ticket or a state."""


def interactions(made: str) -> dict[str, tuple[Asked, str]]:
    """Every interaction on patient data, with the scope it needs."""
    body = {**observation(), "id": made}
    search = b"_id=x"
    form = "application/x-www-form-urlencoded"
    return {
        "create": (("POST", "/fhir/Observation", observation(), FHIR), "system/Observation.c"),
        "read": (("GET", f"/fhir/Observation/{made}", None, ""), "system/Observation.r"),
        "head": (("HEAD", f"/fhir/Observation/{made}", None, ""), "system/Observation.r"),
        "vread": (("GET", f"/fhir/Observation/{made}/_history/1", None, ""), "system/Observation.r"),
        "history": (("GET", f"/fhir/Observation/{made}/_history", None, ""), "system/Observation.r"),
        "update": (("PUT", f"/fhir/Observation/{made}", body, FHIR), "system/Observation.u"),
        "conditional update": (
            ("PUT", "/fhir/Observation?identifier=a|b", observation(), FHIR),
            "system/Observation.u",
        ),
        "search": (("GET", "/fhir/Observation", None, ""), "system/Observation.s"),
        "search by form": (("POST", "/fhir/Observation/_search", search, form), "system/Observation.s"),
        "transaction": (
            ("POST", "/fhir", bundle("transaction", entry("POST", "Observation", observation())), FHIR),
            "system/Observation.c",
        ),
        "seed": (("POST", CANVAS, SEED, "application/json"), "system/Patient.c"),
        "document": (("POST", "/api/documents", DOCUMENT, "application/xml"), "documents"),
        "convert": (("POST", "/convert/v1/ccda/to/fhir?patientId=p1", DOCUMENT, "application/xml"), "convert"),
        "conditional delete": (("DELETE", "/fhir/Observation?identifier=a|b", None, ""), "system/Observation.d"),
        "delete": (("DELETE", f"/fhir/Observation/{made}", None, ""), "system/Observation.d"),
    }


SCOPES = [
    *(f"system/Observation.{letter}" for letter in "cruds"),
    *(f"system/Patient.{letter}" for letter in "cruds"),
    "documents",
    "convert",
    "snapshot",
    "operator",
]


async def test_every_interaction_needs_a_key_and_its_own_scope(desk: Desk) -> None:
    made = await desk.made_id(observation())
    for name, ((method, path, body, kind), scope) in interactions(made).items():
        for key in ("", "gw_nobody", desk.key[:-1]):
            answer = await desk.call(method, path, body, key=key, kind=kind)
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer", name
        other = desk.add_key(f"all-but {name}", "app", *[one for one in SCOPES if one != scope])
        before = desk.sequence()
        assert (await desk.call(method, path, body, key=other, kind=kind)).status_code == 403, name
        assert desk.sequence() == before, name
        exact = desk.add_key(f"just {name}", "app", scope)
        assert (await desk.call(method, path, body, key=exact, kind=kind)).status_code < 300, name


async def test_who_may_not_read_is_not_shown_what_others_said(desk: Desk) -> None:
    """The stored form of a Patient holds more than its writer sent."""
    await desk.made_id(patient("Private", (MRN, "p"), telecom=[{"system": "phone", "value": "+1 555 0199"}]))
    writer = desk.add_key("writer", "other", "system/Patient.cu")
    reader = desk.add_key("reader", "other", "system/Patient.cru")
    body, full = patient("Private", (MRN, "p")), {"prefer": "return=representation"}
    transaction = bundle("transaction", entry("POST", "Patient", body))
    for method, path, sent in (
        ("POST", "/Patient", body),
        ("PUT", f"/Patient?identifier={MRN}|p", body),
        ("POST", "", transaction),
        ("POST", "", {**transaction, "type": "batch"}),
    ):
        answer = await desk.fhir(method, path, sent, key=writer, headers=full)
        assert answer.status_code == 200 and "0199" not in answer.text, path
        assert "0199" in (await desk.fhir(method, path, sent, key=reader, headers=full)).text


async def test_every_route_asks_who_it_is_before_it_reads_what_is_sent(desk: Desk) -> None:
    read: list[str] = []

    async def body(path: str) -> AsyncIterator[bytes]:
        read.append(path)
        yield b"not JSON"

    nothing = desk.add_key("nothing", "app", "snapshot")
    routes = [route for part in desk.app.routes for route in part.original_router.routes]  # type: ignore[attr-defined]
    asking = [(method, route.path) for route in routes if route.path not in OPEN for method in route.methods]
    assert len(asking) > 60
    for method, path in asking:
        asked = re.sub(r"\{.+?\}", "app", path)
        for key, status in (("", 401), (nothing, 403)):
            sent = {"authorization": f"Bearer {key}"} if key else {}
            content = body(path) if method in ("POST", "PUT", "PATCH") else None
            answer = await desk.client.request(method, f"{asked}?limit=x&by=x", content=content, headers=sent)
            assert answer.status_code == status, (method, path, answer.text)
    assert not read


async def test_what_needs_no_key(desk: Desk) -> None:
    for path in ("/health", "/fhir/metadata"):
        assert (await desk.call("GET", path, key="")).status_code == 200


async def test_the_framework_shows_nobody_which_routes_there_are(desk: Desk) -> None:
    for path in ("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"):
        assert (await desk.call("GET", path, key="")).status_code == 404, path


async def test_errors_come_in_the_form_that_the_callers_expect(desk: Desk) -> None:
    answer = await desk.fhir("GET", "/Patient", key="")
    assert answer.headers["content-type"] == FHIR and issue(answer)["code"] == "login"
    answer = await desk.document(DOCUMENT, key="nobody")
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == 401
    forbidden = await desk.fhir("GET", "/Patient", key=desk.add_key("x", "app", "documents"))
    assert issue(forbidden)["code"] == "forbidden" and "system/Patient.s" in issue(forbidden)["diagnostics"]


async def test_a_wildcard_scope_is_for_every_type(desk: Desk) -> None:
    key = desk.add_key("reader", "app", "system/*.rs")
    made = await desk.made_id(observation())
    assert (await desk.fhir("GET", f"/Observation/{made}", key=key)).status_code == 200
    assert (await desk.fhir("GET", "/Patient", key=key)).status_code == 200
    assert (await desk.fhir("POST", "/Patient", patient("No"), key=key)).status_code == 403


async def test_a_revoked_key_is_refused_within_a_second(desk: Desk) -> None:
    import asyncio

    key = desk.add_key("leaver", "app", "system/*.cruds")
    assert (await desk.fhir("GET", "/Patient", key=key)).status_code == 200
    keys.revoke(desk.store, "leaver")
    await asyncio.sleep(1.05)
    assert (await desk.fhir("GET", "/Patient", key=key)).status_code == 401


async def test_two_keys_of_one_holder_live_at_once(desk: Desk) -> None:
    old, new = desk.add_key("holder", "app", "system/*.rs"), desk.add_key("holder", "app", "system/*.rs")
    assert [(await desk.fhir("GET", "/Patient", key=key)).status_code for key in (old, new)] == [200, 200]


async def test_what_is_written_belongs_to_the_connector_of_the_key(desk: Desk) -> None:
    other = desk.add_key("other", "other")
    made = decoded(await desk.fhir("POST", "/Observation", observation(), key=other))["id"]
    [provenance] = await desk.found("/Provenance")
    assert provenance["agent"][0]["who"]["identifier"] == {"system": f"{PUBLIC}/connectors", "value": "other"}
    assert provenance["target"][0]["reference"].startswith(f"Observation/{made}")
    assert [one.connector for one in desk.messages()] == ["other"]


async def test_every_access_leaves_an_audit_row(desk: Desk) -> None:
    made = await desk.made_id(patient("Audited", (MRN, "1")))
    key = desk.add_key("auditor", "app")
    calls: list[tuple[str, str, Any, str, str]] = [
        ("GET", f"/Patient/{made}", None, "R", made),
        ("GET", f"/Patient/{made}/_history/1", None, "R", made),
        ("GET", f"/Patient/{made}/_history", None, "R", made),
        ("GET", f"/Patient?_id={made}", None, "E", ""),
        ("PUT", f"/Patient/{made}", {**patient("Changed"), "id": made}, "U", made),
        ("DELETE", f"/Patient/{made}", None, "D", made),
    ]
    for method, path, body, action, about in calls:
        answer = await desk.fhir(method, path, body, key=key)
        assert answer.status_code < 300
        row = (await desk.audits())[0]
        assert (row.principal, row.connector, row.action, row.type) == ("auditor", "app", action, "Patient"), path
        assert row.id == (about or None) and row.status // 100 == 2


async def test_a_write_is_audited_as_what_it_was(desk: Desk) -> None:
    """FHIR R4 AuditEvent.action: a delete that reads as an update hides that something is gone."""
    made = await desk.made_id(observation())
    rows = [(await desk.audits())[0]]
    await desk.fhir("PUT", f"/Observation/{made}", {**observation(status="amended"), "id": made})
    rows.append((await desk.audits())[0])
    await desk.fhir("DELETE", f"/Observation/{made}")
    rows.append((await desk.audits())[0])
    assert [(one.action, one.status) for one in rows] == [("C", 201), ("U", 200), ("D", 204)]
    assert {(one.type, one.id) for one in rows} == {("Observation", made)}
    await desk.transact(
        entry("POST", "Patient", patient("New", (MRN, "n"))), entry("POST", "Observation", observation())
    )
    [new] = await desk.found(f"/Patient?identifier={MRN}|n")
    row = (await desk.audits())[1]
    assert (row.action, row.type, row.id, row.status) == ("C", "Patient", new["id"], 201)
    await desk.transact(entry("POST", "Observation", observation()), entry("POST", "Observation", observation()))
    row = (await desk.audits())[0]
    assert (row.action, row.type, row.id, row.status) == ("U", None, None, 200), "one for the whole"


async def test_refused_writes_are_audited_too(desk: Desk) -> None:
    await desk.made_id(patient("Holder", (MRN, "1")))
    stranger = patient("Zed", (MRN, "1"), name=[{"family": "Zed", "given": ["Zoe"]}], birthDate="1950-05-05")
    for body, status in (
        (stranger, 409),
        (observation("Patient/nobody"), 400),
        ({**patient("Bad"), "gender": "w"}, 422),
    ):
        assert (await desk.post(body)).status_code == status
        assert (await desk.audits())[0].status == status


async def test_refused_reads_are_audited_too(desk: Desk) -> None:
    gone = await desk.made_id(observation())
    await desk.fhir("DELETE", f"/Observation/{gone}")
    for path, id_, status in (
        (f"/fhir/Observation/{gone}", gone, 410),
        ("/fhir/Patient/nobody", "nobody", 404),
        ("/fhir/Patient/nobody/_history", "nobody", 404),
        ("/fhir/Patient/nobody/_history/1", "nobody", 404),
        ("/patients/v2/nobody", "nobody", 404),
        ("/medical/v1/patient/nobody", "nobody", 404),
        ("/medical/v1/patient/nobody/consolidated", "nobody", 404),
        ("/medical/v1/document?patientId=nobody", "nobody", 404),
    ):
        assert (await desk.call("GET", path)).status_code == status
        row = (await desk.audits())[0]
        assert (row.action, row.id, row.status) == ("R", id_, status), path


async def test_what_is_tried_without_the_scope_is_audited_too(desk: Desk) -> None:
    key = desk.add_key("curious", "app", "snapshot")
    for method, path, action, type_ in (
        ("GET", "/fhir/Patient/1", "R", "Patient"),
        ("GET", "/fhir/Observation", "E", "Observation"),
        ("POST", "/fhir/Patient", "U", "Patient"),
        ("DELETE", "/fhir/Patient/1", "U", "Patient"),
        ("GET", "/medical/v1/patient/1", "R", "Patient"),
        ("POST", "/api/documents", "documents", None),
        ("GET", "/api/deliveries", "operator", None),
        ("GET", "/api/external-connectors", "connectors:read", None),
    ):
        assert (await desk.call(method, path, key=key)).status_code == 403
        row = (await desk.audits())[0]
        assert (row.principal, row.action, row.type, row.status) == ("curious", action, type_, 403), path


async def test_documents_and_seeds_are_audited_with_their_patient(desk: Desk) -> None:
    report = decoded(await desk.document(DOCUMENT))
    row = (await desk.audits())[0]
    assert (row.type, row.id, row.message_id) == ("Patient", report["patient"], report["message"])
    await desk.seed(SEED, desk.key)
    assert (await desk.audits())[0].type == "Patient"


async def test_reads_inside_a_bundle_are_audited(desk: Desk) -> None:
    made = await desk.made_id(patient("Audited"))
    for kind in ("transaction", "batch"):
        before = len(await desk.audits())
        await desk.fhir("POST", "", bundle(kind, entry("GET", f"Patient/{made}"), entry("GET", "Patient")))
        rows = (await desk.audits())[: len(await desk.audits()) - before]
        assert ("R", "Patient", made) in {(one.action, one.type, one.id) for one in rows}
        assert ("E", "Patient", None) in {(one.action, one.type, one.id) for one in rows}
