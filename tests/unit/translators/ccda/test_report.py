"""The report: what became of every entry, where every resource came from, and the same as an OperationOutcome."""

from __future__ import annotations

from lxml import etree

from gateway.fhir import gate
from gateway.translators.ccda import convert

from .kinds import concern
from .written import converted, document, of_type, section

UNKNOWN = '<act classCode="ACT" moodCode="EVN"><templateId root="2.25.9"/><code code="X" codeSystem="2.25.8"/></act>'
NOTHING = '<act classCode="ACT" moodCode="EVN"><templateId root="2.25.9"/></act>'
PROBLEMS = section("11450-4", concern("38341003"), NOTHING)
OTHERS = section("S-1", UNKNOWN)


def test_each_section_counts_its_entries() -> None:
    first, second = converted(PROBLEMS, OTHERS).report["sections"]

    counted = ("seen", "converted", "fallback")
    assert [first[name] for name in counted] == [2, 1, 0]
    assert [second[name] for name in counted] == [1, 0, 1]
    assert (first["code"], second["code"]) == ("11450-4", "S-1")
    assert first["xpath"] == "/ClinicalDocument/component/structuredBody/component[1]/section"
    assert [one["xpath"] for one in first["notUnderstood"]] == [f"{first['xpath']}/entry[2]/act"]
    assert [one["xpath"] for one in second["fellBack"]] == [f"{second['xpath']}/entry/act"]


def test_every_resource_says_where_it_came_from() -> None:
    data = document(PROBLEMS, OTHERS)
    result = convert(data, patient_id="p1", trace=True)
    root = etree.fromstring(data)
    found = {one["resource"]: one["xpath"] for one in result.report["resources"]}

    assert set(found) == {entry["request"]["url"] for entry in result.bundle["entry"]}
    for xpath in found.values():
        path = xpath.replace("/", "/h:")
        assert len(root.xpath(path, namespaces={"h": "urn:hl7-org:v3"})) == 1
    (condition,) = of_type(result, "Condition")
    assert found[f"Condition/{condition['id']}"].endswith(
        "component[1]/section/entry[1]/act/entryRelationship/observation"
    )


def test_the_outcome_tells_what_was_not_understood_what_was_guessed_and_the_counts() -> None:
    outcome = converted(PROBLEMS, OTHERS).outcome()

    told = [(one["severity"], one["code"], one["diagnostics"], one["expression"][0]) for one in outcome["issue"]]
    body = "/ClinicalDocument/component/structuredBody"
    assert gate.check(outcome) == []
    assert [severity for severity, *_ in told] == ["warning", "information", "information", "information"]
    assert [where for *_, where in told] == [
        f"{body}/component[1]/section/entry[2]/act",
        f"{body}/component[2]/section/entry/act",
        f"{body}/component[1]/section",
        f"{body}/component[2]/section",
    ]
    assert told[2][2] == "section 11450-4: 2 entries, 1 converted, 0 by their element alone, 1 not understood"


def test_an_outcome_holds_no_words_of_the_document() -> None:
    outcome = str(converted(section("S-1", UNKNOWN, title="Private matters")).outcome())

    assert "Private" not in outcome
    assert "as told" not in outcome
