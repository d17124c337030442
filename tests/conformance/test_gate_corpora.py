"""The gate on public corpora: HL7's examples and validator cases, Synthea's Bundles; fhir.resources as judge."""

from __future__ import annotations

import base64
import binascii
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from pydantic import ValidationError

from gateway.fhir import gate, json
from gateway.fhir.gate_types import REFUSED
from tests.conftest import shared_files
from tests.unit.fhir.gate_broken import BROKEN
from tests.unit.fhir.gate_samples import VALID

OFFICIAL = shared_files("fhir/official-r4/*.json")
SYNTHEA = shared_files("fhir/synthea*/*.json")
VALIDATOR = [path for path in shared_files("fhir/validator-r4/*.json") if path.stem != "expected"]

DEFECTS = {
    "DeviceMetric-example": ("DeviceMetric.parent.reference", "parent may only be a Device; names a DeviceDefinition"),
    "DeviceUseStatement-example": ("DeviceUseStatement.reasonReference[0].reference", "a reason is no Procedure"),
    "EventDefinition-example": ("EventDefinition.text.div", "txt-2: the div holds white space only"),
    "MedicationRequest-medrx0301": (
        "MedicationRequest.dispenseRequest.performer.reference",
        "the dispenser is an Organization; names a Practitioner",
    ),
    "Observation-clinical-gender": ("Observation.performer[0].reference", "an Encounter performs nothing"),
}
"""HL7's own defects among the official examples: where, and what R4 says."""

REFUSED_CASES = {
    "ai3": "Patient.unknownElement",
    "ai4": "Patient.birthDate",
    "ai8": "StructureDefinition.name",
    "attachment-with-invalid-binary": "Media.content.data",
    "bundle-ea-testcase": "Bundle.entry[1].resource.contained[0]",
    "contained-resource": "Condition.contained[0].id",
    "hakan-se": "MedicationRequest.medication",
    "json-comments": "Patient.fhir_comments",
    "parameters-attachment": "Parameters.parameter[0].value.ofType(Attachment).data",
    "patient-id-bad-1": "Patient.id",
    "patient-id-bad-2": "Patient.id",
    "resource-invalid-id-1": "Location.id",
    "resource-invalid-id-2": "Location.id",
    "versioned-extension": "Patient.extension[2].url",
    "xml-bad-entities": "Encounter.text.div",
}
"""HL7's validator cases that break the base specification, and one of the places the gate names."""


def read(path: Path) -> Any:
    return json.decode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.shared
@pytest.mark.parametrize("path", OFFICIAL, ids=stem)
def test_official_example(path: Path) -> None:
    resource = read(path)
    found = gate.check(resource)
    if resource["resourceType"] in REFUSED:
        assert [issue.code for issue in found] == ["not-supported"]
        assert resource["resourceType"] in found[0].diagnostics
    elif path.stem in DEFECTS:
        assert [issue.expression for issue in found] == [DEFECTS[path.stem][0]]
    else:
        assert found == []


@pytest.mark.shared
def test_every_listed_defect_is_met() -> None:
    if OFFICIAL:
        assert DEFECTS.keys() <= {path.stem for path in OFFICIAL}


TARGETS = {
    "DeviceMetric-example": ("DeviceMetric", "parent"),
    "DeviceUseStatement-example": ("DeviceUseStatement", "reasonReference"),
    "MedicationRequest-medrx0301": ("MedicationRequestDispenseRequest", "performer"),
    "Observation-clinical-gender": ("Observation", "performer"),
}


@pytest.mark.shared
@pytest.mark.parametrize("path", [path for path in OFFICIAL if path.stem in TARGETS], ids=stem)
def test_the_models_say_the_same_of_a_defect(path: Path) -> None:
    """fhir.resources lists the targets, though it does not check them."""
    model, element = TARGETS[path.stem]
    node = read(path)
    for step in DEFECTS[path.stem][0].split(".")[1:]:
        name, _, index = step.removesuffix("]").partition("[")
        node = node[name][int(index)] if index else node[name]
    listed = get_fhir_model_class(model).model_fields[element].json_schema_extra["enum_reference_types"]
    assert node.split("/")[0] not in listed


