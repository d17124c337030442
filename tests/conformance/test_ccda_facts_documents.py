"""What the special documents must mean in FHIR: nothing known, refused, repeated ids, times, bad input."""

from __future__ import annotations

import pytest

from gateway.errors import InvalidInput, NotConformant, Unparsable
from gateway.translators.ccda import convert
from tests.conformance.ccda_facts import ARC, PATIENT_ID, fixture, read, reading, select, tree, values


# nothing known
def test_no_known_allergy_is_said_as_a_code() -> None:
    """CF-NoKnownAllergies: the kind of allergy that is negated decides the code."""
    known = read("no-known")
    assert values(known.entry("NK-1A"), "code.coding.code") == ["716186003"]
    assert values(known.entry("NK-2A"), "code.coding.code") == ["409137002"]


def test_no_known_problem_is_no_problem() -> None:
    """Negated by status or by the code 160245001 "No current problems or disability" (CF-problems)."""
    problem = read("no-known").entry("NK-4")
    negated = values(problem, "verificationStatus.coding.code") == ["refuted"]
    assert negated or values(problem, "code.coding.code") == ["160245001"]


def test_no_known_medication_is_never_taken() -> None:
    for medication in read("no-known").all("MedicationRequest", "MedicationStatement"):
        assert medication.get("doNotPerform") is True or medication["status"] == "not-taken"


def test_sections_without_information_keep_their_words_alone() -> None:
    (composition,) = read("no-known").all("Composition")
    sections = {section["title"]: section for section in composition["section"]}
    for title, words in (
        ("Immunizations", "No information"),
        ("Results", "No information"),
        ("Vital Signs", "Not measured"),
    ):
        assert "entry" not in sections[title]
        assert words in sections[title]["text"]["div"]


def test_nothing_known_makes_no_result() -> None:
    assert read("no-known").all("Observation", "DiagnosticReport", "Immunization") == []


# refused
@pytest.mark.parametrize(
    ("entry", "status", "reason"),
    [
        ("RI-1", "not-done", ["RELIG"]),
        ("RI-2", "not-done", ["IMMUNE"]),
        ("RI-3", "not-done", ["OSTOCK"]),
        ("RI-4", "completed", []),
        ("RI-5", "completed", []),
    ],
)
def test_vaccination(entry: str, status: str, reason: list[str]) -> None:
    shot = read("refused-immunization").entry(entry, "Immunization")
    assert shot["status"] == status
    assert values(shot, "statusReason.coding.code") == reason
    assert "reasonCode" not in shot


def test_vaccination_on_an_unknown_date_says_so() -> None:
    """occurrence[x] is required: an absent reason, not a date (FHIR R4 §11.7)."""
    shot = read("refused-immunization").entry("RI-4")
    assert "occurrenceDateTime" not in shot
    assert values(shot, "_occurrenceDateTime.extension.valueCode") == ["unknown"] or "occurrenceString" in shot


def test_vaccination_some_time_in_a_year_keeps_the_year() -> None:
    assert read("refused-immunization").entry("RI-5")["occurrenceDateTime"] == "2025"


# one id, different entries
def test_one_id_on_different_entries_keeps_them_apart() -> None:
    found = read("duplicate-ids").by_identifier("DUP")
    kinds = sorted(resource["resourceType"] for resource in found)
    assert kinds == [
        "AllergyIntolerance",
        "Condition",
        "Condition",
        "Condition",
        "DiagnosticReport",
        *["Observation"] * 2,
    ]
    assert len({resource["id"] for resource in found}) == len(found)


def test_one_problem_said_twice_is_one_condition() -> None:
    found = read("duplicate-ids").by_identifier("DUP", "Condition")
    said = sorted((values(each, "code.coding.code")[0], each["onsetDateTime"]) for each in found)
    assert said == [("44054006", "2020-01-01"), ("84114007", "2020-01-01"), ("84114007", "2023-05-05")]


def test_results_with_one_id_keep_their_own_values() -> None:
    found = read("duplicate-ids").by_identifier("DUP", "Observation")
    said = {values(each, "code.coding.code")[0]: str(each["valueQuantity"]["value"]) for each in found}
    assert said == {"2951-2": "139", "2823-3": "4.1"}


