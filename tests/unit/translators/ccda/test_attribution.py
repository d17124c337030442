"""Who wrote, did or told an entry: in its resource where that has an element for it, else in a Provenance."""

from __future__ import annotations

from typing import Any

from gateway.fhir import gate
from gateway.translators.ccda import convert
from tests.unit.translators.ccda.written import codes, converted, document, of_type, only, section

ROOT = "2.16.840.1.113883.10.20.22.4."
NAME = "<assignedPerson><name><given>{0}</given><family>Scrivener</family></name></assignedPerson>"


def written(name: str, time: str) -> str:
    who = f'<assignedAuthor><id root="2.999.1" extension="{name}"/>{NAME.format(name)}</assignedAuthor>'
    return f'<author><time value="{time}"/>{who}</author>'


def measured(code: str, *more: str) -> str:
    return (
        f'<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}2"/>'
        f'<id root="2.999.2" extension="{code}"/>'
        f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>'
        f'<effectiveTime value="20240301"/><value xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="PQ" '
        f'value="5" unit="mg"/>{"".join(more)}</observation>'
    )


def read(*entries: str, code: str = "30954-2") -> Any:
    result = converted(section(code, *entries))
    assert gate.check(result.bundle) == []
    return result


def agents(provenance: dict[str, Any]) -> list[tuple[str, str]]:
    return [(codes(one["type"])[0][1], one["who"]["reference"]) for one in provenance["agent"]]


def test_entries_of_one_author_and_time_share_a_provenance() -> None:
    author = written("Ada", "20240302101500+0000")
    result = read(measured("1-8", author), measured("2-6", author), measured("3-4", written("Ada", "20240303")))

    first, second = sorted(of_type(result, "Provenance"), key=lambda one: str(one["occurredDateTime"]))
    [ada] = of_type(result, "Practitioner")
    assert first["recorded"] == first["occurredDateTime"] == "2024-03-02T10:15:00+00:00"
    assert agents(first) == [("author", f"Practitioner/{ada['id']}")]
    ids = {one["code"]["coding"][0]["code"]: f"Observation/{one['id']}" for one in of_type(result, "Observation")}
    assert [one["reference"] for one in first["target"]] == [ids["1-8"], ids["2-6"]]
    assert second["occurredDateTime"] == "2024-03-03" and "recorded" not in second, "no time of day is made up"
    assert [one["reference"] for one in second["target"]] == [ids["3-4"]]


def test_what_the_resource_says_itself_needs_none() -> None:
    problem = (
        f'<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}3"/><statusCode code="active"/>'
        f'<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>'
        '<id root="2.999.3"/><code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/>'
        '<value xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CD" code="38341003" '
        f'codeSystem="2.16.840.1.113883.6.96"/>{written("Ada", "20240302101500+0000")}</observation>'
        "</entryRelationship></act>"
    )
    result = read(problem, code="11450-4")

    condition = only(result, "Condition")
    assert condition["recordedDate"] == "2024-03-02T10:15:00+00:00" and "recorder" in condition
    assert of_type(result, "Provenance") == []


def test_who_did_and_who_told_where_the_resource_has_no_room() -> None:
    told = (
        '<informant><relatedEntity classCode="PRS"><code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>'
        "<relatedPerson><name><given>Mona</given><family>Kin</family></name></relatedPerson></relatedEntity></informant>"
    )
    done = f'<performer><assignedEntity><id root="2.999.4"/>{NAME.format("Per")}</assignedEntity></performer>'
    result = read(measured("1-8", done, told))

    provenance, mother = only(result, "Provenance"), only(result, "RelatedPerson")
    observation = only(result, "Observation")
    [per] = of_type(result, "Practitioner")
    assert observation["performer"] == [{"reference": f"Practitioner/{per['id']}"}]
    assert agents(provenance) == [("informant", f"RelatedPerson/{mother['id']}")]
    assert "occurredDateTime" not in provenance, "nobody said when"


