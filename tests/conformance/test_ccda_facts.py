"""What the full document says, one fact a line, read from the document by hand and looked up in the FHIR that came out.

Expectations follow HL7 C-CDA on FHIR and FHIR R4, never the converter's output.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.ccda_facts import ARC, Reading, Resource, extension, read, values

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
CONDITION_STATUS = "http://terminology.hl7.org/CodeSystem/condition-clinical"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition"

# entry's id in the document, FHIR path, every value there in the document's order
FACTS: list[tuple[str, str, list[Any]]] = [
    # allergies
    ("AL-1", "resourceType", ["AllergyIntolerance"]),
    ("AL-1", "clinicalStatus.coding.code", ["active"]),
    ("AL-1", "type", ["allergy"]),
    ("AL-1", "category", ["medication"]),
    ("AL-1", "criticality", ["high"]),
    ("AL-1", "code.coding.system", [RXNORM]),
    ("AL-1", "code.coding.code", ["70618"]),
    ("AL-1", "code.text", ["Penicillin"]),
    ("AL-1", "onsetDateTime", ["1998-07"]),
    ("AL-1", "recordedDate", ["2024-01-18"]),
    ("AL-1", "reaction.manifestation.coding.code", ["247472004", "56018004"]),
    ("AL-1", "reaction.severity", ["moderate", "severe"]),
    ("AL-1", "note.text", ["Tolerates cephalosporins."]),
    ("AL-2", "clinicalStatus.coding.code", ["resolved"]),
    ("AL-2", "category", ["food"]),
    ("AL-2", "onsetDateTime", ["1971"]),
    ("AL-2", "reaction.manifestation.coding.code", ["422400008"]),
    ("AL-2", "reaction.severity", ["mild"]),
    ("AL-2", "criticality", []),
    # problems
    ("PR-1", "resourceType", ["Condition"]),
    ("PR-1", "clinicalStatus.coding.system", [CONDITION_STATUS]),
    ("PR-1", "clinicalStatus.coding.code", ["active"]),
    ("PR-1", "code.coding.system", [SNOMED, "http://hl7.org/fhir/sid/icd-10-cm"]),
    ("PR-1", "code.coding.code", ["59621000", "I10"]),
    ("PR-1", "code.text", ["High blood pressure"]),
    ("PR-1", "onsetDateTime", ["2012-05-15"]),
    ("PR-1", "abatementDateTime", []),
    ("PR-1", "recordedDate", ["2012-05-16"]),
    ("PR-1", "note.text", ["Home readings are lower than in the practice."]),
    ("PR-1", "note.time", ["2020-01-10"]),
    ("PR-2", "clinicalStatus.coding.code", ["resolved"]),
    ("PR-2", "onsetDateTime", ["2018-02-01"]),
    ("PR-2", "abatementDateTime", ["2018-03-18"]),
    ("PR-3", "verificationStatus.coding.code", ["refuted"]),
    ("PR-3", "onsetDateTime", []),
    ("PR-4", "clinicalStatus.coding.code", ["inactive"]),
    ("PR-4", "onsetDateTime", ["1999"]),
    ("PR-4", "abatementDateTime", []),
    ("PR-4", "_abatementDateTime.extension.valueCode", ["unknown"]),
    ("PR-5", "code.coding", []),
    ("PR-5", "code.text", ["Tiredness in the dark months"]),
    ("PR-5", "clinicalStatus.coding.code", ["active"]),
    ("PR-6", "code.coding.code", ["195967001"]),
    ("PR-6", "onsetAge.value", [8]),
    ("PR-6", "onsetAge.code", ["a"]),
    ("PR-6", "onsetAge.system", [UCUM]),
    ("PR-6", "onsetDateTime", []),
    # medications
    ("MD-1", "status", ["active"]),
    ("MD-1", "intent", ["plan"]),
    ("MD-1", "authoredOn", ["2020-03-10"]),
    ("MD-1", "reasonCode.coding.code", ["59621000"]),
    ("MD-1", "dosageInstruction.text", ["One tablet each morning"]),
    ("MD-1", "dosageInstruction.timing.repeat.boundsPeriod.start", ["2020-03-10"]),
    ("MD-1", "dosageInstruction.timing.repeat.boundsPeriod.end", []),
    ("MD-1", "dosageInstruction.route.coding.code", ["C38288"]),
    ("MD-1", "dosageInstruction.doseAndRate.doseQuantity.value", [1]),
    ("MD-1", "dosageInstruction.doseAndRate.doseQuantity.code", []),
    ("MD-1", "dosageInstruction.asNeededBoolean", []),
    ("MD-1", "doNotPerform", []),
    ("MD-3", "status", ["completed"]),
    ("MD-3", "dosageInstruction.timing.repeat.boundsPeriod.end", ["2024-06-30"]),
    ("MD-3", "dosageInstruction.timing.repeat.when", ["HS"]),
    ("MD-4", "dosageInstruction.timing.repeat.period", [4]),
    ("MD-4", "dosageInstruction.timing.repeat.periodMax", [6]),
    ("MD-4", "dosageInstruction.timing.repeat.periodUnit", ["h"]),
    ("MD-4", "dosageInstruction.doseAndRate.doseQuantity.value", [2]),
    ("MD-4", "dosageInstruction.maxDosePerPeriod.numerator.value", [12]),
    ("MD-4", "dosageInstruction.maxDosePerPeriod.denominator.value", [24]),
    ("MD-4", "dosageInstruction.maxDosePerPeriod.denominator.code", ["h"]),
    ("MD-5", "intent", ["order"]),
    ("MD-5", "authoredOn", ["2026-03-02"]),
    ("MD-5", "dosageInstruction.timing.repeat.when", ["ACM"]),
    ("MD-5", "dosageInstruction.timing.repeat.offset", [30]),
    ("MD-5", "dosageInstruction.doseAndRate.doseQuantity.value", [500]),
    ("MD-5", "dosageInstruction.doseAndRate.doseQuantity.code", ["mg"]),
    ("MD-5", "dispenseRequest.numberOfRepeatsAllowed", [2]),
    ("MD-5", "dispenseRequest.quantity.value", [21]),
    ("MD-5", "dispenseRequest.validityPeriod.end", ["2026-04-02"]),
    ("MD-6", "doNotPerform", [True]),
    # immunizations
    ("IM-1", "status", ["completed"]),
    ("IM-1", "vaccineCode.coding.system", ["http://hl7.org/fhir/sid/cvx"]),
    ("IM-1", "vaccineCode.coding.code", ["140"]),
    ("IM-1", "vaccineCode.text", ["Influenza, preservative free"]),
    ("IM-1", "occurrenceDateTime", ["2025-10-14"]),
    ("IM-1", "recorded", ["2025-10-14"]),
    ("IM-1", "lotNumber", ["LQ-7731"]),
    ("IM-1", "route.coding.code", ["C28161"]),
    ("IM-1", "site.coding.code", ["368208006"]),
    ("IM-1", "doseQuantity.code", ["mL"]),
    ("IM-1", "statusReason", []),
    ("IM-2", "occurrenceDateTime", ["2003-05"]),
    ("IM-2", "protocolApplied.doseNumberPositiveInt", [2]),
    ("IM-3", "status", ["not-done"]),
    ("IM-3", "statusReason.coding.code", ["PATOBJ"]),
    ("IM-3", "statusReason.coding.system", ["http://terminology.hl7.org/CodeSystem/v3-ActReason"]),
    ("IM-3", "reasonCode", []),
    ("IM-3", "occurrenceDateTime", ["2025-10-14"]),
    # results
    ("PANEL-1", "resourceType", ["DiagnosticReport"]),
    ("PANEL-1", "status", ["final"]),
    ("PANEL-1", "code.coding.code", ["24323-8"]),
    ("PANEL-1", "effectiveDateTime", ["2026-02-27T08:15:00-05:00"]),
    ("PANEL-1", "issued", []),
    ("PANEL-2", "effectiveDateTime", ["2026-02-27"]),
    ("R-1", "resourceType", ["Observation"]),
    ("R-1", "status", ["final"]),
    ("R-1", "category.coding.code", ["laboratory"]),
    ("R-1", "code.coding.system", [LOINC]),
    ("R-1", "code.coding.code", ["2345-7"]),
    ("R-1", "effectiveDateTime", ["2026-02-27T08:15:00-05:00"]),
    ("R-1", "valueQuantity.value", [96]),
    ("R-1", "valueQuantity.system", [UCUM]),
    ("R-1", "valueQuantity.code", ["mg/dL"]),
    ("R-1", "valueQuantity.comparator", []),
    ("R-1", "interpretation.coding.code", ["N"]),
    (
        "R-1",
        "interpretation.coding.system",
        ["http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"],
    ),
    ("R-1", "referenceRange.low.value", [70]),
    ("R-1", "referenceRange.high.value", [99]),
    ("R-1", "referenceRange.high.code", ["mg/dL"]),
    ("R-3", "valueQuantity.comparator", ["<"]),
    ("R-3", "valueQuantity.value", [5]),
    ("R-3", "valueQuantity.code", ["mg/L"]),
    ("R-3", "referenceRange.text", ["below 5 is normal"]),
    ("R-4", "valueString", ["<5"]),
    ("R-5", "valueCodeableConcept.coding.code", ["260385009"]),
    ("R-6", "valueQuantity.comparator", [">"]),
    ("R-6", "valueQuantity.value", [1000]),
    ("R-7", "status", ["registered"]),
    ("R-7", "valueQuantity", []),
    ("R-7", "dataAbsentReason.coding.code", ["temp-unknown"]),
    ("R-8", "status", ["cancelled"]),
    ("R-8", "valueQuantity", []),
    ("R-8", "dataAbsentReason.coding.code", ["unknown"]),
    ("R-9", "valueInteger", [6]),
    ("R-10", "effectiveDateTime", ["2026-02-27"]),
    ("R-10", "valueQuantity.code", ["%"]),
    ("R-10", "issued", []),
    # vital signs
    ("VS-PANEL", "code.coding.code", ["85353-1"]),
    ("VS-PANEL", "category.coding.code", ["vital-signs"]),
    ("VS-PANEL", "status", ["final"]),
    ("VS-PANEL", "effectiveDateTime", ["2026-03-02T15:45:00-05:00"]),
    ("VS-PANEL", "valueQuantity", []),
    ("VS-1", "category.coding.code", ["vital-signs"]),
    ("VS-1", "code.coding.code", ["8480-6"]),
    ("VS-1", "valueQuantity.value", [142]),
    ("VS-1", "valueQuantity.code", ["mm[Hg]"]),
    ("VS-1", "interpretation.coding.code", ["H"]),
    ("VS-1", "bodySite.coding.code", ["368208006"]),
    ("VS-2", "valueQuantity.value", [88]),
    ("VS-3", "valueQuantity.code", ["/min"]),
    ("VS-5", "valueQuantity.code", ["cm"]),
    ("VS-6", "valueQuantity.code", ["Cel"]),
    ("VS-7", "valueQuantity.code", ["%"]),
    # the visit of the header
    ("VISIT-5501", "resourceType", ["Encounter"]),
    ("VISIT-5501", "status", ["finished"]),
    ("VISIT-5501", "class.code", ["AMB"]),
    ("VISIT-5501", "period.start", ["2026-03-02T15:40:00-05:00"]),
    ("VISIT-5501", "period.end", ["2026-03-02T16:25:00-05:00"]),
    # encounters
    ("VISIT-5120", "resourceType", ["Encounter"]),
    ("VISIT-5120", "status", ["finished"]),
    ("VISIT-5120", "class.code", ["AMB"]),
    ("VISIT-5120", "type.coding.code", ["99213"]),
    ("VISIT-5120", "type.coding.system", ["http://www.ama-assn.org/go/cpt"]),
    ("VISIT-5120", "period.start", ["2025-10-14T10:30:00-04:00"]),
    ("DX-1", "category.coding.code", ["encounter-diagnosis", "64572001", "75323-6"]),
    ("DX-1", "code.coding.code", ["10509002"]),
    ("DX-1", "onsetDateTime", ["2025-10-12"]),
    # procedures
    ("PD-1", "resourceType", ["Procedure"]),
    ("PD-1", "status", ["completed"]),
    ("PD-1", "code.coding.code", ["80146002", "44970"]),
    ("PD-1", "code.text", ["Appendix removed, 2003"]),
    ("PD-1", "bodySite.coding.code", ["66754008"]),
    ("PD-2", "status", ["not-done"]),
    ("PD-2", "code.coding.code", ["73761001"]),
    ("PD-2", "performedDateTime", []),
    # social history
    ("SM-1", "status", ["final"]),
    ("SM-1", "category.coding.code", ["social-history"]),
    ("SM-1", "code.coding.code", ["72166-2"]),
    ("SM-1", "effectiveDateTime", ["2026-03-02"]),
    ("SM-1", "valueCodeableConcept.coding.code", ["8517006"]),
    ("SO-2", "valueString", ["About three glasses of wine a week"]),
]


@pytest.fixture(scope="module")
def full() -> Reading:
    return read("full-ccd")


@pytest.mark.parametrize(("entry", "path", "expected"), FACTS, ids=[f"{entry}-{path}" for entry, path, _ in FACTS])
def test_fact(full: Reading, entry: str, path: str, expected: list[Any]) -> None:
    assert values(full.entry(entry), path) == expected


# entry's id, FHIR path, digits as the document writes them
DIGITS = [
    ("R-2", "valueQuantity.value", "1.10"),
    ("R-2", "referenceRange.low.value", "0.60"),
    ("R-2", "referenceRange.high.value", "1.20"),
    ("R-10", "valueQuantity.value", "8.4"),
    ("VS-4", "valueQuantity.value", "71.5"),
    ("VS-6", "valueQuantity.value", "36.80"),
    ("IM-1", "doseQuantity.value", "0.50"),
]


@pytest.mark.parametrize(("entry", "path", "digits"), DIGITS, ids=[f"{entry}-{path}" for entry, path, _ in DIGITS])
def test_number_keeps_its_digits(full: Reading, entry: str, path: str, digits: str) -> None:
    """A trailing zero is precision (FHIR R4 §2.24.0.1 decimal)."""
    assert [str(value) for value in values(full.entry(entry), path)] == [digits]


@pytest.mark.parametrize(("entry", "hours"), [("MD-1", 24), ("MD-2", 12)])
def test_interval_between_doses(full: Reading, entry: str, hours: int) -> None:
    """Every 12 hours may be said as twice a day: what counts is the time between doses."""
    (repeat,) = values(full.entry(entry), "dosageInstruction.timing.repeat")
    unit = {"h": 1, "d": 24, "wk": 168}[repeat["periodUnit"]]
    assert repeat["period"] * unit / repeat.get("frequency", 1) == hours


def test_medicine_taken_only_when_wheezing_is_as_needed(full: Reading) -> None:
    (dosage,) = full.entry("MD-4")["dosageInstruction"]
    assert dosage.get("asNeededBoolean") is True or values(dosage, "asNeededCodeableConcept.coding.code") == [
        "56018004"
    ]


@pytest.mark.parametrize(
    ("entry", "code", "text"),
    [
        ("MD-1", "314076", "Lisinopril 10 mg tablet"),
        ("MD-5", "308191", "Amoxicillin 500 mg capsule"),
        ("MD-6", "1191", "Aspirin"),
        ("MD-7", None, "Elderberry drops from the market"),
    ],
)
def test_medicine_is_named(full: Reading, entry: str, code: str | None, text: str) -> None:
    concept = medicine(full, full.entry(entry))
    assert values(concept, "coding.code") == ([code] if code else [])
    assert concept["text"] == text


def medicine(full: Reading, request: Resource) -> Resource:
    """The medicine's concept, wherever R4 allows it to stand."""
    if "medicationCodeableConcept" in request:
        concept: Resource = request["medicationCodeableConcept"]
    else:
        concept = full.follow(request["medicationReference"]["reference"])["code"]
    return concept


