"""The concept maps of HL7 C-CDA on FHIR 2.0.0 against our code tables, pair by pair; needs the reference corpora."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
from lxml import etree

from gateway.translators.ccda import convert
from gateway.translators.ccda.codes import CONCEPTS
from tests.conformance.ccda_paths import assign, says
from tests.conformance.ccda_starts import document
from tests.conftest import SHARED

MAPS = SHARED / "ccda" / "conceptmaps.tsv"
needs_maps = pytest.mark.skipif(not MAPS.is_file(), reason="HL7's concept maps are not here: set GATEWAY_SHARED")

TABLES = {
    "CF-AddressUse": "address-use",
    "CF-AdministrativeGender": "gender",
    "CF-AllergyIntoleranceCategory": "allergy-category",
    "CF-AllergyIntoleranceType": "allergy-type",
    "CF-AllergyStatus": "allergy-status",
    "CF-ConditionClinicalStatus": "condition-clinical",
    "CF-Criticality": "criticality",
    "CF-EncounterStatus": "encounter-status",
    "CF-ImmunizationStatus": "immunization-status",
    "CF-MedActivityMood": "medication-intent",
    "CF-MedicationStatus": "medication-status",
    "CF-NameUse": "name-use",
    "CF-NoKnownAllergies": "no-known-allergy",
    "CF-NullFlavorDataAbsentReason": "null-flavor",
    "CF-ProblemCategory": "problem-category",
    "CF-ProblemStatus": "problem-status",
    "CF-ProcedureStatus": "procedure-status",
    "CF-ResultReportStatus": "report-status",
    "CF-ResultStatus": "report-status",
    "CF-Severity": "severity",
    "CF-TelecomType": "telecom-system",
    "CF-TelecomUse": "telecom-use",
}
"""HL7's map from C-CDA to FHIR -> our table. The maps `FC-` go the other way: we write no C-CDA."""

_STATUS = "entryRelationship/observation[code/@code=33999-4]/value/@code"
_SEVERITY = "entryRelationship[@typeCode=MFST]/observation/entryRelationship/observation[code/@code=SEV]/value/@code"
WHERE = {
    "CF-AddressUse": ("patient", "addr/@use={}; addr/city=X", "Patient.address.use"),
    "CF-AdministrativeGender": ("patient", "patient/administrativeGenderCode/@code={}", "Patient.gender"),
    "CF-AllergyIntoleranceCategory": ("allergy", "value/@code={}", "AllergyIntolerance.category"),
    "CF-AllergyIntoleranceType": ("allergy", "value/@code={}", "AllergyIntolerance.type"),
    "CF-AllergyStatus": ("allergy", f"{_STATUS}={{}}", "AllergyIntolerance.clinicalStatus.coding.code"),
    "CF-ConditionClinicalStatus": ("problem", "../../statusCode/@code={}", "Condition.clinicalStatus.coding.code"),
    "CF-Criticality": (
        "allergy",
        "entryRelationship/observation[code/@code=82606-5]/value/@code={}",
        "AllergyIntolerance.criticality",
    ),
    "CF-EncounterStatus": ("encounter", "statusCode/@code={}", "Encounter.status"),
    "CF-ImmunizationStatus": ("immunization", "statusCode/@code={}; @moodCode=EVN", "Immunization.status"),
    "CF-MedActivityMood": ("medication", "@moodCode={}", "MedicationRequest.intent"),
    "CF-MedicationStatus": ("medication", "statusCode/@code={}", "MedicationRequest.status"),
    "CF-NameUse": ("patient", "patient/name/@use={}", "Patient.name.use"),
    "CF-NoKnownAllergies": (
        "allergy",
        "value/@code={}; @negationInd=true; participant/participantRole/playingEntity/name=",
        "AllergyIntolerance.code.coding.code",
    ),
    "CF-NullFlavorDataAbsentReason": (
        "result",
        "value/@nullFlavor={}; value/@xsi:type=CD",
        "Observation.dataAbsentReason.coding.code",
    ),
    "CF-ProblemCategory": ("problem", "../../../../code/@code={}", "Condition.category.coding.code"),
    "CF-ProblemStatus": ("problem", f"{_STATUS}={{}}", "Condition.clinicalStatus.coding.code"),
    "CF-ProcedureStatus": ("procedure", "statusCode/@code={}", "Procedure.status"),
    "CF-ResultReportStatus": ("report", "statusCode/@code={}", "DiagnosticReport.status"),
    "CF-ResultStatus": ("result", "statusCode/@code={}", "Observation.status"),
    "CF-Severity": ("allergy", f"{_SEVERITY}={{}}", "AllergyIntolerance.reaction.severity"),
    "CF-TelecomType": ("patient", "telecom/@value={}:rest", "Patient.telecom.system"),
    "CF-TelecomUse": ("patient", "telecom/@use={}; telecom/@value=tel:1", "Patient.telecom.use"),
}
"""Where in a document a code of the map is read, and where in the Bundle its target is then."""