# times: form in the document, what FHIR can say without inventing anything (HL7 C-CDA on FHIR, Time/Dates)
TIMES: list[tuple[str, str | None]] = [
    ("year", "2019"),
    ("month", "2019-03"),
    ("day", "2019-03-14"),
    ("hour-zone", "2019-03-14"),  # FHIR has no hour without minutes
    ("hour-bare", "2019-03-14"),
    ("minute-zone", "2019-03-14T15:30:00-05:00"),  # R4 asks for seconds and allows zeros
    ("minute-bare", "2019-03-14"),  # a time needs a zone
    ("second-zone", "2019-03-14T15:30:45-05:00"),
    ("second-bare", "2019-03-14"),
    ("half-hour-zone", "2019-03-14T15:30:45-03:30"),
    ("fraction-zone", "2019-03-14T15:30:45.120+01:00"),
    ("east-zone", "2019-03-14T00:30:45+13:45"),
    ("day-zone", "2019-03-14"),
    ("leap-day", "2020-02-29"),
    ("no-such-day", None),
    ("no-such-month", None),
    ("no-digits", None),
    ("null", None),
    ("interval-same", "2019-03-14T15:30:00-05:00"),
]


@pytest.mark.parametrize(("form", "expected"), TIMES, ids=[form for form, _ in TIMES])
def test_time(form: str, expected: str | None) -> None:
    observation = read("times").entry(form)
    assert observation.get("effectiveDateTime") == expected
    assert "effectivePeriod" not in observation


def test_universal_time() -> None:
    assert read("times").entry("second-utc")["effectiveDateTime"] in (
        "2019-03-14T15:30:45+00:00",
        "2019-03-14T15:30:45Z",
    )


@pytest.mark.parametrize(
    ("form", "start", "end"),
    [
        ("both", "2019-03-14", "2019-03-16"),
        ("high-only", None, "2019-03-16"),
        ("low-null", None, "2019-03-16T12:00:00-05:00"),
        ("high-null", "2019", None),
        ("low-only", "2019-03-14", None),
        ("mixed", "2019", "2019-03-16T10:15:00-05:00"),
    ],
)
def test_interval(form: str, start: str | None, end: str | None) -> None:
    """A known start alone may be a Period or the date itself; nothing stands in for what is not known."""
    observation = read("times").entry(f"interval-{form}")
    if "effectivePeriod" in observation:
        period = observation["effectivePeriod"]
        assert (period.get("start"), period.get("end")) == (start, end)
    else:
        assert (observation.get("effectiveDateTime"), end) == (start, None)


def test_measured_values_survive_impossible_times() -> None:
    found = read("times").all("Observation")
    assert len(found) == 27


# what nobody understands
def test_unknown_entries_are_listed_and_the_rest_converted() -> None:
    unknown = read("unknown-entries")
    assert values(unknown.entry("UNK-1"), "code.coding.code") == ["195967001"]
    root = tree(fixture("unknown-entries").read_bytes())
    told = {
        kind: [select(root, each["xpath"]) for section in unknown.report["sections"] for each in section[kind]]
        for kind in ("notUnderstood", "fellBack")
    }
    extension = "string(descendant-or-self::*/*[local-name()='id']/@extension)"
    names = {kind: sorted(element.xpath(extension) for element in elements) for kind, elements in told.items()}
    assert names == {"notUnderstood": ["", "UNK-2", "UNK-3"], "fellBack": ["", "UNK-4", "UNK-5"]}


def test_section_of_our_own_keeps_its_words() -> None:
    (composition,) = read("unknown-entries").all("Composition")
    (section,) = [each for each in composition["section"] if each["title"] == "Invented section"]
    assert "A section of our own" in section["text"]["div"]


# documents with a fault
def test_without_record_target_there_is_a_bare_patient_and_an_issue() -> None:
    nobody = read("no-record-target")
    patient = nobody.one("Patient")
    assert set(patient) <= {"resourceType", "id", "meta"}
    assert patient["id"] == PATIENT_ID
    assert any("recordTarget" in f"{issue.diagnostics} {issue.expression}" for issue in nobody.issues)
    assert values(nobody.entry("NRT-1"), "subject.reference") == [f"Patient/{PATIENT_ID}"]


