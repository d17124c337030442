"""Metriport's webhooks and calls without a network."""

from __future__ import annotations

import gzip
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.connectors import metriport, signature
from gateway.connectors import metriport_calls as calls
from gateway.connectors import metriport_files as files
from gateway.connectors import metriport_papers as papers
from gateway.connectors.call import Call, Found, Reply
from gateway.connectors.metriport_bundle import founds
from gateway.connectors.metriport_calls import OPERATIONS, Options
from gateway.connectors.protocol import (
    Answering,
    Connector,
    Gatherer,
    Item,
    Named,
    Optioned,
    Probing,
    Scanner,
    Side,
    Target,
)
from gateway.errors import BadSignature, InvalidInput, Missing, PartnerRejected
from gateway.fhir import gate, json
from gateway.fhir.json import Resource

SYSTEM = "https://metriport.example"
SIDE = Side(ours="https://gateway.example/fhir", id_system=SYSTEM, options=Options(facility_id="f-1"))
PATIENT = {
    "id": "p-1",
    "eTag": "e-1",
    "firstName": "Ada",
    "lastName": "Quill",
    "dob": "1980-02-22",
    "genderAtBirth": "F",
}


def run(made: Generator[Call, Reply, Any], *replies: Reply) -> tuple[list[Call], Any]:
    """The calls that were made, and what came of them."""
    asked = [next(made)]
    for reply in replies:
        try:
            asked.append(made.send(reply))
        except StopIteration as finished:
            return asked, finished.value
    raise AssertionError(f"it asks for more: {asked[-1]}")


def said(value: Any, status: int = 200) -> Reply:
    return Reply(
        status, {"content-type": "application/json"}, value if isinstance(value, bytes) else json.encode(value)
    )


def test_it_offers_what_it_can() -> None:
    for offered in (Connector, Scanner, Gatherer, Answering, Named, Probing, Optioned):
        assert isinstance(metriport, offered), offered


def test_the_signature_of_the_contract() -> None:
    body = b'{"ping":"abc123","meta":{"messageId":"m-1","when":"2024-12-26T10:03:22.000Z","type":"ping"}}'
    headers = {"x-metriport-signature": "54652dcae5122b136600e10423e390ff0e763ef1ed708a4cd25e524356185400"}
    now = datetime.now(UTC)
    assert signature.verify("metriport", "test-webhook-key", headers, body, now=now) is None
    with pytest.raises(BadSignature):
        signature.verify("metriport", "test-webhook-key", headers, body + b" ", now=now)
    payload = json.decode(body)
    assert metriport.answer(payload) == {"pong": "abc123"} and metriport.event_id(payload) == "m-1 ping"


@pytest.mark.parametrize(
    "payload", [{}, [], "ping", {"ping": 7, "meta": {"type": "ping"}}, {"ping": "x", "meta": {"type": "patient.admit"}}]
)
def test_only_a_ping_is_answered(payload: Any) -> None:
    assert metriport.answer(payload) is None
    assert metriport.event_id(payload) is None


KINDS = {
    "network-query.hie": "gather",
    "network-query.pharmacy": "gather",
    "network-query.lab": "gather",
    "network-query.hie.first-data-ready": "gather",
    "patient.admit": "gather",
    "patient.transfer": "gather",
    "patient.discharge": "gather",
    "patient.laboratory": "gather",
    "patient.pharmacy": "gather",
    "message.status": "gather",
    "message.received": "gather",
    "ias.identity.verified": "ignored",
    "medical.document-conversion": "ignored",
    "ping": "ignored",
    "something.they.add": "ignored",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_type_means_something(kind: str) -> None:
    meta = {"messageId": "m-1", "when": "2025-01-30T23:00:01.000Z", "type": kind}
    event = metriport.event({"meta": meta, "payload": {"patientId": "p-1"}})
    assert (event.kind, event.id, event.at) == (KINDS[kind], "m-1", "2025-01-30T23:00:01.000Z")


@pytest.mark.parametrize(
    "kind",
    [
        "medical.consolidated-data",
        "medical.document-download",
        "medical.document-bulk-download-urls",
        "medical.document-bulk-download-paged",
    ],
)
def test_a_list_of_patients_is_gathered_and_an_empty_one_is_not(kind: str) -> None:
    assert metriport.event({"meta": {"type": kind}, "patients": [{"patientId": "p-1"}]}).kind == "gather"
    assert metriport.event({"meta": {"type": kind}, "patients": []}).kind == "ignored"


@pytest.mark.parametrize("payload", [None, [], {}, {"meta": {}}, {"meta": {"type": None}}])
def test_what_is_not_theirs_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidInput):
        metriport.event(payload)


