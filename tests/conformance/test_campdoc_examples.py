"""CampDoc's printed payloads: each becomes valid FHIR, goes back as it came, and looks like the stand-in's answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.fhir import gate, json
from gateway.sandbox.campdoc_camp import seeded, shown, truncated
from gateway.translators.json.campdoc import Systems, from_group, from_profile, from_registration, to_profile

pytestmark = pytest.mark.shared

SYSTEMS = Systems("12345", "https://gateway.example/fhir")
FIELDS = ("givenName", "middleName", "familyName", "dob", "sex")


@pytest.fixture
def examples(shared: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.decode((shared / "partners" / "campdoc-examples.json").read_bytes())
    return found


def rows(examples: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Every object of that name, alone or in a list; only what they answer, which has an id."""
    for example in examples.values():
        if isinstance(example, dict):
            found = [*example.get(f"{name}s", []), *([example[name]] if name in example else [])]
            yield from (row for row in found if isinstance(row, dict) and "id" in row)


def test_profiles(examples: dict[str, Any]) -> None:
    found = list(rows(examples, "profile"))
    assert len(found) > 5
    stand_in = shown(next(iter(seeded().profiles.values())))
    for profile in found:
        patient = from_profile(profile, SYSTEMS).patient
        gate.require(patient)
        assert to_profile(patient) == {name: profile[name] for name in FIELDS}
        assert profile.keys() == stand_in.keys()


def test_groups(examples: dict[str, Any]) -> None:
    found = list(rows(examples, "group"))
    assert len(found) > 5
    stand_in = seeded().groups[502]
    for group in found:
        gate.require(from_group(group, SYSTEMS))
        assert group.keys() in (stand_in.keys(), truncated(stand_in).keys())


def test_registrations(examples: dict[str, Any]) -> None:
    found = list(rows(examples, "registration"))
    assert len(found) > 5
    camp = seeded()
    stand_in = camp.register(next(iter(camp.profiles.values())), {"groupID": 502, "type": "patient"})
    for registration in found:
        made = from_registration(registration, SYSTEMS)
        gate.require(made)
        assert made["period"]["start"].endswith("Z")
        assert registration.keys() == stand_in.keys()
