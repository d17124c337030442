"""What a resource points at, what that means inside a Bundle, and how it is rewritten."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from gateway.fhir import bundle, elements, json, references
from gateway.fhir.references import Local
from tests.conftest import shared_files

BASE = "https://gateway.example/fhir"
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "contained": [{"resourceType": "Specimen", "id": "s", "subject": {"reference": "urn:uuid:1"}}],
    "subject": {"reference": "urn:uuid:1", "display": "her"},
    "performer": [
        {"identifier": {"system": "http://npi.example", "value": "1"}},
        {"reference": "Practitioner?identifier=http://npi.example|2"},
        {"reference": "https://other.example/fhir/Practitioner/3"},
    ],
    "specimen": {"reference": "#s"},
    "derivedFrom": [{"reference": "Observation/4/_history/2"}],
    "identifier": [{"system": "urn:ietf:rfc:3986", "value": "urn:uuid:1"}],
    "extension": [{"url": "urn:uuid:1", "valueCanonical": "urn:uuid:1"}],
}


def test_finds_every_reference_in_one_walk() -> None:
    found = {ref.path: (ref.kind, ref.value) for ref in references.collect(OBSERVATION)}
    assert found == {
        "contained[0].subject.reference": ("urn", "urn:uuid:1"),
        "subject.reference": ("urn", "urn:uuid:1"),
        "performer[0]": ("identifier", ""),
        "performer[1].reference": ("conditional", "Practitioner?identifier=http://npi.example|2"),
        "performer[2].reference": ("absolute", "https://other.example/fhir/Practitioner/3"),
        "specimen.reference": ("contained", "#s"),
        "derivedFrom[0].reference": ("relative", "Observation/4/_history/2"),
        "extension[0].url": ("link", "urn:uuid:1"),
    }


@pytest.mark.parametrize(
    "value", ["", "Patient", "Patient/", "patient/1", "Patient/1/2", "Patient/a b", "Patient/é", "1"]
)
def test_what_is_no_reference_is_unreadable(value: str) -> None:
    assert references.kind_of(value) == "unreadable"


def test_a_resource_with_an_identifier_is_no_logical_reference() -> None:
    assert references.collect({"resourceType": "Composition", "identifier": {"value": "1"}}) == ()


def test_rewrites_only_what_the_mapping_knows_and_nothing_else() -> None:
    before = copy.deepcopy(OBSERVATION)
    after = references.rewrite(OBSERVATION, {"urn:uuid:1": "Patient/9"})
    assert before == OBSERVATION
    assert after["subject"] == {"reference": "Patient/9", "display": "her"}
    assert after["contained"][0]["subject"] == {"reference": "Patient/9"}
    assert after["identifier"] == before["identifier"]
    assert after["extension"][0]["valueCanonical"] == "urn:uuid:1"
    assert after["performer"] is OBSERVATION["performer"]
    assert after["identifier"] is OBSERVATION["identifier"]


def test_rewrites_several_of_one_list() -> None:
    care_team = {"resourceType": "CareTeam", "reasonReference": [{"reference": f"urn:uuid:{n}"} for n in range(3)]}
    after = references.rewrite(care_team, {"urn:uuid:0": "Condition/a", "urn:uuid:2": "Condition/c"})
    assert [one["reference"] for one in after["reasonReference"]] == ["Condition/a", "urn:uuid:1", "Condition/c"]


def test_nothing_to_rewrite_is_the_same_object() -> None:
    assert references.rewrite(OBSERVATION, {"urn:uuid:2": "Patient/9"}) is OBSERVATION


def test_rewrites_attachments_uris_and_narrative_links() -> None:
    """FHIR R4 §3.1.0.11.2: uri, url and href follow, canonicals do not."""
    document = {
        "resourceType": "DocumentReference",
        "text": {
            "status": "generated",
            "div": "<div><a href=\"urn:uuid:b\">x</a><img src='urn:uuid:b'/>urn:uuid:b</div>",
        },
        "content": [{"attachment": {"url": "urn:uuid:b"}}],
        "extension": [{"url": "http://x.example", "valueUri": "urn:uuid:b"}],
    }
    after = references.rewrite(document, {"urn:uuid:b": "Binary/7"})
    assert after["content"][0]["attachment"]["url"] == "Binary/7"
    assert after["extension"][0]["valueUri"] == "Binary/7"
    assert [ref.value for ref in references.collect(document)] == ["urn:uuid:b"] * 3
    assert after["text"]["div"] == "<div><a href=\"Binary/7\">x</a><img src='Binary/7'/>urn:uuid:b</div>"


def test_a_narrative_with_several_links_is_rewritten_whole() -> None:
    div = '<div><a href="urn:uuid:a">1</a><a href="urn:uuid:b">2</a><a href="urn:uuid:a">3</a></div>'
    patient = {"resourceType": "Patient", "text": {"div": div}}
    after = references.rewrite(patient, {"urn:uuid:a": "List/1", "urn:uuid:b": "List/2"})
    assert after["text"]["div"] == '<div><a href="List/1">1</a><a href="List/2">2</a><a href="List/1">3</a></div>'
    assert patient["text"] == {"div": div}


def test_the_name_of_a_definition_is_no_pointer() -> None:
    value_set = {"resourceType": "ValueSet", "url": "urn:uuid:1"}
    assert references.rewrite(value_set, {"urn:uuid:1": "ValueSet/9"}) is value_set


def test_the_same_element_is_rewritten_through_collected_references() -> None:
    refs = references.collect(OBSERVATION)
    mapping = {"urn:uuid:1": "Patient/9"}
    assert references.rewrite(OBSERVATION, mapping, refs) == references.rewrite(OBSERVATION, mapping)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Patient/1", Local("Patient", "1")),
        ("Patient/1/_history/2", Local("Patient", "1", "2")),
        (f"{BASE}/Patient/1", Local("Patient", "1")),
        (f"{BASE}/Patient/1/_history/2", Local("Patient", "1", "2")),
        ("https://gateway.example/fhirx/Patient/1", None),
        ("https://other.example/fhir/Patient/1", None),
        ("urn:uuid:1", None),
        ("#1", None),
        ("Patient?identifier=1", None),
    ],
)
def test_what_a_reference_names_on_this_server(value: str, expected: Local | None) -> None:
    assert references.local(value, BASE) == expected
    if expected:
        assert str(expected) == value.removeprefix(f"{BASE}/")


def test_a_conditional_reference_has_a_type_and_a_query() -> None:
    assert references.condition("Patient?identifier=a|b") == ("Patient", "identifier=a|b")
    assert references.condition("Patient/1") is None


def entries(*named: tuple[str | None, str, str | None]) -> list[bundle.Entry]:
    """A transaction of POSTs: (fullUrl, type, id)."""
    raw = [
        {
            **({"fullUrl": full_url} if full_url else {}),
            "request": {"method": "POST", "url": kind},
            "resource": {"resourceType": kind, **({"id": id_} if id_ else {})},
        }
        for full_url, kind, id_ in named
    ]
    return bundle.read({"resourceType": "Bundle", "type": "transaction", "entry": raw})


def means(value: str, full_url: str | None, *named: tuple[str | None, str, str | None]) -> int | None:
    (ref,) = references.collect({"subject": {"reference": value}})
    return bundle.targets(entries(*named), BASE).find(ref, full_url)


A, B = "https://a.example/fhir", "https://b.example/fhir"


def test_a_urn_means_the_entry_with_that_full_url() -> None:
    assert means("urn:uuid:2", None, ("urn:uuid:1", "Patient", None), ("urn:uuid:2", "Patient", None)) == 1
    assert means("urn:uuid:3", None, ("urn:uuid:1", "Patient", None)) is None


def test_a_relative_reference_is_read_against_its_own_entry() -> None:
    """FHIR R4 §2.36.4.1: two servers' Patient/1 in one Bundle are two patients."""
    both = ((f"{A}/Patient/1", "Patient", "1"), (f"{B}/Patient/1", "Patient", "1"))
    assert means("Patient/1", f"{A}/Observation/5", *both) == 0
    assert means("Patient/1", f"{B}/Observation/5", *both) == 1
    assert means("Patient/1", "urn:uuid:5", *both) is None