def gathered(payload: Any, *replies: Reply) -> tuple[list[Call], list[Found]]:
    return run(metriport.gather(metriport.event(payload), SIDE), *replies)


def network(**more: Any) -> dict[str, Any]:
    source = {"type": "hie", "status": "completed"}
    payload = {"patientId": "p-1", "consolidatedDataUrl": "https://files.example/1?sig=2", "source": source, **more}
    return {"meta": {"type": "network-query.hie"}, "payload": payload}


BUNDLE = {
    "resourceType": "Bundle",
    "type": "collection",
    "entry": [
        {"resource": {"resourceType": "Patient", "id": "p-1"}},
        {"resource": {"resourceType": "Condition", "id": "c-1", "subject": {"reference": "Patient/p-1"}}},
    ],
}


def test_data_of_a_network_are_fetched_without_our_key() -> None:
    asked, found = gathered(network(), said(PATIENT), said(BUNDLE))
    assert [(call.path, call.auth) for call in asked] == [
        ("/medical/v1/patient/p-1", True),
        ("https://files.example/1?sig=2", False),
    ]
    assert [one.name for one in found] == ["Patient/p-1", "Condition/c-1"]
    assert found[0].version == "e-1"


def test_dead_addresses_are_replaced_by_what_stands_now() -> None:
    asked, found = gathered(network(), said(PATIENT), said(b"<Error/>", 403), said(BUNDLE))
    assert asked[-1] == Call("GET", "/medical/v1/patient/p-1/consolidated")
    assert len(found) == 2


@pytest.mark.parametrize("status", ["processing", "partial", "completed_with_errors", None])
def test_data_are_fetched_in_whatever_state_the_source_is(status: str | None) -> None:
    """The first data come while it is still at work, and they may add states; what is there to be fetched is hers."""
    source = {"type": "hie", "status": status, "completedAt": None}
    payload = network(source=source)
    for kind in ("network-query.hie.first-data-ready", "network-query.hie"):
        payload["meta"]["type"] = kind
        _, found = gathered(payload, said(PATIENT), said(BUNDLE))
        assert [one.name for one in found] == ["Patient/p-1", "Condition/c-1"]
    _, found = gathered(network(source=None), said(PATIENT), said(BUNDLE))
    assert [one.name for one in found] == ["Patient/p-1", "Condition/c-1"]
    answered = consolidated(("application/json", "https://f.example/b"))
    answered["patients"][0]["status"] = status
    _, found = gathered(answered, said(PATIENT), said(BUNDLE))
    assert [one.name for one in found] == ["Patient/p-1", "Condition/c-1"]


def test_what_is_told_under_the_external_id_of_another_is_held() -> None:
    hers = {**PATIENT, "externalId": "our-1"}
    _, found = gathered(network(externalId="our-2"), said(hers), said(BUNDLE))
    assert [(one.name, bool(one.doubt)) for one in found] == [("Patient/p-1", False), ("Condition/c-1", True)]
    for told_as, held_as in (("our-1", "our-1"), (None, "our-1"), ("our-1", None)):
        _, found = gathered(network(externalId=told_as), said({**PATIENT, "externalId": held_as}), said(BUNDLE))
        assert not any(one.doubt for one in found)


