"""Ids: stable, never from the position, never shared by two different entries."""

from __future__ import annotations

import pickle

from gateway.translators.ccda import convert
from gateway.translators.ccda.ids import full_url, name_based

from .written import Resource, converted, document, of_type, only, section

PULSE = """<observation classCode="OBS" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.27"/>{id}
<code code="8867-4" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/>
<effectiveTime value="{time}"/><value xsi:type="PQ" value="{value}" unit="/min"/></observation>"""


def pulse(value: str = "70", time: str = "20240501", identified: str = '<id root="1.1" extension="a"/>') -> str:
    return PULSE.format(value=value, time=time, id=identified)


def ids(*entries: str, **options: str) -> dict[str, str]:
    """value -> id of the pulse observations."""
    result = converted(section("8716-3", *entries), **options)
    return {str(one["valueQuantity"]["value"]): one["id"] for one in of_type(result, "Observation")}


def test_the_uuid_is_a_proper_one() -> None:
    from uuid import UUID, uuid5

    from gateway.translators.ccda.ids import NAMESPACE

    made = name_based("a", "b")

    assert made == str(uuid5(NAMESPACE, "a\x1fb"))
    assert UUID(made).version == 5


def test_the_same_document_gives_the_same_bytes() -> None:
    data = document(section("8716-3", pulse(), pulse("71", identified="")))

    assert convert(data, patient_id="p1").encoded == convert(data, patient_id="p1").encoded


def test_another_patient_has_other_ids() -> None:
    assert ids(pulse(), patient_id="p1") != ids(pulse(), patient_id="p2")


def test_a_corrected_value_keeps_the_id() -> None:
    assert ids(pulse("70"))["70"] == ids(pulse("75"))["75"]


def test_another_time_under_the_same_id_is_another_resource() -> None:
    found = ids(pulse("70", "20240501"), pulse("71", "20240502"))

    assert len(set(found.values())) == 2
    assert found == {**ids(pulse("71", "20240502")), **ids(pulse("70", "20240501"))}


def test_different_entries_with_one_identity_never_share_an_id() -> None:
    forwards = ids(pulse("70"), pulse("71"), pulse("72"))
    backwards = ids(pulse("72"), pulse("71"), pulse("70"))

    assert len(set(forwards.values())) == 3
    assert forwards == backwards


def test_equal_entries_are_one() -> None:
    result = converted(section("8716-3", pulse(), pulse()))

    only(result, "Observation")
    assert result.report["sections"][0]["converted"] == 2


def test_without_an_id_the_content_decides_and_not_the_place() -> None:
    alone = ids(pulse("70", identified=""))
    after_others = ids(pulse("60", identified=""), pulse("65"), pulse("70", identified='<id nullFlavor="NI"/>'))

    assert alone["70"] == after_others["70"]


def test_every_reference_follows_an_id_that_changed() -> None:
    organizer = """<organizer classCode="CLUSTER" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.26"/>
    <id root="2.2" extension="{n}"/><effectiveTime value="20240501"/><component>{pulse}</component></organizer>"""
    entries = [organizer.format(n=n, pulse=pulse(value)) for n, value in enumerate(("70", "71"))]

    result = converted(section("8716-3", *entries))

    observations = {one["id"]: one for one in of_type(result, "Observation")}
    panels = [one for one in observations.values() if "hasMember" in one]
    members = [one["hasMember"][0]["reference"].removeprefix("Observation/") for one in panels]
    assert {str(observations[one]["valueQuantity"]["value"]) for one in members} == {"70", "71"}


def test_full_urls_are_absolute_uuids() -> None:
    result = converted(section("8716-3", pulse()), patient_id="123")

    urls = [entry["fullUrl"] for entry in result.bundle["entry"]]
    assert len(set(urls)) == len(urls)
    for entry in result.bundle["entry"]:
        kind, identifier = entry["resource"]["resourceType"], entry["resource"]["id"]
        assert entry["request"] == {"method": "PUT", "url": f"{kind}/{identifier}"}
        assert entry["fullUrl"] == full_url(identifier)
    assert only(result, "Patient")["id"] == "123"


def test_a_patient_id_that_is_a_uuid_is_its_own_full_url() -> None:
    identifier = "018F3B1E-6D1A-7C62-9A57-0F6F0F0C1A61"

    result = converted(patient_id=identifier)

    assert result.bundle["entry"][0]["fullUrl"] == f"urn:uuid:{identifier.lower()}"
    assert only(result, "Patient")["id"] == identifier


def test_the_result_travels_as_bytes() -> None:
    result = converted(section("8716-3", pulse("70.50")))

    arrived = pickle.loads(pickle.dumps(result))

    assert arrived.encoded == result.encoded
    assert arrived.bundle == result.bundle
    assert (arrived.issues, arrived.report) == (result.issues, result.report)
    assert (arrived.patient_key, arrived.document_key) == ("1.2.3.4^mrn-1", "9.8.7^doc-1")
    assert b'"value":70.50' in arrived.encoded


def test_what_a_caller_does_to_a_bundle_stays_with_him() -> None:
    """Conversions share parts of what they make; nobody gets these parts themselves."""
    first = converted(section("8716-3", pulse()))
    before = first.encoded
    only(first, "Observation")["code"]["coding"][0]["code"] = "changed"
    only(first, "Observation")["category"].clear()

    assert converted(section("8716-3", pulse())).encoded == before == first.encoded


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [one for inner in value.values() for one in references(inner)]
    return [one for inner in value for one in references(inner)] if isinstance(value, list) else []


def test_every_reference_is_to_an_entry() -> None:
    result = converted(section("8716-3", pulse()))

    entries: list[Resource] = result.bundle["entry"]
    assert set(references(entries)) <= {entry["request"]["url"] for entry in entries}