def test_a_relative_reference_beside_urns_is_read_by_name() -> None:
    assert means("Patient/1", "urn:uuid:5", ("urn:uuid:1", "Patient", "1")) == 0
    assert means("Patient/1/_history/4", None, (None, "Patient", "1")) == 0
    assert means("Patient/2", "urn:uuid:5", ("urn:uuid:1", "Patient", "1")) is None
    assert means("Observation/1", "urn:uuid:5", ("urn:uuid:1", "Patient", "1")) is None


def test_an_absolute_reference_means_an_entry_or_stays() -> None:
    assert means(f"{A}/Patient/1", None, (f"{A}/Patient/1", "Patient", "1")) == 0
    assert means(f"{A}/Patient/1/_history/3", None, (f"{A}/Patient/1", "Patient", "1")) == 0
    assert means(f"{B}/Patient/1", None, (f"{A}/Patient/1", "Patient", "1")) is None
    assert means(f"{BASE}/Patient/1", None, ("urn:uuid:1", "Patient", "1")) == 0


@pytest.mark.parametrize("value", ["#Patient/1", "Patient?identifier=1", "Patient"])
def test_other_forms_mean_no_entry(value: str) -> None:
    assert means(value, None, (None, "Patient", "1")) is None


def test_a_reference_to_nothing_says_where() -> None:
    ref = references.collect(OBSERVATION)[1]
    issue = references.dangling(ref, "Bundle.entry[2].resource")
    assert (issue.severity, issue.code) == ("error", "not-found")
    assert issue.expression == "Bundle.entry[2].resource.subject.reference"
    assert "urn:uuid:1" not in issue.diagnostics