@pytest.mark.parametrize("more", [{"consolidatedDataUrl": None}, {"source": {"status": "failed"}}])
def test_a_source_that_brought_nothing(more: dict[str, Any]) -> None:
    _, found = gathered(network(**more), said(PATIENT))
    assert [one.type for one in found] == ["Patient"]


def consolidated(*attachments: tuple[str, str]) -> dict[str, Any]:
    contents = [{"attachment": {"contentType": media, "url": url}} for media, url in attachments]
    reference = {"resourceType": "DocumentReference", "content": contents}
    part = {"patientId": "p-1", "status": "completed", "filters": {"resources": "Condition", "dateFrom": "2025-01-01"}}
    part["bundle"] = {"resourceType": "Bundle", "entry": [{"resource": reference}]}
    return {"meta": {"type": "medical.consolidated-data"}, "patients": [part]}


def test_json_is_preferred_and_gzip_is_read() -> None:
    both = consolidated(("application/gzip", "https://f.example/b.gz"), ("application/json", "https://f.example/b"))
    asked, found = gathered(both, said(PATIENT), said(BUNDLE))
    assert asked[-1].path == "https://f.example/b" and len(found) == 2
    packed = consolidated(("application/gzip", "https://f.example/b.gz"))
    asked, found = gathered(packed, said(PATIENT), said(gzip.compress(json.encode(BUNDLE))))
    assert asked[-1].path == "https://f.example/b.gz" and len(found) == 2


def test_the_filters_of_a_query_hold_when_it_is_asked_for_again() -> None:
    asked, _ = gathered(
        consolidated(("application/json", "https://f.example/b")), said(PATIENT), said(b"", 403), said(BUNDLE)
    )
    assert asked[-1].params == (("resources", "Condition"), ("dateFrom", "2025-01-01"))


def test_no_bundle_is_no_data() -> None:
    payload = {"meta": {"type": "medical.consolidated-data"}, "patients": [{"patientId": "p-1", "status": "completed"}]}
    _, found = gathered(payload, said(PATIENT))
    assert [one.type for one in found] == ["Patient"]


def documents(*listed: dict[str, Any]) -> dict[str, Any]:
    part = {"patientId": "p-1", "status": "completed", "documents": list(listed)}
    return {"meta": {"type": "medical.document-bulk-download-urls"}, "patients": [part]}


def test_a_document_is_a_reference_and_its_content() -> None:
    one = {
        "id": "d-1",
        "fileName": "a/b/c.pdf",
        "description": "Letter",
        "indexed": "2019-09-07T15:50:00.000Z",
        "mimeType": "application/pdf",
        "type": {"text": "Letter"},
        "url": "https://f.example/d",
    }
    _, found = gathered(documents(one), said(PATIENT), said(b"%PDF"))
    binary, paper = found[1:]
    assert binary.body == {"resourceType": "Binary", "contentType": "application/pdf", "data": "JVBERg=="}
    assert paper.body is not None
    assert paper.body["content"] == [
        {"attachment": {"contentType": "application/pdf", "url": binary.urn, "size": 4, "title": "a/b/c.pdf"}}
    ]
    assert (paper.body["description"], paper.body["date"]) == ("Letter", "2019-09-07T15:50:00.000Z")


def content(url: str, **more: Any) -> dict[str, Any]:
    return {"attachment": {"url": url, **more}}