ELSEWHERE = {
    ("CF-ImmunizationStatus", "completed", "not-done"): "negationInd decides first (sections/immunizations.py)",
    (
        "CF-NameUse",
        "P",
        "nickname",
    ): "of the two that the map offers, unless a part of the name is what one is called by",
    ("CF-TelecomType", "tel", "pager"): "the use PG makes it a pager (demographics.py)",
}
"""Pairs of one source code with two targets: which, another element decides, or we chose one."""

OURS = {
    "medication-intent": {"RQO", "PRMS", "PRP"},
    "medication-status": {"cancelled", "held", "new"},
    "procedure-status": {"held", "new", "nullified", "suspended"},
    "report-status": {"nullified"},
    "telecom-system": {"https", "sms", "ftp", "mllp", "phone", "email"},
}
"""Codes that the maps do not list: moods of planned activities, statuses that FHIR words alike, schemes."""


def pairs() -> Iterator[tuple[str, str, str, str]]:
    """Map, source code, target code, its display; a row without a source says only that nothing maps to its target."""
    with MAPS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["map"] in TABLES and row["source_code"]:
                yield row["map"], row["source_code"], row["target_code"], row["target_display"]


@pytest.mark.shared
@needs_maps
def test_every_pair_is_in_our_tables() -> None:
    wrong = [
        (name, source, target)
        for name, source, target, _ in pairs()
        if target and (name, source, target) not in ELSEWHERE and code(name, source) != target
    ]
    assert wrong == []


@pytest.mark.shared
@needs_maps
def test_every_pair_holds_in_a_document() -> None:
    """That a table has a pair is not yet that the converter uses it."""
    wrong = [
        (name, source, target)
        for name, source, target, _ in pairs()
        if target and (name, source, target) not in ELSEWHERE and not holds(name, source, target)
    ]
    assert wrong == []


def holds(name: str, source: str, target: str) -> bool:
    start, given, path = WHERE[name]
    root, here = document(start)
    for one in given.format(source).split("; "):
        assign(here, one)
    return says(convert(etree.tostring(root), patient_id="p1").bundle, f"{path}={target}")


@pytest.mark.shared
@needs_maps
def test_what_the_maps_leave_unmatched_stays_unmatched() -> None:
    assert [(name, source) for name, source, target, _ in pairs() if not target and code(name, source)] == []


@pytest.mark.shared
@needs_maps
def test_our_tables_hold_nothing_else() -> None:
    known: dict[str, set[str]] = {}
    for name, source, _, _ in pairs():
        known.setdefault(TABLES[name], set()).add(source)
    extra = {table: set(CONCEPTS[table]) - codes for table, codes in known.items()}
    assert {table: codes for table, codes in extra.items() if codes} == OURS


@pytest.mark.shared
@needs_maps
def test_displays_are_the_maps_own() -> None:
    wrong = [
        (name, source, display)
        for name, source, _, display in pairs()
        if (known := CONCEPTS[TABLES[name]].get(source))
        and known.display
        and known.display.casefold() != display.casefold()
    ]
    assert wrong == []


@pytest.mark.shared
@needs_maps
def test_every_map_towards_fhir_has_a_table_and_every_exception_a_pair() -> None:
    with MAPS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["map"] for row in rows if row["map"].startswith("CF-")} == set(TABLES)
    assert set(ELSEWHERE) <= {(row["map"], row["source_code"], row["target_code"]) for row in rows}


def code(name: str, source: str) -> str | None:
    found = CONCEPTS[TABLES[name]].get(source)
    return found.code if found else None
