"""A transaction or batch read as entries, and answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.errors import InvalidInput, NotAllowed, NotConformant, TooLarge
from gateway.fhir import bundle, json
from gateway.fhir.bundle import Answer
from gateway.fhir.condition import Condition

BASE = "https://gateway.example/fhir"
PATIENT = {"resourceType": "Patient", "id": "p1"}


def entry(method: str, url: str, resource: Any = None, full_url: Any = None, **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    if full_url is not None:
        made["fullUrl"] = full_url
    return made


def of(*entries: Any, kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def one(raw: dict[str, Any]) -> bundle.Entry:
    return bundle.read(of(raw), base=BASE)[0]


def test_a_conditional_update() -> None:
    read = one(entry("PUT", "Patient?identifier=http://mrn.example|7", PATIENT, "urn:uuid:1", ifMatch='W/"3"'))
    assert read.condition == Condition("Patient", "http://mrn.example", "7")
    assert (read.method, read.type, read.id, read.if_match, read.full_url) == (
        "PUT",
        "Patient",
        None,
        "3",
        "urn:uuid:1",
    )
    assert read.resource is PATIENT
    assert read.names == ("Patient/p1",)


def test_a_conditional_create() -> None:
    read = one(entry("POST", "Patient", PATIENT, ifNoneExist="identifier=http://mrn.example|7"))
    assert read.if_none_exist == Condition("Patient", "http://mrn.example", "7")
    assert read.condition is None


@pytest.mark.parametrize("url", ["Patient/p1", "/Patient/p1", f"{BASE}/Patient/p1"])
def test_an_update_by_id_is_named_relative_or_below_our_base(url: str) -> None:
    read = one(entry("PUT", url, PATIENT))
    assert (read.type, read.id) == ("Patient", "p1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Patient", ("Patient", None, None, None)),
        ("Patient/p1", ("Patient", "p1", None, None)),
        ("Patient/p1/_history/2", ("Patient", "p1", "2", None)),
        ("Patient?identifier=a|b&_count=2", ("Patient", None, None, "identifier=a|b&_count=2")),
    ],
)
def test_reads(url: str, expected: tuple[str | None, ...]) -> None:
    read = one(entry("GET", url, ifNoneMatch='W/"1"'))
    assert (read.type, read.id, read.version, read.query) == expected
    assert read.if_none_match == 'W/"1"'
    assert not read.writes


BROKEN = {
    "no request": ({"resource": PATIENT}, "request"),
    "not an object": ("entry", "request"),
    "request is a list": ({"request": []}, "request"),
    "no url": ({"request": {"method": "GET"}}, "request.url"),
    "unknown method": (entry("SEND", "Patient", PATIENT), "request.method"),
    "method is a list": ({"request": {"method": [], "url": "Patient"}}, "request.method"),
    "patch": (entry("PATCH", "Patient/p1", PATIENT), "request.method"),
    "head": (entry("HEAD", "Patient/p1"), "request.method"),
    "another server": (entry("PUT", "https://other.example/fhir/Patient/p1", PATIENT), "request.url"),
    "looks like our base": (entry("PUT", f"{BASE}x/Patient/p1", PATIENT), "request.url"),
    "post to an id": (entry("POST", "Patient/p1", PATIENT), "request.url"),
    "post with a condition": (entry("POST", "Patient?identifier=a|b", PATIENT), "request.url"),
    "an operation": (entry("POST", "Patient/$match", PATIENT), "request.url"),
    "put of a type": (entry("PUT", "Patient", PATIENT), "request.url"),
    "put of a version": (entry("PUT", "Patient/p1/_history/1", PATIENT), "request.url"),
    "put of an id and a condition": (entry("PUT", "Patient/p1?identifier=a|b", PATIENT), "request.url"),
    "put with an empty condition": (entry("PUT", "Patient?", PATIENT), "request.url"),
    "delete of a type": (entry("DELETE", "Patient"), "request.url"),
    "read of an id with a query": (entry("GET", "Patient/p1?x=1"), "request.url"),
    "no resource": (entry("PUT", "Patient/p1"), "resource"),
    "a resource that is text": (entry("POST", "Patient", "p"), "resource"),
    "another type": (entry("PUT", "Observation/p1", PATIENT), "request.url"),
    "another id": (entry("PUT", "Patient/p2", PATIENT), "request.url"),
    "no id": (entry("PUT", "Patient/p1", {"resourceType": "Patient"}), "request.url"),
    "a slash too many": (entry("GET", "Patient//"), "request.url"),
    "a wide condition": (entry("PUT", "Patient?name=x", PATIENT), "request.url"),
    "a wide ifNoneExist": (entry("POST", "Patient", PATIENT, ifNoneExist="birthdate=1980"), "request.ifNoneExist"),
    "a bare version": (entry("PUT", "Patient/p1", PATIENT, ifMatch="3"), "request.ifMatch"),
    "tags that are no text": (entry("PUT", "Patient/p1", PATIENT, ifNoneMatch=1), "request.ifNoneMatch"),
    "a relative fullUrl": (entry("PUT", "Patient/p1", PATIENT, "Patient/p1"), "fullUrl"),
    "a fullUrl that is a number": (entry("PUT", "Patient/p1", PATIENT, 1), "fullUrl"),
}


@pytest.mark.parametrize(("raw", "where"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_entry_refuses_the_transaction_and_says_where(raw: Any, where: str) -> None:
    good = entry("POST", "Patient", PATIENT)
    with pytest.raises(InvalidInput) as refused:
        bundle.read(of(good, raw), base=BASE)
    assert refused.value.expression == f"Bundle.entry[1].{where}"
    assert [issue.expression for issue in refused.value.issues] == [f"Bundle.entry[1].{where}"]


@pytest.mark.parametrize(("raw", "where"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_entry_of_a_batch_is_alone(raw: Any, where: str) -> None:
    first, second, third = bundle.read(
        of(entry("POST", "Patient", PATIENT), raw, entry("GET", "Patient/p1"), kind="batch"), base=BASE
    )
    assert (first.error, third.error, third.index) == (None, None, 2)
    assert second.error is not None
    assert second.error.expression == f"Bundle.entry[1].{where}"


def test_patch_is_refused_as_not_supported() -> None:
    (read,) = bundle.read(of(entry("PATCH", "Patient/p1", PATIENT), kind="batch"))
    assert isinstance(read.error, NotAllowed)
    assert read.error.code == "not-supported"


def test_every_issue_of_a_transaction_is_told() -> None:
    with pytest.raises(InvalidInput) as refused:
        bundle.read(of(entry("PUT", "Patient", PATIENT), entry("POST", "Patient/p1", PATIENT)))
    assert [issue.expression for issue in refused.value.issues] == [
        "Bundle.entry[0].request.url",
        "Bundle.entry[1].request.url",
    ]


def test_a_message_never_holds_payload() -> None:
    with pytest.raises(InvalidInput) as refused:
        bundle.read(of(entry("PUT", "Patient?name=Secretname", PATIENT)))
    assert "Secretname" not in refused.value.message


@pytest.mark.parametrize("raw", [{}, {"resourceType": "Patient"}, of(kind="document"), of(kind="searchset")])
def test_another_kind_of_bundle_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(NotConformant):
        bundle.read(raw)


def test_entries_are_limited() -> None:
    with pytest.raises(TooLarge):
        bundle.read(of(*[entry("GET", "Patient/p1")] * 3), limit=2)


def test_a_bundle_without_entries_has_none() -> None:
    assert bundle.read({"resourceType": "Bundle", "type": "transaction"}) == []


@pytest.mark.parametrize(
    "twice",
    [
        [entry("PUT", "Patient/p1", PATIENT), entry("DELETE", "Patient/p1")],
        [entry("PUT", "Patient/p1", PATIENT), entry("PUT", f"{BASE}/Patient/p1", PATIENT)],
        [entry("PUT", "Patient?identifier=a|b", PATIENT), entry("DELETE", "Patient?identifier=a%7Cb")],
    ],
)
def test_a_resource_is_written_once_in_a_transaction(twice: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput) as refused:
        bundle.read(of(*twice), base=BASE)
    assert refused.value.expression == "Bundle.entry[1].request.url"
    assert not any(read.error for read in bundle.read(of(*twice, kind="batch"), base=BASE))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_condition_means_one_resource_in_a_transaction(method: str) -> None:
    made = entry("POST", "Patient", PATIENT, ifNoneExist="identifier=a|b")
    other = made if method == "POST" else entry(method, "Patient?identifier=a%7Cb", PATIENT)
    with pytest.raises(InvalidInput) as refused:
        bundle.read(of(other, made))
    assert refused.value.expression == "Bundle.entry[1].request.ifNoneExist"


def test_reading_and_writing_the_same_resource_is_no_overlap() -> None:
    assert len(bundle.read(of(entry("PUT", "Patient/p1", PATIENT), entry("GET", "Patient/p1")))) == 2


@pytest.mark.parametrize("url", [f"{BASE}/Patient/p2", f"{BASE}/Person/p1", "http://x.example/fhir/Patient/p2"])
def test_a_full_url_names_the_resource_of_its_entry(url: str) -> None:
    """FHIR R4 §2.36.4: it may not disagree with the id, or references to another would mean this one."""
    with pytest.raises(InvalidInput) as refused:
        one(entry("PUT", "Patient/p1", PATIENT, url))
    assert refused.value.expression == "Bundle.entry[0].fullUrl"
    for fine in (f"{BASE}/Patient/p1", "http://x.example/fhir/Patient/p1", "http://x.example/Files/p2", "urn:uuid:p2"):
        assert one(entry("PUT", "Patient/p1", PATIENT, fine)).full_url == fine
    assert one(entry("PUT", "Patient?identifier=a|b", {"resourceType": "Patient"}, url)).full_url == url


def test_a_full_url_is_unique_unless_the_versions_differ() -> None:
    versions = [{"resourceType": "Patient", "meta": {"versionId": number}} for number in "12"]
    fine = [entry("POST", "Patient", version, "urn:uuid:1") for version in versions]
    assert len(bundle.read(of(*fine))) == 2
    with pytest.raises(InvalidInput, match="bdl-7") as refused:
        bundle.read(of(fine[0], fine[0]))
    assert refused.value.expression == "Bundle.entry[1].fullUrl"
    assert [read.error is None for read in bundle.read(of(fine[0], fine[0], kind="batch"))] == [True, False]


def test_a_transaction_deletes_creates_updates_then_reads() -> None:
    entries = bundle.read(
        of(
            entry("GET", "Patient/p1"),
            entry("PUT", "Patient/p1", PATIENT),
            entry("POST", "Patient", PATIENT),
            entry("DELETE", "Patient/p2"),
            entry("POST", "Patient", PATIENT),
        )
    )
    assert [read.index for read in bundle.in_order(entries)] == [3, 2, 4, 1, 0]


def test_the_answer() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    said = bundle.response(
        "transaction",
        [
            Answer(201, location="Patient/p1/_history/1", version=1, at=at, resource=msgspec.Raw(b'{"a":1.50}')),
            Answer(204),
            Answer(404, outcome={"resourceType": "OperationOutcome"}),
        ],
    )
    assert said["type"] == "transaction-response"
    created, gone, missing = json.decode(json.encode(said))["entry"]
    assert created["response"] == {
        "status": "201 Created",
        "location": "Patient/p1/_history/1",
        "etag": 'W/"1"',
        "lastModified": "2026-01-02T03:04:05.000006Z",
    }
    assert str(created["resource"]["a"]) == "1.50"
    assert gone == {"response": {"status": "204 No Content"}}
    assert missing["response"] == {"status": "404 Not Found", "outcome": {"resourceType": "OperationOutcome"}}


@pytest.mark.parametrize("etag", ["3", 'W/"', '""', 3, None, 'W/"1", W/"2"', "*"])
def test_an_etag_that_is_none(etag: Any) -> None:
    with pytest.raises(InvalidInput):
        bundle.version_of(etag)


def test_an_etag_reads_back() -> None:
    assert bundle.version_of(bundle.etag(12)) == "12"
    assert bundle.version_of('"12"') == "12"