def test_a_file_stays_with_what_else_is_told_of_its_document() -> None:
    event: Resource = {"status": "superseded", "content": [content("Binary/1", title="a.pdf", size=4)]}
    bundle: Resource = {
        "status": "current",
        "author": [{"reference": "#o"}],
        "content": [
            content("https://f.example/a", title="a.pdf", creation="2025-01-01T00:00:00Z"),
            content("https://f.example/b", title="b.pdf"),
            content("https://f.example/c"),
        ],
    }
    contents = [
        content("Binary/1", title="a.pdf", size=4, creation="2025-01-01T00:00:00Z"),
        content("https://f.example/b", title="b.pdf"),
        content("https://f.example/c"),
    ]
    assert papers.joined(event, bundle) == {**bundle, "status": "superseded", "content": contents}
    assert papers.joined(bundle, event) == {**bundle, "content": contents}
    assert papers.joined(bundle, papers.joined(event, bundle)) == {**bundle, "content": contents}
    assert papers.joined(bundle, {"status": "current"}) == papers.joined(bundle, bundle) == bundle
    newer = {"content": [content("urn:uuid:2", title="z.pdf", size=5)]}
    assert papers.joined(newer, event)["content"] == newer["content"], "one file, of which the newer is told"


def test_a_document_whose_address_died_is_asked_for_by_name() -> None:
    one = {"id": "d-1", "fileName": "a.pdf", "mimeType": "application/pdf", "url": "https://f.example/d"}
    url = said({"url": "https://f.example/e"})
    asked, found = gathered(documents(one), said(PATIENT), said(b"", 403), url, said(b"%PDF"))
    assert asked[2] == Call("GET", "/medical/v1/document/download-url", params=(("fileName", "a.pdf"),))
    assert asked[3].path == "https://f.example/e" and len(found) == 3


@pytest.mark.parametrize("url", ["", None, "<a-document-url>", "ftp://f.example/d", 7])
def test_a_document_without_an_address_is_asked_for_by_name(url: Any) -> None:
    one = {"id": "d-1", "fileName": "a.pdf", "mimeType": "application/pdf", "url": url}
    asked, found = gathered(documents(one), said(PATIENT), said({"url": "https://f.example/e"}), said(b"%PDF"))
    assert [call.path for call in asked[1:]] == ["/medical/v1/document/download-url", "https://f.example/e"]
    assert [one.name for one in found if not one.doubt] == ["Patient/p-1", "Binary/d-1", "DocumentReference/d-1"]


def test_a_document_that_cannot_be_had_costs_no_other() -> None:
    lost = {"id": "d-1", "fileName": "a.pdf", "mimeType": "application/pdf", "url": "https://f.example/d"}
    kept = {"id": "d-2", "fileName": "b.pdf", "mimeType": "application/pdf", "url": "https://f.example/e"}
    gone = Reply(404)
    _, found = gathered(documents(lost, kept), said(PATIENT), said(b"", 403), gone, said(b"%PDF"))
    assert [one.name for one in found if one.doubt] == ["DocumentReference/d-1"]
    assert [one.name for one in found if not one.doubt] == ["Patient/p-1", "Binary/d-2", "DocumentReference/d-2"]


def test_a_patient_who_is_gone_costs_no_other() -> None:
    payload = consolidated(("application/json", "https://f.example/b"))
    payload["patients"].insert(0, {"patientId": "p-0", "status": "completed"})
    _, found = gathered(payload, Reply(404), said(PATIENT), said(BUNDLE))
    assert [(one.name, bool(one.doubt)) for one in found] == [
        ("Patient/p-0", True),
        ("Patient/p-1", False),
        ("Condition/c-1", False),
    ]


@pytest.mark.parametrize("odd", [7, "x", [7], {"a": 1}, [[]], [{"resource": [7]}], [{"resource": {"content": 7}}]])
def test_odd_lists_are_empty(odd: Any) -> None:
    payload = consolidated()
    payload["patients"][0]["bundle"]["entry"] = odd
    _, found = gathered(payload, said(PATIENT))
    assert [one.type for one in found] == ["Patient"]
    assert founds({"resourceType": "Bundle", "entry": odd}, "p-1", SYSTEM) == []


def test_documents_may_be_left_there() -> None:
    side = Side(ours=SIDE.ours, id_system=SYSTEM, options=Options(documents=False))
    event = metriport.event(documents({"id": "d-1", "fileName": "a.pdf", "url": "https://f.example/d"}))
    _, found = run(metriport.gather(event, side), said(PATIENT))
    assert [one.type for one in found] == ["Patient"]


