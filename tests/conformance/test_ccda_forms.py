"""What FHIR R4 asks of each form of the Bundle (§2.36, §3.1.0.11, §3.3.1), of every public sample."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.translators.ccda import convert
from tests.conformance.ccda_facts import DOCUMENTS
from tests.conformance.test_ccda_documents import WHOLE, references

ALL = sorted({*WHOLE, *DOCUMENTS})
OWN = "0190a1b2-7c3d-7000-8000-00000000c0da"
UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
Bundle = dict[str, Any]


def made(path: Path, form: str) -> Bundle:
    return convert(path.read_bytes(), patient_id=OWN, form=form, assembled="2026-01-02T03:04:05Z").bundle


def sections(holder: Bundle) -> Iterator[Bundle]:
    for section in holder.get("section", ()):
        yield section
        yield from sections(section)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_fhir_document(path: Path) -> None:
    bundle = made(path, "document")

    entries = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    first = bundle["entry"][0]["resource"]
    assert first["resourceType"] == "Composition"
    assert bundle["identifier"].keys() >= {"system", "value"}
    assert INSTANT.fullmatch(bundle["timestamp"])
    assert all(UUID.fullmatch(url) for url in entries)
    assert not any("request" in entry or "response" in entry for entry in bundle["entry"])
    assert entries[first["subject"]["reference"]]["resourceType"] == "Patient"
    for section in sections(first):
        assert {"text", "entry", "section"} & section.keys()
        assert section.get("text", {"div": "<div"})["div"].startswith("<div")
        assert all(one["reference"] in entries for one in section.get("entry", ()))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_everything_in_a_fhir_document_hangs_together(path: Path) -> None:
    """From the Composition by references, and to who made it by the Provenance that tells."""
    bundle = made(path, "document")
    refers = {entry["fullUrl"]: {*_addresses(entry["resource"])} for entry in bundle["entry"]}
    told = [entry for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Provenance"]
    found = _reached(refers, [bundle["entry"][0]["fullUrl"]])
    assert all(one["reference"] in found for entry in told for one in entry["resource"]["target"])
    found |= _reached(refers, [entry["fullUrl"] for entry in told])

    apart = [entry["resource"]["resourceType"] for entry in bundle["entry"] if entry["fullUrl"] not in found]
    assert apart == []


def _reached(refers: dict[str, set[str]], waiting: list[str]) -> set[str]:
    found: set[str] = set()
    while waiting:
        url = waiting.pop()
        if url in refers and url not in found:
            found.add(url)
            waiting += refers[url]
    return found


def _addresses(value: Any) -> Iterator[str]:
    """References, and the addresses of attachments."""
    yield from references(value)
    if isinstance(value, dict):
        if isinstance(address := value.get("url"), str):
            yield address
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        yield from _addresses(inner)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_transaction_of_conditional_puts(path: Path) -> None:
    bundle = made(path, "transaction")

    requests = [(entry["request"]["method"], entry["request"]["url"]) for entry in bundle["entry"]]
    puts = [url for method, url in requests if method == "PUT"]
    assert len(set(puts)) == len(puts)
    assert {url for method, url in requests if method != "PUT"} <= {"Provenance", "Composition"}
    for entry in bundle["entry"]:
        address = urlsplit(entry["request"]["url"])
        kind, resource = address.path, entry["resource"]
        assert resource["resourceType"] == kind
        assert "id" not in resource
        if entry["request"]["method"] == "PUT":
            ((condition,),) = parse_qs(address.query, strict_parsing=True).values()
            said = resource["identifier"]
            tokens = [f"{one.get('system')}|{one.get('value')}" for one in (said if isinstance(said, list) else [said])]
            assert condition in tokens


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_batch_of_puts(path: Path) -> None:
    bundle = made(path, "batch")

    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert entry["request"] == {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
        assert entry["fullUrl"] == f"urn:uuid:{resource['id']}"