def test_the_author_of_a_part_is_one_of_the_whole() -> None:
    supply = (
        f'<supply classCode="SPLY" moodCode="INT"><templateId root="{ROOT}17"/><quantity value="30"/>'
        f"{written('Orla', '20240305')}</supply>"
    )
    activity = (
        f'<substanceAdministration classCode="SBADM" moodCode="INT"><templateId root="{ROOT}16"/><id root="2.999.5"/>'
        '<statusCode code="active"/><consumable><manufacturedProduct><manufacturedMaterial>'
        '<code code="309090" codeSystem="2.16.840.1.113883.6.88"/>'
        "</manufacturedMaterial></manufacturedProduct></consumable>"
        f'{written("Ada", "20240302")}<entryRelationship typeCode="REFR">{supply}</entryRelationship>'
        "</substanceAdministration>"
    )
    result = read(activity, code="10160-0")

    request, provenance = only(result, "MedicationRequest"), only(result, "Provenance")
    [orla] = [one for one in of_type(result, "Practitioner") if one["name"][0]["given"] == ["Orla"]]
    assert request["authoredOn"] == "2024-03-02"
    assert agents(provenance) == [("author", f"Practitioner/{orla['id']}")]
    assert provenance["target"] == [{"reference": f"MedicationRequest/{request['id']}"}]
    assert provenance["occurredDateTime"] == "2024-03-05"


def informed(name: str) -> str:
    person = f"<relatedPerson><name><given>{name}</given><family>Kin</family></name></relatedPerson>"
    code = '<code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>'
    return f'<informant><relatedEntity classCode="PRS">{code}{person}</relatedEntity></informant>'


def performed(name: str) -> str:
    who = f'<assignedEntity><id root="2.999.1" extension="{name}"/>{NAME.format(name)}</assignedEntity>'
    return f"<performer>{who}</performer>"


def concern(act: str = "", observation: str = "") -> str:
    return (
        f'<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}3"/><statusCode code="active"/>{act}'
        f'<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}4"/>'
        '<id root="2.999.3"/><code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/><statusCode code="completed"/>'
        '<value xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CD" code="38341003" '
        f'codeSystem="2.16.840.1.113883.6.96"/>{observation}</observation></entryRelationship></act>'
    )


def test_a_mother_who_writes_is_no_practitioner() -> None:
    """The author of an entry of a Patient Generated Document (C-CDA R2.1 §1.1.16)."""
    code = '<code code="MTH" codeSystem="2.16.840.1.113883.5.111"/>'
    mother = f'<author><time value="20240302"/><assignedAuthor><id root="2.999.1"/>{code}{NAME.format("Mona")}'
    result = read(concern(observation=f"{mother}</assignedAuthor></author>"), code="11450-4")

    assert only(result, "Condition")["recorder"] == {
        "reference": f"RelatedPerson/{only(result, 'RelatedPerson')['id']}"
    }
    assert of_type(result, "Practitioner") == of_type(result, "Provenance") == []


def test_who_has_no_time_is_not_given_that_of_another() -> None:
    result = read(measured("1-8", written("Ada", "20240302"), informed("Mona")))

    dated, undated = sorted(of_type(result, "Provenance"), key=lambda one: "occurredDateTime" not in one)
    assert [role for role, _ in agents(dated)] == ["author"]
    assert [role for role, _ in agents(undated)] == ["informant"]
    assert "occurredDateTime" not in undated and "recorded" not in undated


def test_whoever_did_what_he_also_wrote_is_named_for_both() -> None:
    """A Condition has a recorder, and no element for whoever found it."""
    result = read(concern(observation=performed("Ada") + written("Ada", "20240302")), code="11450-4")

    condition, provenance = only(result, "Condition"), only(result, "Provenance")
    [ada] = of_type(result, "Practitioner")
    assert condition["recorder"] == {"reference": f"Practitioner/{ada['id']}"}
    assert agents(provenance) == [("performer", f"Practitioner/{ada['id']}")]