def test_a_bulk_create_names_those_it_made() -> None:
    part = {"requestId": "r", "status": "completed", "result": "https://f.example/r.csv"}
    payload = {"meta": {"type": "medical.bulk-patient-create"}, "bulkPatientCreate": part}
    rows = b"externalId,patientId,status\na,p-1,success\nb,,failed\n"
    asked, found = gathered(payload, said(rows), said(PATIENT))
    assert [call.path for call in asked] == ["https://f.example/r.csv", "/medical/v1/patient/p-1"] and len(found) == 1


def test_a_bulk_create_is_taken_though_one_of_its_patients_is_gone() -> None:
    part = {"requestId": "r", "status": "completed", "result": "https://f.example/r.csv"}
    payload = {"meta": {"type": "medical.bulk-patient-create"}, "bulkPatientCreate": part}
    rows = b"patientId,status\np-0,success\np-1,success\np-1,success\n"
    _, found = gathered(payload, said(rows), Reply(404), said(PATIENT))
    assert [(one.name, bool(one.doubt)) for one in found] == [("Patient/p-0", True), ("Patient/p-1", False)]


def test_another_patient_than_the_one_asked_for_is_refused() -> None:
    with pytest.raises(PartnerRejected):
        gathered(network(), said({**PATIENT, "id": "p-2"}))


def message(**payload: Any) -> dict[str, Any]:
    return {"meta": {"type": "message.status"}, "payload": {"patientId": "p-1", **payload}}


COMMUNICATION = {"resourceType": "Communication", "id": "m-9", "subject": {"reference": "Patient/p-1"}}


def test_a_message_is_fetched_by_its_address_else_by_its_id() -> None:
    asked, found = gathered(message(url="https://f.example/m", messageId="m-9"), said(PATIENT), said(COMMUNICATION))
    assert asked[-1].path == "https://f.example/m" and found[-1].name == "Communication/m-9"
    asked, found = gathered(message(messageId="m-9"), said(PATIENT), said(COMMUNICATION))
    assert asked[-1] == Call("GET", "/medical/v1/message/m-9") and found[-1].name == "Communication/m-9"
    dead = message(url="https://f.example/m", messageId="m-9")
    asked, _ = gathered(dead, said(PATIENT), said(b"", 403), said(COMMUNICATION))
    assert asked[-1].path == "/medical/v1/message/m-9"
    with pytest.raises(PartnerRejected):
        gathered(message(url="https://f.example/m"), said(PATIENT), said(b"", 403))


def test_a_message_that_names_nobody_is_about_the_patient_of_the_event() -> None:
    bare = {"resourceType": "Communication", "id": "m-9", "status": "completed", "subject": None}
    _, found = gathered(message(url="https://f.example/m"), said(PATIENT), said(bare))
    assert found[-1].body is not None and found[-1].body["subject"]["reference"] == "Patient/p-1"
    _, found = gathered(
        message(url="https://f.example/m"), said(PATIENT), said({**bare, "subject": {"reference": "Patient/p-2"}})
    )
    assert found[-1].doubt is not None


# --- a Bundle ---------------------------------------------------------------------------------------------------------


def one_of(*resources: dict[str, Any], urls: dict[int, str] | None = None) -> list[Found]:
    entries = [
        {"resource": one} | ({"fullUrl": urls[at]} if urls and at in urls else {}) for at, one in enumerate(resources)
    ]
    return founds({"resourceType": "Bundle", "entry": entries}, "p-1", SYSTEM)


def test_references_say_that_they_are_theirs() -> None:
    [found] = one_of(
        {"resourceType": "Encounter", "id": "e", "subject": {"reference": "Patient/p-1", "display": "Ada"}}
    )
    assert found.body is not None and found.doubt is None and "id" not in found.body
    identifier = {"system": SYSTEM, "value": "Patient/p-1"}
    assert found.body["subject"] == {
        "reference": "Patient/p-1",
        "display": "Ada",
        "type": "Patient",
        "identifier": identifier,
    }