@pytest.mark.parametrize(
    ("resource", "patient"),
    [
        ({"resourceType": "Patient", "id": "1"}, "Patient/1"),
        ({"resourceType": "Patient"}, None),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/1"}}, "Patient/1"),
        ({"resourceType": "Observation", "subject": {"reference": "Patient/1/_history/2"}}, "Patient/1"),
        ({"resourceType": "Observation", "subject": {"reference": "Group/1"}}, None),
        ({"resourceType": "Observation", "subject": {"reference": "urn:uuid:1"}}, None),
        ({"resourceType": "Observation", "performer": [{"reference": "Patient/1"}]}, None),
        ({"resourceType": "Observation", "subject": "Patient/1"}, None),
        ({"resourceType": "Coverage", "beneficiary": {"reference": "Patient/1"}}, "Patient/1"),
        ({"resourceType": "Task", "for": {"reference": "Patient/1"}, "focus": {"reference": "Patient/2"}}, "Patient/1"),
        ({"resourceType": "Account", "subject": [{"reference": "Device/1"}, {"reference": "Patient/1"}]}, "Patient/1"),
        (
            {"resourceType": "Provenance", "target": [{"reference": "Observation/1"}, {"reference": "Patient/1"}]},
            "Patient/1",
        ),
        (
            {
                "resourceType": "Appointment",
                "participant": [{"status": "accepted"}, {"actor": {"reference": "Patient/1"}, "status": "accepted"}],
            },
            "Patient/1",
        ),
        ({"resourceType": "AppointmentResponse", "actor": {"reference": "Patient/1"}}, "Patient/1"),
        ({"resourceType": "Practitioner", "id": "1"}, None),
        ({"resourceType": ["Observation"], "subject": {"reference": "Patient/1"}}, None),
        ({}, None),
    ],
)
def test_whose_a_resource_is(resource: dict[str, Any], patient: str | None) -> None:
    assert references.compartment(resource) == patient


@pytest.mark.parametrize(("kind", "element"), references.PATIENT_ELEMENT.items())
def test_the_patient_element_is_one_of_its_type(kind: str, element: str) -> None:
    names = {field.alias or name for name, field in get_fhir_model_class(kind).model_fields.items()}
    assert element in names


def test_what_has_a_system_may_still_hold_a_pointer() -> None:
    pointer = {"url": "http://x", "valueReference": {"reference": "Patient/1"}}
    coding = {"system": "http://loinc.org", "code": "1", "extension": [pointer]}
    quantity = {"system": "http://unitsofmeasure.org", "value": 1, "_value": {"extension": [pointer]}}
    found = references.collect({"resourceType": "Observation", "code": {"coding": [coding]}, "valueQuantity": quantity})
    assert [ref.value for ref in found] == ["Patient/1", "Patient/1"]


@pytest.mark.shared
@pytest.mark.parametrize("path", shared_files("fhir/official-r4/*.json"), ids=lambda path: path.stem)
def test_official_examples_are_walked_whole(path: Path) -> None:
    resource = json.decode(path.read_bytes())
    found = [ref.value for ref in references.collect(resource) if ref.path.endswith("reference")]
    assert sorted(found) == sorted(_naive(resource))
    before = json.encode(resource)
    after = references.rewrite(resource, dict.fromkeys(found, "Patient/rewritten"))
    assert set(_naive(after)) <= {"Patient/rewritten"}
    assert json.encode(resource) == before


def _naive(node: Any) -> list[str]:
    if isinstance(node, list):
        return [value for item in node for value in _naive(item)]
    if not isinstance(node, dict):
        return []
    own = [node["reference"]] if isinstance(node.get("reference"), str) else []
    return own + [value for item in node.values() for value in _naive(item)]


def test_what_may_be_several_patients_is_known() -> None:
    lists = {type_ for type_, name in references.PATIENT_ELEMENT.items() if _is_list(type_, name)}
    assert lists == references.SHARED


def _is_list(type_: str, name: str) -> bool:
    found = elements.of_type(type_, name)
    return found is not None and found.many


def test_the_compartments_of_what_two_share() -> None:
    named = ("Patient/1", "Practitioner/2", "Patient/3/_history/2", "https://elsewhere.example/fhir/Patient/4", "#p")
    booked = {"resourceType": "Appointment", "participant": [{"actor": {"reference": one}} for one in named]}
    assert references.compartments(booked) == ["Patient/1", "Patient/3"]
    assert references.compartment(booked) == "Patient/1"
    assert references.compartments({"resourceType": "Appointment", "participant": [{"actor": {}}, {}]}) == []
