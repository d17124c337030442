"""US Core 3.1.1 and 6.1: what their profiles make mandatory is there, or the reason why it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.translators.ccda import convert
from tests.conformance.test_ccda_documents import WHOLE

MANDATORY: dict[str, tuple[str, ...]] = {
    "CareTeam": ("subject", "participant"),
    "Condition": ("category", "code", "subject"),
    "Coverage": ("status", "beneficiary", "relationship", "payor"),
    "Device": ("deviceName|type|identifier",),
    "DiagnosticReport": ("status", "category", "code", "subject", "effective", "issued"),
    "DocumentReference": ("status", "type", "subject", "content"),
    "Encounter": ("status", "class", "type", "subject"),
    "Goal": ("lifecycleStatus", "description", "subject"),
    "Immunization": ("status", "vaccineCode", "patient", "occurrence", "primarySource"),
    "Location": ("name",),
    "MedicationDispense": ("status", "medication", "subject"),
    "MedicationRequest": ("status", "intent", "medication", "subject", "authoredOn", "requester"),
    "Observation": ("status", "code", "subject", "effective", "value|dataAbsentReason|hasMember|component"),
    "Procedure": ("status", "code", "subject", "performed"),
    "RelatedPerson": ("active", "patient", "relationship|name"),
    "ServiceRequest": ("status", "intent", "code", "subject"),
    "Specimen": ("type",),
}
"""A name stands for the element, its `_` twin, and the types of a choice; `|` for one or the other."""


def missing(resource: dict[str, Any]) -> Iterator[str]:
    for wanted in MANDATORY.get(resource["resourceType"], ()):
        names = tuple(f"{twin}{name}" for name in wanted.split("|") for twin in ("", "_"))
        if not any(key in names or key.startswith(names) for key in resource):
            yield f"{resource['resourceType']}.{wanted}"


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
def test_nothing_mandatory_is_missing(path: Path) -> None:
    bundle = convert(path.read_bytes(), patient_id="p1").bundle

    assert [fault for entry in bundle["entry"] for fault in missing(entry["resource"])] == []


def test_what_is_missing_is_seen() -> None:
    assert list(missing({"resourceType": "Goal", "_lifecycleStatus": {}, "description": {}})) == ["Goal.subject"]