def test_urns_mean_the_entries_of_the_bundle() -> None:
    listed = one_of(
        {"resourceType": "Practitioner", "id": "d"},
        {
            "resourceType": "Condition",
            "id": "c",
            "subject": {"reference": "urn:uuid:1"},
            "asserter": {"reference": "urn:uuid:2"},
        },
        {"resourceType": "Patient", "id": "p-1"},
        urls={0: "urn:uuid:2", 2: "urn:uuid:1"},
    )
    condition = listed[1].body
    assert condition is not None and listed[1].doubt is None
    assert condition["asserter"]["reference"] == "Practitioner/d" and condition["subject"]["reference"] == "Patient/p-1"


@pytest.mark.parametrize("subject", ["Patient/p-2", "Patient/p-1x", "Patient/P-1"])
def test_another_subject_is_a_doubt(subject: str) -> None:
    [found] = one_of({"resourceType": "Condition", "id": "c", "subject": {"reference": subject}})
    assert found.doubt is not None and "p-2" not in found.doubt


def test_a_resource_without_an_id_is_known_by_its_content() -> None:
    condition = {"resourceType": "Condition", "subject": {"reference": "Patient/p-1"}}
    [first], [again] = one_of(condition), one_of(dict(reversed(condition.items())))
    assert first.remote_id == again.remote_id and first.remote_id.startswith("content-")


def test_contained_resources_that_nothing_names_are_kept() -> None:
    author = {"resourceType": "Practitioner", "id": "a", "name": [{"family": "Snow"}]}
    named = {"resourceType": "Organization", "id": "o", "name": "Hospital"}
    content = [{"attachment": {"contentType": "text/plain"}}]
    paper = {"resourceType": "DocumentReference", "id": "d", "status": "current", "content": content}
    [found] = one_of({**paper, "contained": [author, named], "author": [{"reference": "#o"}]})
    assert found.body is not None and gate.check(found.body) == []
    assert [one["valueReference"]["reference"] for one in found.body["extension"]] == ["#a"]
    [whole] = one_of({**paper, "contained": [named], "author": [{"reference": "#o"}]})
    assert whole.body is not None and "extension" not in whole.body


def test_the_same_resource_twice_is_one() -> None:
    listed = one_of(
        {"resourceType": "Condition", "id": "c"}, {"resourceType": "Condition", "id": "c", "code": {"text": "x"}}
    )
    assert [one.body and one.body.get("code") for one in listed] == [{"text": "x"}]


@pytest.mark.parametrize("bundle", [None, [], {}, {"resourceType": "Patient"}])
def test_what_is_no_bundle(bundle: Any) -> None:
    with pytest.raises(InvalidInput):
        founds(bundle, "p-1", SYSTEM)


@pytest.mark.parametrize("entries", [[None], [{}], [{"resource": 7}], [{"resource": {"resourceType": 7}}], None])
def test_odd_entries_are_no_resources(entries: Any) -> None:
    assert founds({"resourceType": "Bundle", "entry": entries}, "p-1", SYSTEM) == []


# --- the table of calls -----------------------------------------------------------------------------------------------


def test_a_network_query_in_its_two_purposes() -> None:
    row = OPERATIONS["network-query"]
    plain = calls.call(row, {"patient": "p-1", "sources": "hie, lab"}, SIDE)
    assert (plain.params, plain.json, plain.headers) == ((("patientId", "p-1"),), {"sources": ["hie", "lab"]}, {})
    given = {"patient": "p-1", "purposeOfUse": "ias", "aal2Session": "aal2_1", "proofedIdentityId": "pid_1"}
    calls.check(row, given)
    access = calls.call(row, given, SIDE)
    assert access.headers == {"x-aal2-session": "aal2_1"} and access.json == {"proofedIdentityId": "pid_1"}
    assert access.params == (("patientId", "p-1"), ("purposeOfUse", "ias"))