def test_latex_is_not_an_allergy(full: Reading) -> None:
    """A negated substance: the negated concept, else the exposure-risk extension; never plain latex (CF-allergies)."""
    latex = full.entry("AL-3")
    risks = extension(latex, "http://hl7.org/fhir/StructureDefinition/allergyintolerance-substanceExposureRisk")
    coded = values(latex, "code.coding.code")
    assert "111088007" not in coded
    assert coded == ["1003774007"] or "no-known-reaction-risk" in values(
        risks[0], "extension.valueCodeableConcept.coding.code"
    )


def test_outgrown_allergy_says_when_it_ended(full: Reading) -> None:
    url = "http://hl7.org/fhir/StructureDefinition/allergyintolerance-abatement"
    (ended,) = extension(full.entry("AL-2"), url)
    assert ended["valueDateTime"] == "1985"


def test_panel_holds_its_results(full: Reading) -> None:
    report = full.entry("PANEL-1")
    found = [values(full.follow(ref), "identifier.value")[0] for ref in values(report, "result.reference")]
    assert found == [f"R-{number}" for number in range(1, 10)]


def test_vital_signs_are_members_of_their_panel(full: Reading) -> None:
    panel = full.entry("VS-PANEL")
    found = [values(full.follow(ref), "identifier.value")[0] for ref in values(panel, "hasMember.reference")]
    assert found == [f"VS-{number}" for number in range(1, 8)]


