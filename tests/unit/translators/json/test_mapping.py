"""Mappings: the short form of HMS-API, what is refused when it is saved, and values there and back."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gateway.errors import InvalidInput
from gateway.fhir import gate
from gateway.fhir.json import Resource
from gateway.translators.json import mapping as mappings
from gateway.translators.json import mapping_xml
from gateway.translators.json.mapping_apply import Read, to_fhir, to_theirs
from gateway.translators.json.mapping_form import form_of

SYSTEMS = {"ours": "https://gateway.example/fhir/Patient", "theirs": "https://partner.example/ids"}
HMS = {"hmsPatientId": "id", "hmsName": "name"}


def patient(**fields: Any) -> dict[str, Any]:
    return {"Patient": {"fields": fields}}


def shape(mapping: dict[str, Any], type_: str = "Patient") -> mappings.Shape:
    return mappings.read(mapping).shapes[type_]


def read(mapping: dict[str, Any], payload: Any, *, known: Resource | None = None, type_: str = "Patient") -> Read:
    return to_fhir(shape(mapping, type_), payload, SYSTEMS, known)


def write(mapping: dict[str, Any], resource: Resource, base: Any = None, type_: str = "Patient") -> dict[str, Any]:
    return to_theirs(shape(mapping, type_), resource, SYSTEMS, base=base).payload


def test_the_short_form_of_hms() -> None:
    found = read(HMS, {"id": "p1", "name": "Ada"})
    assert shape(HMS).id.get({"id": "p1"}) == "p1"
    assert found.resource == {"resourceType": "Patient", "name": [{"text": "Ada"}]}
    assert found.coverage.covers("name[-]") and not found.coverage.covers("birthDate")
    given = {"resourceType": "Patient", "name": [{"family": "Lovelace", "given": ["Ada"]}]}
    assert write(HMS, given) == {"name": "Ada Lovelace"}, "a name in parts is told in one text; theirs is never split"
    mappings.check_both_ways(mappings.read(HMS))


def test_the_short_form_takes_more_fields() -> None:
    found = read(
        {**HMS, "hmsBirthDate": "born", "gender": {"path": "sex", "transform": "gender"}},
        {"born": "1815-12-10", "sex": "F"},
    )
    assert (found.resource["birthDate"], found.resource["gender"]) == ("1815-12-10", "female")


def test_the_short_form_takes_objects_with_a_path_as_well() -> None:
    shape = mappings.read({"hmsPatientId": {"path": "ids.own"}, "hmsName": {"path": "name"}}).shapes["Patient"]
    assert shape.id.text == "ids.own" and [rule.place.text for rule in shape.rules] == ["name"]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "mapping is required"),
    ({"hmsPatientId": 5, "hmsName": "name"}, "mapping.hmsPatientId"),
    ({"hmsPatientId": "a..b", "hmsName": "name"}, "mapping.hmsPatientId must be a dotted path"),
    ({"hmsPatientId": {"path": "id", "transform": "date"}}, "an id is taken as it stands"),
    ({"Pateint": {"fields": {"name.text": "name"}}}, "mapping.Pateint is no resource type"),
    ({"hmsName": "a..b"}, "mapping.hmsName: neither a dotted path nor FHIRPath"),
    ({"hmsNickname": "nick"}, "mapping.hmsNickname: FHIR has no element 'nickname' in Patient"),
    ({"Patient": {"fields": {}}, "Pateint": {"fields": {}}}, "mapping.Pateint is no resource type"),
    ({"Patient": {"felds": {}}}, "mapping.Patient"),
    (patient(birthdate="dob"), r"mapping.Patient.fields.birthdate: FHIR has no element 'birthdate'"),
    (patient(**{"name.family.x": "a"}), "mapping.Patient.fields.name.family.x"),
    (patient(**{"telecom.value": "phone"}), r"say which: telecom\[system, use\]"),
    (patient(**{"birthDate[0]": "dob"}), "no list"),
    (patient(**{"address.line": "street"}), r"say which: line\[0\], or all of them by the transform words"),
    (patient(**{"name[0].family": "last"}), r"a number does not say which: name\[use\]"),
    (patient(**{"telecom[0].value": "phone"}), r"a number does not say which: telecom\[system, use\]"),
    (patient(address="home"), "the path must go on into the Address"),
    (
        patient(birthDate={"path": "dob", "transform": "dat"}),
        "mapping.Patient.fields.birthDate: transform must be one of",
    ),
    (patient(birthDate={"path": "dob", "format": "MM-DD"}), "format must hold YYYY, MM and DD"),
    (patient(birthDate={"path": "dob", "codes": {}}), "has no parameter 'codes'"),
    (patient(birthDate={"transform": "date"}), "path is required"),
    (patient(birthDate={"path": "dob", "transform": "gender"}), "does not suit an element of the type date"),
    (patient(gender={"path": "sex", "transform": "code", "codes": {"W": "woman"}}), "codes must lead to male, female"),
    (
        patient(**{"name.family": {"path": "x", "transform": "code", "codes": {"a": ["b"]}}}),
        "codes must lead to a text",
    ),
    (patient(maritalStatus={"path": "x", "transform": "code", "codes": {"a": {}}}), "codes must lead to single values"),
    (patient(multipleBirthInteger={"path": "x", "transform": "code", "codes": {"twin": "2"}}), "lead to a number"),
    (patient(gender={"transform": "constant", "value": "W"}), "fields.gender: value must be male, female"),
    (patient(active={"transform": "constant", "value": "yes"}), "fields.active: value must be true or false"),
    (patient(birthDate={"transform": "constant", "value": "22.02.1980"}), "value must be a date as FHIR writes it"),
    (patient(birthDate={"transform": "constant", "value": None}), "value is required"),
    (patient(birthDate={"path": "dob", "direction": "up"}), "direction must be both, in or out"),
    (patient(**{"name.given.first()": "first"}), "FHIRPath cannot be written to: say direction out"),
    (patient(birthDate="born.first()"), "FHIRPath cannot be written to: say direction in"),
    (patient(birthDate={"path": "dob", "zone": "Mars/Olympus"}), "has no parameter 'zone'"),
    (patient(**{"name": "full", "name[official].family": "last"}), "say of both which use they have"),
    (patient(managingOrganization="org"), "leads to a Organization, which the mapping does not have"),
    ({"Patient": {"fields": {"name": "n"}, "find": "x"}}, r"needs a field identifier\[ours\].value"),
    ({"Patient": {"fields": {"name": "n"}, "read": {"path": "/p"}}}, r"mapping.Patient.read.path must hold \{id\}"),
    ({"Patient": {"fields": {"name": "n"}}, "event": {"types": {"a": "Encounter"}}}, "mapping.event.types.a"),
    ({"Patient": {"fields": {"name": "n"}, "list": {"items": "a..b"}}}, "mapping.Patient.list.items"),
    ({"Patient": {"fields": {"name": "n"}, "path": "people"}}, "mapping.Patient.path must begin with /"),
    ({"Patient": {"fields": {"name": "n"}, "create": {"path": "https://x.example/p"}}}, "mapping.Patient.create.path"),
    ({"Patient": {"fields": {"name": "n"}, "list": {"path": "all"}}}, "mapping.Patient.list.path must begin with /"),
    ({"Patient": {"fields": {"name": "n"}}, "subscribe": {"path": "hooks"}}, "mapping.subscribe.path must begin"),
]


@pytest.mark.parametrize(("mapping", "named"), WRONG)
def test_what_is_wrong_is_named_when_it_is_saved(mapping: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        form_of(mappings.read(mapping))


NOT_ONE_TO_ONE: list[tuple[dict[str, Any], str]] = [
    (
        patient(birthDate="d", gender="d"),
        "mapping.Patient.fields.gender: not one to one, it meets mapping.Patient.fields.birthDate",
    ),
    (patient(**{"name.family": "name", "name.text": "name.full"}), "not one to one"),
    (patient(**{"name": "full", "name.family": "last"}), "not one to one"),
    (patient(**{"name.given[0]": "first", "name.given": "all"}), "not one to one, it meets"),
    (patient(**{"name.text": "id"}), "mapping.Patient.fields.name.text: not one to one, it meets their id"),
    (patient(**{"identifier[ours].value": "id"}), "it meets their id"),
    (
        patient(gender={"path": "sex", "transform": "code", "codes": {"F": "female", "W": "female"}}),
        "several of their values become one of ours",
    ),
]


@pytest.mark.parametrize(("mapping", "named"), NOT_ONE_TO_ONE)
def test_what_would_not_come_back_is_refused_both_ways_only(mapping: dict[str, Any], named: str) -> None:
    mapped = mappings.read(mapping)
    with pytest.raises(InvalidInput, match=named):
        mappings.check_both_ways(mapped)
    inward = {"Patient": {**mapping["Patient"], "direction": "in"}}
    mappings.check_both_ways(mappings.read(inward))


SHOT: dict[str, Any] = {
    "status": {"transform": "constant", "value": "completed"},
    "vaccineCode.coding[http://hl7.org/fhir/sid/cvx].code": "cvx",
    "patient": "personId",
    "occurrenceDateTime": "on",
}


@pytest.mark.parametrize(
    ("lacking", "named"), list(zip(SHOT, ("status", "vaccineCode", "patient", r"occurrence\[x\]"), strict=True))
)
def test_a_mapping_of_what_would_never_be_valid_is_refused(lacking: str, named: str) -> None:
    """FHIR R4, Immunization: each of these is 1..1, so every one that came in would be refused for itself."""
    person = patient(**{"name.text": "name"})
    mapping = person | {"Immunization": {"fields": SHOT}}
    mappings.check_whole(mappings.read(mapping))
    fields = {name: path for name, path in SHOT.items() if name != lacking}
    with pytest.raises(InvalidInput, match=rf"mapping.Immunization.fields: FHIR requires {named}"):
        mappings.check_whole(mappings.read(person | {"Immunization": {"fields": fields}}))
    mappings.check_whole(mappings.read(person | {"Immunization": {"fields": fields, "direction": "out"}}))


LONG = patient(
    **{
        "identifier[https://clinic.example/mrn].value": "mrn",
        "name[official].family": "last",
        "name[official].given": "first",
        "telecom[phone,home].value": "phones[0]",
        "telecom[phone,work].value": "phones[1]",
        "telecom[email].value": "mail",
        "birthDate": "dob",
        "active": {"path": "archived", "transform": "boolean", "negated": True},
        "address[home].line": {"path": "address.street", "transform": "words", "separator": ", "},
        "address[home].city": "address.town",
        "address[home].country": {"transform": "constant", "value": "US"},
        "extension[https://clinic.example/shoe].valueDecimal": "shoe",
        "maritalStatus.coding[http://terminology.hl7.org/CodeSystem/v3-MaritalStatus].code": "status",
    }
)
PAYLOAD: dict[str, Any] = {
    "mrn": 42,
    "last": "Example",
    "first": "Ada Mary",
    "phones": ["555-1", "555-2"],
    "mail": "ada@example.com",
    "dob": "1980-02-22T00:00:00Z",
    "archived": False,
    "address": {"street": "1 High St, Flat 2", "town": "Springfield"},
    "shoe": Decimal("38.50"),
    "status": "M",
}


def test_there_and_back() -> None:
    found = read(LONG, PAYLOAD)
    gate.require(found.resource)
    assert found.issues == ()
    assert found.resource["name"] == [{"use": "official", "family": "Example", "given": ["Ada", "Mary"]}]
    assert found.resource["address"] == [
        {"use": "home", "line": ["1 High St", "Flat 2"], "city": "Springfield", "country": "US"}
    ]
    assert str(found.resource["extension"][0]["valueDecimal"]) == "38.50", "every digit stays"
    assert write(LONG, found.resource) == {**PAYLOAD, "mrn": "42", "dob": "1980-02-22"}


def test_lines_one_by_one() -> None:
    mapping = patient(**{"address.line[0]": "street", "address.line[1]": "flat", "address.city": "town"})
    found = read(mapping, {"street": "12 Main St", "flat": "Flat 3", "town": "Springfield"}).resource
    assert found["address"] == [{"line": ["12 Main St", "Flat 3"], "city": "Springfield"}]
    assert write(mapping, found) == {"street": "12 Main St", "flat": "Flat 3", "town": "Springfield"}
    assert read(mapping, {"street": "12 Main St", "flat": None, "town": None}).resource["address"] == [
        {"line": ["12 Main St"]}
    ]


def test_missing_says_nothing_null_and_empty_say_there_is_none() -> None:
    found = read(LONG, {"dob": None, "mail": "", "first": "Ada", "phones": ["555-1"]})
    covered = found.coverage.elements or frozenset()
    assert {"birthDate", "telecom[email]", "telecom[phone,home]", "telecom[phone,work]"} <= covered
    assert "name[official]" not in covered, "half a name, and the other half is not known"
    assert not {"active", "address[home]", "identifier[https://clinic.example/mrn]"} & covered
    assert found.resource.keys() == {"resourceType", "telecom"}, "a constant alone makes no address"
    known = {"resourceType": "Patient", "name": [{"use": "official", "family": "Example", "given": ["A"]}]}
    completed = read(LONG, {"first": "Ada"}, known=known)
    assert completed.resource["name"] == [{"use": "official", "family": "Example", "given": ["Ada"]}]


@pytest.mark.parametrize(
    ("empty", "expected"),
    [("null", {"dob": None, "note": 1}), ("blank", {"dob": "", "note": 1}), ("omit", {"note": 1})],
)
def test_how_an_update_says_that_there_is_none(empty: str, expected: dict[str, Any]) -> None:
    mapping = {"Patient": {"fields": {"birthDate": "dob"}, "empty": empty}}
    assert write(mapping, {"resourceType": "Patient"}, base={"dob": "1980-02-22", "note": 1}) == expected
    assert write(mapping, {"resourceType": "Patient"}) == {}, "a create leaves it out"


def test_one_alone_is_the_only_item_of_its_list() -> None:
    """XML cannot say that there might be more."""
    mapping = patient(**{"telecom[phone,home].value": "phone[0]", "telecom[phone,work].value": "phone[1].#text"})
    alone = read(mapping, mapping_xml.parse(b"<person><phone>555-1</phone></person>"))
    assert alone.resource["telecom"] == [{"system": "phone", "use": "home", "value": "555-1"}]
    both = read(mapping, mapping_xml.parse(b"<person><phone>555-1</phone><phone>555-2</phone></person>")).resource
    assert [one["value"] for one in both["telecom"]] == ["555-1", "555-2"]
    assert write(mapping, both, base={"phone": "555-1"}) == {"phone": ["555-1", {"#text": "555-2"}]}


def test_text_is_the_same_with_and_without_attributes() -> None:
    mapping = {"Observation": {"fields": {"valueQuantity.value": "weight.#text", "valueQuantity.unit": "weight.@unit"}}}
    for text, unit in (('<weight unit="kg">70.5</weight>', {"unit": "kg"}), ("<weight>70.5</weight>", {})):
        found = read(mapping, mapping_xml.parse(f"<o>{text}</o>".encode()), type_="Observation").resource
        assert found["valueQuantity"] == {"value": Decimal("70.5"), **unit}


@pytest.mark.parametrize(
    ("held", "expected"),
    [(["a", "b"], [None, "b"]), (["a"], ...), ("a", ...)],
)
def test_the_other_items_of_a_list_stay_where_they_are(held: Any, expected: Any) -> None:
    mapping = {"Patient": {"fields": {"telecom[phone].value": "phones[0]"}, "empty": "omit"}}
    written = write(mapping, {"resourceType": "Patient"}, base={"phones": held, "note": 1})
    assert written == {"note": 1} | ({} if expected is ... else {"phones": expected})


def test_what_is_missing_before_an_item_is_null() -> None:
    work = {"resourceType": "Patient", "telecom": [{"system": "phone", "use": "work", "value": "555-2"}]}
    mapping = patient(**{"telecom[phone,home].value": "phones[0]", "telecom[phone,work].value": "phones[1]"})
    assert write(mapping, work) == {"phones": [None, "555-2"]}


VALUES: list[tuple[str, Any, Any, str]] = [
    ("birthDate", "dob", "22.02.1980", "is no date of that form"),
    ("birthDate", "dob", "1980-02-31", "is no such date"),
    ("gender", {"path": "dob", "transform": "gender"}, "X", "none of male"),
    ("gender", "dob", "M", "table of codes"),
    ("deceasedDateTime", {"path": "dob", "transform": "instant"}, "2024-01-01T10:00:00", "no offset"),
    (
        "deceasedDateTime",
        {"path": "dob", "transform": "instant", "zone": "America/New_York"},
        "2024-11-03T01:30:00",
        "change of the clock",
    ),
    ("multipleBirthInteger", "dob", "two", "is no number"),
    ("multipleBirthInteger", "dob", Decimal("1.5"), "no whole number"),
    ("multipleBirthInteger", "dob", Decimal("1e999999999"), "no whole number"),
    ("multipleBirthInteger", "dob", 2**31, "no whole number"),
    ("active", "dob", "yes", "neither true nor false"),
    ("name", {"path": "dob", "transform": "name", "form": "family, given"}, "Ada Lovelace", "family, given"),
    ("name.family", "dob", {"x": 1}, "is no text"),
    ("name.family", "dob", True, "is no text"),
]


@pytest.mark.parametrize(("ours", "rule", "value", "why"), VALUES)
def test_a_value_that_has_no_counterpart_is_an_issue_and_nothing_is_made_up(
    ours: str, rule: Any, value: Any, why: str
) -> None:
    found = read(patient(**{ours: rule}), {"dob": value})
    [issue] = found.issues
    assert why in issue.diagnostics and f"mapping.Patient.fields.{ours}" in issue.diagnostics
    assert str(value) not in issue.diagnostics or value is True, "the value itself is not told"
    assert found.resource == {"resourceType": "Patient"} and not found.coverage.elements


TIMES: list[tuple[dict[str, Any], Any, str, Any]] = [
    ({}, "2024-06-15T12:00Z", "2024-06-15T12:00:00Z", "2024-06-15T12:00:00Z"),
    ({}, "2024-06-15 12:00:05.25+0200", "2024-06-15T12:00:05.25+02:00", "2024-06-15T12:00:05.25+02:00"),
    ({"zone": "Europe/Berlin"}, "2024-01-15 08:30", "2024-01-15T08:30:00+01:00", "2024-01-15T08:30:00"),
    ({"zone": "Europe/Berlin"}, "2024-07-15T06:30:00Z", "2024-07-15T06:30:00Z", "2024-07-15T08:30:00"),
    ({"epoch": "s"}, 1718452800, "2024-06-15T12:00:00Z", 1718452800),
    ({"epoch": "ms"}, 1088322255258, "2004-06-27T07:44:15.258000Z", 1088322255258),
    ({"epoch": "ms"}, 1718452800125, "2024-06-15T12:00:00.125000Z", 1718452800125),
]


@pytest.mark.parametrize(("parameters", "theirs", "ours", "back"), TIMES)
def test_times(parameters: dict[str, Any], theirs: Any, ours: str, back: Any) -> None:
    mapping = {"Appointment": {"fields": {"start": {"path": "at", "transform": "instant", **parameters}}}}
    found = read(mapping, {"at": theirs}, type_="Appointment")
    assert found.resource["start"] == ours and not found.issues
    assert write(mapping, found.resource, type_="Appointment") == {"at": back}


@pytest.mark.parametrize(("more", "day"), [({}, "2024-03-01"), ({"format": "MM/DD/YYYY"}, "03/01/2024")])
def test_a_day_of_theirs_is_told_without_our_time_of_day(more: dict[str, str], day: str) -> None:
    mapping = {"Immunization": {"fields": {"occurrenceDateTime": {"path": "on", "transform": "date", **more}}}}
    given = {"resourceType": "Immunization", "occurrenceDateTime": "2024-03-01T10:30:00-05:00"}
    assert write(mapping, given, type_="Immunization") == {"on": day}


def test_fhirpath_reads_theirs_and_ours() -> None:
    mapping = patient(
        **{
            "name.family": {"path": "parties.where(role = 'patient').surname", "direction": "in"},
            "name.text": {"path": "first & ' ' & last", "direction": "in"},
            "name.given.first() | name.family.first()": {"path": "greeting", "direction": "out"},
        }
    )
    payload = {
        "parties": [{"role": "payer", "surname": "Bank"}, {"role": "patient", "surname": "Example"}],
        "first": "A",
        "last": "B",
    }
    assert read(mapping, payload).resource["name"] == [{"family": "Example", "text": "A B"}]
    one = patient(**{"name.where(use = 'official').family.first()": {"path": "greeting", "direction": "out"}})
    resource = {"resourceType": "Patient", "name": [{"family": "X"}, {"use": "official", "family": "Y"}]}
    assert write(one, resource) == {"greeting": "Y"}


def test_an_observation_by_mapping() -> None:
    mapping: dict[str, Any] = {
        "Patient": {"fields": {"name": "name"}},
        "Observation": {
            "fields": {
                "status": {"transform": "constant", "value": "final"},
                "code.coding[http://loinc.org].code": {"path": "test", "transform": "code", "codes": {"wt": "29463-7"}},
                "subject": {"path": "pid", "transform": "reference", "type": "Patient"},
                "valueQuantity.value": "value",
                "valueQuantity.unit": {"transform": "constant", "value": "kg"},
                "note[0].text": "remark",
            }
        },
    }
    found = read(mapping, {"test": "wt", "pid": 7, "value": "71.20"}, type_="Observation")
    gate.require(found.resource)
    assert found.resource["subject"] == {"reference": "Patient/7"}
    assert {name: str(value) for name, value in found.resource["valueQuantity"].items()} == {
        "value": "71.20",
        "unit": "kg",
    }
    bare = read(mapping, {"test": "wt", "pid": 7}, type_="Observation")
    assert "valueQuantity" not in bare.resource, "a unit alone is no value"


def test_the_form_knows_what_is_shown_only_in_part() -> None:
    form = form_of(
        mappings.read(
            patient(
                **{"name.family": "l", "name.given": "f", "telecom[phone].value": {"path": "p", "transform": "phone"}}
            )
        )
    )
    assert [single.slot for single in form.fields] == ["name[-]", "telecom[phone]"]
    assert form.parts == {"name": {"family", "given"}, "telecom": {"value"}} and form.rewriting == ("digits",)
    assert form.carries("telecom[phone,home]") and not form.carries("telecom[email]") and not form.carries("birthDate")


PHONE = {"telecom": [{"system": "phone", "value": "3"}]}
GIVEN = {"name": [{"given": ["Ada", "May"]}]}
SEVERAL: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("telecom[phone].value", "phones.number", PHONE, {"phones": [{"number": "1", "kind": "home"}, {"number": "2"}]}),
    ("telecom[phone].value", "phone", PHONE, {"phone": ["1", "2"]}),
    ("telecom[phone].value", "phone", {}, {"phone": ["1", "2"]}),
    ("name.family", "name.last", {"name": [{"family": "Bell"}]}, {"name": "Ada Bell"}),
    ("name", "names", GIVEN, {"names": ["Ada Bell", "Ada Coe"]}),
    ("name.given[0]", "first", GIVEN, {"first": ["Ann", "Bea"]}),
    ("name.given.where($this.length() = 3)", "first", GIVEN, {"first": "Ann"}),
]


@pytest.mark.parametrize(("ours", "path", "resource", "held"), SEVERAL)
def test_one_value_never_takes_the_place_of_several(
    ours: str, path: str, resource: dict[str, Any], held: dict[str, Any]
) -> None:
    """Their second phone would be gone, and nobody had asked for that."""
    direction = "out" if "(" in ours else "both"
    mapped = shape(patient(**{ours: {"path": path, "direction": direction}}))
    written = to_theirs(mapped, {"resourceType": "Patient", **resource}, SYSTEMS, base=held)
    assert written.payload == held and len(written.issues) == 1


def test_what_stands_in_a_list_is_named_when_it_is_read() -> None:
    found = read(patient(**{"telecom[phone].value": "phones.number"}), {"phones": [{"number": "1"}, {"number": "2"}]})
    assert "telecom" not in found.resource and not found.coverage.elements
    assert "names no item" in found.issues[0].diagnostics


@pytest.mark.parametrize(
    ("held", "sent"),
    [
        ({"first": ["Ann"]}, ["Ada", "May"]),
        ({"first": "Ann"}, "Ada May"),
        ({}, "Ada May"),
        ({"first": None}, "Ada May"),
    ],
)
def test_given_names_stay_a_list_where_they_are_one(held: dict[str, Any], sent: Any) -> None:
    mapping = patient(**{"name.given": "first"})
    assert write(mapping, {"resourceType": "Patient", **GIVEN}, held) == {"first": sent}
    assert write(mapping, {"resourceType": "Patient"}, held) == {"first": None}
