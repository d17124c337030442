"""The checked-in schemas: what the models say, what is corrected, and that they are up to date."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import jsonschema_rs
import pytest

from gateway.fhir import gate
from gateway.fhir.gate_keywords import KEYWORDS
from gateway.fhir.gate_schemas import reference_pattern, schema, validator
from gateway.fhir.gate_types import R4_TYPES, REFUSED, TYPES
from tests.conftest import ROOT, SHARED

SCHEMAS = ROOT / "gateway" / "fhir" / "schemas"


def test_schemas_are_what_the_models_say() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "tools" / "make_schemas.py", "--check"], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr


def test_one_file_a_type_and_few_bytes() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} == TYPES | {"datatypes"}
    assert sum(path.stat().st_size for path in SCHEMAS.glob("*.json")) < 2_000_000


@pytest.mark.parametrize("name", sorted(TYPES))
def test_every_type_is_a_valid_schema(name: str) -> None:
    whole = schema(name, local=False)
    assert jsonschema_rs.meta.is_valid(whole)
    assert whole["$defs"][name]["properties"]["resourceType"] == {"const": name}


def test_every_type_builds_and_refuses_what_it_does_not_know() -> None:
    for name in ("Patient", "Bundle", "StructureDefinition", "ElementDefinition"):
        if name in TYPES:
            assert not validator(name).is_valid({"resourceType": name, "nonsense": 1})
    assert [issue.code for issue in gate.check({"resourceType": "Slot", "nonsense": 1})].count("structure") == 1


def test_all_types_of_r4_are_either_held_or_refused() -> None:
    assert len(R4_TYPES) == 146
    assert not TYPES & REFUSED.keys()


def text_of_all_files() -> str:
    return "".join(path.read_text() for path in SCHEMAS.glob("*.json"))


def test_no_list_is_cut_short() -> None:
    lists = re.findall(r'"enum":\[([^\]]*)\]', text_of_all_files())
    assert len(lists) > 250
    assert not [codes for codes in lists if '"+"' in codes or '"etc."' in codes]


def test_the_keywords_are_used() -> None:
    used = set(
        re.findall(
            r'"(first_entry|ordered|twins|unique_full_urls|value_in_component|whole|xhtml)":', text_of_all_files()
        )
    )
    assert used <= KEYWORDS.keys()
    assert {"first_entry", "ordered", "twins", "unique_full_urls", "value_in_component"} <= used


def codes_at(path: str) -> set[str] | None:
    """The closed list of codes at `Observation.status` or `TimingRepeat.when`."""
    owner, element = path.split(".")
    definitions = {}
    for file in SCHEMAS.glob("*.json"):
        definitions |= json.loads(file.read_text())
    node = definitions[owner]["properties"][element]
    node = node.get("items", node)
    return {code for code in node["enum"] if code is not None} if "enum" in node else None


def test_open_lists_are_open() -> None:
    assert codes_at("CapabilityStatement.format") is None
    assert codes_at("Expression.language") is None


def test_completed_lists() -> None:
    assert {"corrected", "cancelled", "entered-in-error", "unknown"} < (codes_at("Observation.status") or set())
    assert codes_at("Quantity.comparator") == {"<", "<=", ">=", ">"}
    assert "AFT.late" in (codes_at("TimingRepeat.when") or ())


R5 = {"DetectedIssue.status"}
"""Listed there with the codes of R5; in R4 it is bound to ObservationStatus: the models say `registered | .. +`."""


def test_outside_code_lists() -> None:
    listed = SHARED / "fhir" / "required-code-lists.json"
    rows = json.loads(listed.read_text()) if listed.is_file() else {}
    for path, codes in rows.items():
        if not path.startswith("_") and path not in R5:
            assert codes_at(path) == set(codes), path


@pytest.mark.parametrize(
    ("reference", "plain", "local"),
    [
        ("Patient/1", True, True),
        ("Patient/1/_history/2", True, True),
        ("Patient?identifier=a|b", True, True),
        ("http://other.example.org/Practitioner/1", True, True),
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", True, True),
        ("#", False, True),
        ("#p1", False, True),
        ("Practitioner/1", False, False),
        ("/Patient/1", False, False),
        ("Patient/", False, False),
        ("Patient", False, False),
        ("Patient/1/2", False, False),
        ("PatientX/1", False, False),
        ("", False, False),
        ("Patient/1\n", False, False),
    ],
)
def test_reference_pattern(reference: str, plain: bool, local: bool) -> None:
    for contained, expected in ((False, plain), (True, local)):
        schema = {"type": "string", "pattern": reference_pattern(["Patient"], local=contained)}
        made = jsonschema_rs.Draft202012Validator(schema, pattern_options=jsonschema_rs.RegexOptions())
        assert made.is_valid(reference) is expected


def test_patterns_are_linear() -> None:
    """A text made to explode a backtracking engine is refused at once."""
    long = "a " * 200_000 + "\u0000"
    assert gate.check({"resourceType": "Basic", "code": {"coding": [{"code": long}]}}) != []