def test_without_record_target_ingestion_is_refused() -> None:
    data = fixture("no-record-target").read_bytes()
    with pytest.raises(NotConformant):
        convert(data, patient_id=PATIENT_ID, require_patient=True)


def test_root_without_namespace_is_read_and_reported() -> None:
    bare = read("no-namespace")
    assert values(bare.entry("NNS-2"), "code.coding.code") == ["195967001"]
    assert values(bare.one("Patient"), "name.family") == ["Halloway"]
    assert any("namespace" in issue.diagnostics for issue in bare.issues)


@pytest.mark.parametrize("name", ["doctype", "not-well-formed"])
def test_refused_with_one_clear_error_that_quotes_nothing(name: str) -> None:
    with pytest.raises(Unparsable) as refused:
        convert(fixture(name).read_bytes(), patient_id=PATIENT_ID)
    assert "Vandersea" not in str(refused.value)
    assert "Larkfield" not in str(refused.value)


def test_not_well_formed_says_where() -> None:
    data = fixture("not-well-formed").read_bytes()
    line = data[: data.index(b"</structured>")].count(b"\n") + 1
    with pytest.raises(Unparsable, match=rf"\b{line}\b"):
        convert(data, patient_id=PATIENT_ID)


@pytest.mark.parametrize("patient_id", ["", "a b", "x" * 65, "Patient/1", "ä"])
def test_patient_id_that_is_no_id(patient_id: str) -> None:
    with pytest.raises(InvalidInput):
        convert(fixture("minimal").read_bytes(), patient_id=patient_id)


def test_letter_is_kept_whole() -> None:
    """A body that is no XML: its bytes stand in a Binary or an attachment, or the report says they do not."""
    letter = read("unstructured")
    text = "U2VlbiB0b2RheSwgbm90aGluZyBuZXcuIEludmVudGVkIHRleHQuCg=="
    kept = [r for r in letter.all("Binary", "DocumentReference") if text in str(r)]
    told = any("nonXMLBody" in f"{issue.diagnostics} {issue.expression}" for issue in letter.issues)
    assert kept or told


def test_first_release_document_means_the_same() -> None:
    old = read("r1-1-ccd")
    allergy = old.entry("R11-A1")
    assert values(allergy, "code.coding.code") == ["2670"]
    assert (allergy["type"], allergy["category"]) == ("intolerance", ["medication"])
    assert values(allergy, "reaction.manifestation.coding.code") == ["422587007"]
    assert values(allergy, "reaction.severity") == ["mild"]  # severity beside the reaction counts for it (CF-allergies)
    assert values(old.entry("R11-P1"), "code.coding.code") == ["194828000"]
    assert values(old.entry("R11-M"), "dosageInstruction.doseAndRate.doseQuantity.code") == ["mg"]
    assert values(old.entry("R11-R1"), "referenceRange.text") == ["M 13-18 g/dl; F 12-16 g/dl"]
    assert str(old.entry("R11-R1")["valueQuantity"]["value"]) == "13.2"
    pressure = old.entry("R11-V2")
    assert values(pressure, "code.coding.code") == ["85354-9"]
    assert values(pressure, "component.code.coding.code") == ["8480-6", "8462-4"]
    assert values(pressure, "component.valueQuantity.value")[1] == 86


def test_demo_document_brings_an_allergy_and_a_problem() -> None:
    demo = read("demo-ccd")
    (allergy,) = demo.all("AllergyIntolerance")
    assert values(allergy, "code.coding.code") == ["70618"]
    assert values(allergy, "reaction.severity") == ["moderate"]
    assert allergy["onsetDateTime"] == "2011"
    (problem,) = demo.all("Condition")
    assert values(problem, "code.coding.code") == ["195967001", "J45.909"]
    assert values(problem, "clinicalStatus.coding.code") == ["active"]
    assert problem["onsetDateTime"] == "2019-03"


def test_other_bytes_of_the_same_document_mean_the_same() -> None:
    """The encoding is no content."""
    data = fixture("demo-ccd").read_bytes()
    other = data.decode().replace('encoding="UTF-8"', 'encoding="UTF-16"').encode("utf-16")
    assert convert(other, patient_id=PATIENT_ID).bundle == reading(data).bundle
    assert f"urn:oid:{ARC}.1" in str(reading(data).bundle)
