"""Whatever JSON comes, the gate answers with issues: it neither raises nor ends the process."""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir import gate, json
from gateway.fhir.gate_types import TYPES
from tests.unit.fhir.gate_samples import VALID

NAMES = st.sampled_from(
    """resourceType id _id meta text div contained extension _extension url valueString valueReference reference entry
    resource response outcome parameter part name _name given _given status _status code coding period start end value
    type component section birthDate _birthDate modifierExtension fullUrl request""".split()  # noqa: SIM905
)
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.decimals() | st.floats() | st.text(max_size=8)
    | st.sampled_from([*sorted(TYPES)[:30], "Bundle", "Parameters", "Patient"])
    | st.sampled_from(["#", "#a", "2024-02-30", "T", "<div/>", "\ud800"])
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=20
)
RESOURCES = st.builds(
    lambda name, rest: {**rest, "resourceType": name},
    st.sampled_from(["Patient", "Observation", "Bundle", "Parameters", "Composition", "Basic"]),
    st.dictionaries(NAMES, VALUES, max_size=6),
)


@given(VALUES | RESOURCES)
@settings(max_examples=400, deadline=None)
def test_arbitrary_json(value: Any) -> None:
    found = gate.check(value)
    assert len(found) <= 20
    assert all(issue.severity == "error" and issue.diagnostics for issue in found)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every container and key in a tree."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = [(node, key) for key, _ in inner]
    return found + [place for _, value in inner for place in places(value)]


@given(st.sampled_from(VALID), st.integers(0, 10_000), SCALARS | VALUES)
@settings(max_examples=400, deadline=None)
def test_one_place_replaced(resource: dict[str, Any], seed: int, value: Any) -> None:
    changed = deepcopy(resource)
    holder, key = random.Random(seed).choice(places(changed))
    unchanged = repr(holder[key]) == repr(value)  # not ==, as Python has True == 1
    holder[key] = value
    found = gate.check(changed)
    assert found == gate.check(changed)
    assert not (unchanged and found)


@given(st.sampled_from(VALID), st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_one_element_too_many(resource: dict[str, Any], seed: int) -> None:
    """An element that no type has is found wherever it is put."""
    changed = deepcopy(resource)
    holders = [holder for holder, key in places(changed) if isinstance(holder, dict)]
    random.Random(seed).choice(holders)["nonsense"] = 1
    found = gate.check(changed)
    assert [issue.code for issue in found] == ["structure"]
    assert (found[0].expression or "").endswith(".nonsense")


@given(st.sampled_from(VALID))
def test_the_check_changes_nothing(resource: dict[str, Any]) -> None:
    before = json.encode(resource)
    gate.check(resource)
    assert json.encode(resource) == before


def test_wide_and_huge() -> None:
    assert gate.check({"resourceType": "Patient", "name": [{}] * 10_000}) != []
    assert gate.check({"resourceType": "Patient", **{f"x{n}": n for n in range(10_000)}}) != []
    assert gate.check({"resourceType": "Patient", "multipleBirthInteger": 10**5000}) != []
    assert gate.check({"resourceType": "Patient", 5: 1}) != []
    assert gate.check({"resourceType": "Patient", "active": object()}) != []
    assert gate.check(None) != []
