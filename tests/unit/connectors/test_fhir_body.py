"""References between a FHIR server and us: what names a resource of ours, and what only looks like it."""

from __future__ import annotations

import pytest

from gateway.connectors.fhir_body import as_ours
from gateway.connectors.protocol import Side

SIDE = Side(ours="https://gateway.test/fhir", id_system="https://registry.test/id")


@pytest.mark.parametrize(
    ("system", "found"),
    [
        ("https://gateway.test/fhir/Patient", {"reference": "Patient/ada"}),
        ("Patient", None),
        ("https://elsewhere.test/fhir/Patient", None),
        ("https://gateway.test/fhir/Nothing", None),
    ],
)
def test_an_identifier_names_a_resource_of_ours_by_our_address_only(system: str, found: dict[str, str] | None) -> None:
    told = {"identifier": {"system": system, "value": "ada"}}
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}, "subject": told}
    assert as_ours(body, SIDE, {})["subject"] == (found or told)