def test_appendix_was_removed_on_one_day(full: Reading) -> None:
    procedure = full.entry("PD-1")
    period = procedure.get("performedPeriod", {"start": procedure.get("performedDateTime")})
    assert set(period.values()) == {"2003-09-11"}


def test_visit_was_for_bronchitis(full: Reading) -> None:
    (condition,) = values(full.entry("VISIT-5120"), "diagnosis.condition.reference")
    assert full.follow(condition) == full.entry("DX-1")


def test_planned_test_is_no_result(full: Reading) -> None:
    for resource in full.by_identifier("PL-1"):
        assert resource["resourceType"] != "Observation"


@pytest.mark.parametrize(
    ("entry", "path", "family"),
    [
        ("AL-1", "recorder.reference", "Lindqvane"),
        ("PR-1", "recorder.reference", "Okonjo"),  # the last author
        ("MD-1", "requester.reference", "Okonjo"),
        ("IM-1", "performer.actor.reference", "Lindqvane"),
    ],
)
def test_who_did_it(full: Reading, entry: str, path: str, family: str) -> None:
    assert [person_of(full, ref) for ref in values(full.entry(entry), path)] == [family]


def person_of(full: Reading, reference: str) -> str:
    """Family name of the person a reference to a Practitioner or PractitionerRole means."""
    target = full.follow(reference)
    if target["resourceType"] == "PractitionerRole":
        target = full.follow(target["practitioner"]["reference"])
    family: str = values(target, "name.family")[0]
    return family