@pytest.mark.shared
@pytest.mark.parametrize("path", SYNTHEA, ids=stem)
def test_synthea_bundle(path: Path) -> None:
    assert gate.check(read(path)) == []


@pytest.mark.shared
@pytest.mark.parametrize("path", VALIDATOR, ids=stem)
def test_validator_case(path: Path) -> None:
    """What is left to a terminology server, a profile or another resource is accepted here."""
    expressions = {issue.expression for issue in gate.check(read(path))}
    if path.stem in REFUSED_CASES:
        assert REFUSED_CASES[path.stem] in expressions
    else:
        assert expressions == set()


def judge(resource: dict[str, Any]) -> bool:
    """Whether fhir.resources accepts a resource, and all within it."""
    try:
        get_fhir_model_class(resource["resourceType"]).model_validate(deepcopy(resource))
    except (ValidationError, ValueError, TypeError, AttributeError):
        return False
    return True


@pytest.mark.shared
@pytest.mark.parametrize("path", OFFICIAL[::5], ids=stem)
def test_what_the_gate_accepts_the_models_accept(path: Path) -> None:
    resource = read(path)
    assert gate.check(resource) != [] or judge(resource)


@pytest.mark.parametrize("resource", VALID, ids=lambda resource: resource["resourceType"])
def test_the_models_accept_our_valid_resources(resource: dict[str, Any]) -> None:
    assert judge(resource)


AGREED = {
    "text instead of object", "number as text", "missing required primitive",
    "missing required object", "missing required list", "missing required choice", "missing in a backbone",
    "unknown element", "unknown element inside", "no element name", "doubled choice", "choice of a wrong type",
    "30 February", "month 13", "31 April", "id with underscore", "positiveInt zero", "bad outcome",
    "extension with two values", "object instead of list", "list instead of object",
}  # fmt: skip


@pytest.mark.parametrize("row", [row for row in BROKEN if row[0] in AGREED], ids=lambda row: row[0])
def test_the_models_refuse_as_well(row: tuple[str, Any, str | None, str]) -> None:
    assert not judge(row[1])


def mutations(node: Any) -> list[tuple[Any, Any, Any]]:
    """Ways to break a resource that every validator must see: (holder, key, bad value) at each place."""
    found: list[tuple[Any, Any, Any]] = []
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict):
            found.append((node, key, "text"))
        elif isinstance(value, (bool, int, Decimal)):
            found.append((node, key, {"text": "no number"}))
        elif isinstance(value, str):
            found.append((node, key, {"text": "no text"}))
        if isinstance(value, (dict, list)):
            found += mutations(value)
    return found


@pytest.mark.shared
@pytest.mark.parametrize("path", OFFICIAL[::9], ids=stem)
def test_a_wrong_type_is_seen_at_every_place(path: Path) -> None:
    resource = read(path)
    if gate.check(resource):
        return
    for holder, key, bad in mutations(resource)[:200]:
        good, holder[key] = holder[key], bad
        assert gate.check(resource) != [], (key, bad)
        holder[key] = good
    assert gate.check(resource) == []


def attachments(node: Any) -> list[str]:
    if isinstance(node, list):
        return [data for part in node for data in attachments(part)]
    if not isinstance(node, dict):
        return []
    own = [node["data"]] if "data" in node and "contentType" in node and isinstance(node["data"], str) else []
    return own + [data for part in node.values() for data in attachments(part)]


@pytest.mark.shared
def test_accepted_base64_decodes() -> None:
    for path in OFFICIAL + SYNTHEA[:3]:
        resource = read(path)
        for data in attachments(resource) if not gate.check(resource) else []:
            try:
                base64.b64decode("".join(data.split()), validate=True)
            except binascii.Error:
                pytest.fail(path.name)