def test_the_author_of_a_wrapper_is_one_of_what_it_holds() -> None:
    both = concern(act=written("Orla", "20240301"), observation=written("Ada", "20240302"))
    result = read(both, code="11450-4")

    condition, provenance = only(result, "Condition"), only(result, "Provenance")
    [orla] = [one for one in of_type(result, "Practitioner") if one["name"][0]["given"] == ["Orla"]]
    assert condition["recordedDate"] == "2024-03-02"
    assert agents(provenance) == [("author", f"Practitioner/{orla['id']}")]
    assert provenance["occurredDateTime"] == "2024-03-01"
    assert provenance["target"] == [{"reference": f"Condition/{condition['id']}"}]


def test_the_next_export_has_the_same_provenance() -> None:
    entry = measured("1-8", written("Ada", "20240302"))
    first = only(read(entry), "Provenance")
    later = convert(document(section("30954-2", entry), time="20250101").replace(b"doc-1", b"doc-2"), patient_id="p1")

    assert only(later, "Provenance")["id"] == first["id"]


def test_what_another_section_adds_does_not_take_the_place_of_what_was_told() -> None:
    """The same author at the same time of more entries: a server that has the first must not lose its targets."""
    author = written("Ada", "20240302")
    first = only(read(measured("1-8", author)), "Provenance")
    more = only(read(measured("2-6", author)), "Provenance")

    assert first["id"] != more["id"]


def test_a_repeated_statement_is_no_part_of_what_is_around_it() -> None:
    """It is the resource of the first, and whoever wrote it again wrote that, not the report."""
    report = (
        f'<organizer classCode="BATTERY" moodCode="EVN"><templateId root="{ROOT}1"/><id root="2.999.7"/>'
        '<code code="24320-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>'
        f"<component>{measured('1-8', written('Ada', '20240302'))}</component></organizer>"
    )
    result = read(measured("1-8", written("Orla", "20240305")), report)

    observation = only(result, "Observation")
    assert len(of_type(result, "Provenance")) == 2
    for provenance in of_type(result, "Provenance"):
        assert provenance["target"] == [{"reference": f"Observation/{observation['id']}"}]


def test_who_performs_a_policy_pays_for_it() -> None:
    payer = '<assignedEntity><id root="2.999.8"/><code code="PAYOR"/><representedOrganization><name>Sample Fund</name>'
    payer = f"<performer>{payer}</representedOrganization></assignedEntity></performer>"
    policy = (
        f'<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}60"/><statusCode code="completed"/>'
        f'<entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}61"/>'
        f'<id root="2.999.9"/>{payer}</act></entryRelationship></act>'
    )
    result = read(policy, code="48768-6")

    assert only(result, "Coverage")["payor"] == [{"reference": f"Organization/{only(result, 'Organization')['id']}"}]
    assert of_type(result, "Provenance") == []


def test_who_told_a_section_told_what_nobody_else_in_it_told() -> None:
    whole = section("30954-2", measured("1-8"), measured("2-6", informed("Ida")))
    both = informed("Mona") + informed("Papa")
    result = converted(whole.replace("<entry>", f"{both}<entry>", 1), section("8716-3", measured("3-4")))
    assert gate.check(result.bundle) == []

    told = {agent: one["target"] for one in of_type(result, "Provenance") for _, agent in agents(one)}
    names = {one["name"][0]["given"][0]: f"RelatedPerson/{one['id']}" for one in of_type(result, "RelatedPerson")}
    ids = {one["code"]["coding"][0]["code"]: f"Observation/{one['id']}" for one in of_type(result, "Observation")}
    assert [one["reference"] for one in told[names["Mona"]]] == [ids["1-8"]]
    assert told[names["Papa"]] == told[names["Mona"]]
    assert [one["reference"] for one in told[names["Ida"]]] == [ids["2-6"]]