def test_one_person_with_one_number_is_one_practitioner(full: Reading) -> None:
    """Dr. Okonjo is author, authenticator, performer and responsible party: one resource, with his title."""
    doctor = full.entry("9990000025", "Practitioner")
    assert values(doctor, "identifier.system") == ["http://hl7.org/fhir/sid/us-npi"]
    assert (values(doctor, "name.given"), values(doctor, "name.family")) == (["Ignatius"], ["Okonjo"])


def test_one_practice_is_one_organization(full: Reading) -> None:
    assert full.entry("BRINDLEWICK", "Organization")["name"] == "Brindlewick Family Practice"


def test_everything_is_about_her(full: Reading) -> None:
    (patient,) = full.all("Patient")
    about = {ref for r in full.all() for ref in values(r, "subject.reference") + values(r, "patient.reference")}
    assert about == {f"Patient/{patient['id']}"}


def test_document_itself(full: Reading) -> None:
    composition = full.one("Composition")
    assert values(composition, "type.coding.code") == ["34133-9"]
    assert composition["title"] == "Summary of care, Brindlewick Family Practice"
    assert composition["date"] == "2026-03-02T16:45:00-05:00"
    assert composition["status"] == "final"
    assert composition["confidentiality"] == "N"
    assert full.follow(composition["custodian"]["reference"])["name"] == "Brindlewick Family Practice"
    assert "VISIT-5501" in values(full.follow(composition["encounter"]["reference"]), "identifier.value")


