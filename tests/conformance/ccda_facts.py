"""A converted fixture as a reader asks it: find an entry by its id, walk FHIR paths, follow references."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

from gateway.translators.ccda import convert
from tests.conftest import ROOT

FIXTURES = ROOT / "fixtures" / "ccda"
REFUSED = {"doctype", "not-well-formed"}
DOCUMENTS = sorted(path for path in FIXTURES.glob("*.xml") if path.stem not in REFUSED)
PATIENT_ID = "0190a1b2-7c3d-7000-8000-00000000c0da"
ARC = "2.25.59778615075790855151715354782056170808"

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """One converted document. `source` is the document's text, for facts about what it does not say."""

    source: str
    bundle: Resource
    issues: tuple[Any, ...]
    report: dict[str, Any]
    patient_key: str | None

    def all(self, *types: str) -> list[Resource]:
        found = [entry["resource"] for entry in self.bundle["entry"]]
        return [resource for resource in found if not types or resource["resourceType"] in types]

    def one(self, resource_type: str) -> Resource:
        (resource,) = self.all(resource_type)
        return resource

    def by_identifier(self, value: str, *types: str) -> list[Resource]:
        """Resources made of entries with this id; the document's own id is no entry's."""
        found = [resource for resource in self.all(*types) if value in values(resource, "identifier.value")]
        return [resource for resource in found if resource["resourceType"] != "Composition"]

    def entry(self, value: str, *types: str) -> Resource:
        """The resource made of the entry with this id; exactly one, else the test fails here."""
        found = self.by_identifier(value, *types)
        assert len(found) == 1, f"{value}: {[resource['resourceType'] for resource in found]}"
        return found[0]

    def follow(self, reference: str) -> Resource:
        return next(r for r in self.all() if f"{r['resourceType']}/{r['id']}" == reference)


def values(node: Any, path: str) -> list[Any]:
    """Everything at a FHIRPath of plain steps, lists flattened: `reaction.manifestation.coding.code`."""
    found = [node]
    for step in path.split(".") if path else []:
        found = [each for value in found if isinstance(value, dict) and step in value for each in many(value[step])]
    return found


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def extension(node: Resource, url: str) -> list[Resource]:
    return [each for each in node.get("extension", []) if each["url"] == url]


def walk(node: Any) -> Iterator[Any]:
    """Every value inside, itself included."""
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from walk(child)


@cache
def read(name: str) -> Reading:
    return reading((FIXTURES / f"{name}.xml").read_bytes())


def reading(data: bytes, patient_id: str = PATIENT_ID) -> Reading:
    converted = convert(data, patient_id=patient_id)
    return Reading(data.decode(), converted.bundle, tuple(converted.issues), converted.report, converted.patient_key)


def tree(data: bytes) -> Any:
    """The parsed root; untyped, as what an XPath gives depends on the XPath."""
    return etree.fromstring(data)


def select(root: Any, xpath: str) -> Any:
    """The one entry an XPath of the report points into; names mean HL7 v3 (XPath 2's default namespace)."""
    spaced = re.sub(r"/(?=[A-Za-z])", "/hl7:", xpath) if root.tag.startswith("{") else xpath
    (found,) = root.getroottree().xpath(spaced, namespaces={"hl7": "urn:hl7-org:v3"})
    while etree.QName(found).localname != "entry":
        found = found.getparent()
    return found


def fixture(name: str) -> Path:
    return FIXTURES / f"{name}.xml"