def test_a_stranger_is_nobody() -> None:
    """Whoever is answered in place of the patient asked for is neither read as her nor overwritten."""
    stranger = said({**PATIENT, "id": "p-2", "externalId": "our-2"})
    with pytest.raises(PartnerRejected, match="does not have it"):
        run(metriport.read(Target("Patient", "our-1"), SIDE), stranger)
    with pytest.raises(PartnerRejected, match="another patient"):
        run(metriport.read(Target("Patient", "our-1", "p-1"), SIDE), stranger)
    address = {"line": ["1 Mill Lane"], "city": "Alder", "state": "OH", "postalCode": "43999"}
    ours = {"resourceType": "Patient", "name": [{"family": "Quill", "given": ["Ada"]}], "birthDate": "1980-02-22"}
    item = Item("Patient", "our-1", {**ours, "address": [address]}, "p-1", None)
    with pytest.raises(PartnerRejected, match="another patient"):
        run(metriport.push(item, SIDE), stranger)
    _, seen = run(metriport.read(Target("Patient", "our-2"), SIDE), stranger)
    assert seen.remote_id == "p-2"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("network-query", {}),
        ("network-query", {"patient": "p", "purposeOfUse": "ias"}),
        ("opt-out", {"patient": "p"}),
        ("settings", {"webhookKey": "x"}),
        ("message", {}),
    ],
)
def test_wrong_arguments_are_named(operation: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        calls.check(OPERATIONS[operation], arguments)
    assert refused.value.expression


def test_an_id_never_leaves_its_segment() -> None:
    call = calls.call(OPERATIONS["summary-status"], {"patient": "a/../b?c"}, SIDE)
    assert call.path == "/medical/v1/patient/a%2F..%2Fb%3Fc/medical-record-status"


def test_answers() -> None:
    assert calls.answered(Reply(204)) is None
    assert calls.answered(Reply(200, {"content-type": "text/plain; charset=utf-8"}, b"OK")) is None
    with pytest.raises(PartnerRejected, match="no JSON"):
        calls.answered(Reply(200, {"content-type": "text/html"}, b"<html>"))
    with pytest.raises(Missing):
        calls.answered(Reply(404))
    detail = "Required, on [address,0,zip], Invalid literal value, received 'Jane', on [dob]"
    with pytest.raises(PartnerRejected, match=r"about address,0,zip, dob$") as refused:
        calls.answered(said({"detail": detail}, 400))
    assert "Jane" not in refused.value.message


def test_gzip_is_unpacked_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 1000)
    assert files.plain(gzip.compress(b"x" * 900)) == b"x" * 900
    with pytest.raises(InvalidInput):
        files.plain(gzip.compress(b"x" * 1100))
    with pytest.raises(InvalidInput):
        files.plain(b"\x1f\x8bnot gzip")


def test_a_write_names_the_version_that_was_read_right_before_it() -> None:
    """So that an edit of theirs between our read and our write is a 412, not lost."""
    address = {"addressLine1": "1 Row", "city": "Alder", "state": "OH", "zip": "43999", "country": "USA"}
    held = {**PATIENT, "externalId": "our-id", "address": [address]}
    body = {
        "resourceType": "Patient",
        "name": [{"family": "Quill", "given": ["Ada"]}],
        "birthDate": "1980-02-23",
        "gender": "female",
        "address": [{"line": ["1 Row"], "city": "Alder", "state": "OH", "postalCode": "43999", "country": "USA"}],
    }
    item = Item("Patient", "our-id", body, "p-1")
    asked, accepted = run(metriport.push(item, SIDE), said(held), said({**held, "dob": "1980-02-23", "eTag": "e-2"}))
    assert [one.method for one in asked] == ["GET", "PUT"] and asked[1].headers == {"if-match": "e-1"}
    assert accepted.version == "e-2"