def test_authors_are_the_doctor_and_the_machine(full: Reading) -> None:
    doctor, machine = values(full.one("Composition"), "author.reference")
    assert person_of(full, doctor) == "Okonjo"
    device = full.follow(machine)
    assert device["resourceType"] == "Device"
    assert "Chartwright 7" in values(device, "deviceName.name")


def test_every_section_keeps_its_words(full: Reading) -> None:
    sections = {section["title"]: section["text"]["div"] for section in full.one("Composition")["section"]}
    assert list(sections) == [
        "Allergies and Intolerances",
        "Medications",
        "Problems",
        "Immunizations",
        "Results",
        "Vital Signs",
        "Procedures",
        "Encounters",
        "Social History",
        "Plan of Treatment",
        "Functional Status",
    ]
    assert "Asked before the 2019 operation." in sections["Allergies and Intolerances"]
    assert "&lt;5" in sections["Results"]
    assert "climbs two flights of stairs" in sections["Functional Status"]
    assert 'href="https://example.org/leaflets/stairs"' in sections["Functional Status"]


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Problems", ["PR-1", "PR-2", "PR-3", "PR-4", "PR-5", "PR-6"]),
        ("Allergies and Intolerances", ["AL-1", "AL-2", "AL-3"]),
        ("Immunizations", ["IM-1", "IM-2", "IM-3"]),
        ("Functional Status", []),
    ],
)
def test_section_refers_to_its_entries(full: Reading, title: str, names: list[str]) -> None:
    (section,) = [each for each in full.one("Composition")["section"] if each["title"] == title]
    found = [values(full.follow(ref), "identifier.value")[0] for ref in values(section, "entry.reference")]
    assert found == names


def test_visit_took_place_in_the_west_wing(full: Reading) -> None:
    (place,) = values(full.entry("VISIT-5501"), "location.location.reference")
    assert full.follow(place)["name"] == "Brindlewick Family Practice, West Wing"


def test_remote_id_is_the_first_that_is_no_ssn(full: Reading) -> None:
    assert full.patient_key == f"{ARC}.1^MRN-0042"
