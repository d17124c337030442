"""Laws of the Canvas translator, with the stand-in's own reading of the contract as judge: what Canvas makes of what we
send is never an edit, sending it again changes nothing, and no write takes away what is only Canvas' business."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connectors import canvas_fhir
from gateway.fhir import gate
from gateway.fhir.form import echoes, render
from gateway.fhir.json import Resource
from gateway.fhir.record import Record
from gateway.fhir.slots import labelled, split
from gateway.sandbox.canvas_chart import Chart
from gateway.translators.json import canvas_fhir as model
from gateway.translators.json.canvas import BIRTH_SEX
from gateway.translators.json.canvas_entries import displays
from gateway.translators.json.canvas_fhir import Systems

OURS = Systems("https://gateway.example/fhir/Patient", "https://gateway.example/fhir/Patient")
PARTNERS = Systems(OURS.ours, "https://partner.example")
OUR_ID = {"system": OURS.ours, "value": "01a21436-6fbd-74f7-bc6f-c31f2cd8eb7e"}
FORM = canvas_fhir.form
PHARMACY = {"url": "http://schemas.canvasmedical.com/fhir/extensions/preferred-pharmacy", "valueString": "1"}

words = st.sampled_from(["Ann", "ann", "O'Neil", "García", "Mary Ann", "X"])
digits = st.sampled_from(["5551234567", "+1 (555) 123-4567", "555.999.0000", "+44 20 7946 0958", "0123"])
dates = st.sampled_from(["1980", "1980-02", "1980-02-22", "2001-12-31"])


def some(**fields: st.SearchStrategy[object]) -> st.SearchStrategy[Resource]:
    """An object with any of these."""
    return st.fixed_dictionaries({}, optional=fields)


def having(base: Resource, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Resource]:
    return some(**fields).map(lambda more: {**base, **more})


names = st.tuples(
    st.fixed_dictionaries(
        {"family": words, "given": st.lists(words, min_size=1, max_size=3)},
        optional={"use": st.sampled_from(["official", "usual", "old"]), "prefix": st.just(["Dr"])},
    ),
    st.lists(st.fixed_dictionaries({"use": st.just("nickname"), "given": st.lists(words, min_size=1)}), max_size=1),
).map(lambda pair: [pair[0], *pair[1]])
telecoms = st.one_of(
    st.fixed_dictionaries(
        {"system": st.just("phone"), "value": digits},
        optional={"use": st.sampled_from(["home", "work", "mobile"]), "rank": st.integers(1, 2)},
    ),
    st.fixed_dictionaries({"system": st.just("email"), "value": st.sampled_from(["a@example.com", "B@Example.com"])}),
)
addresses = some(
    use=st.sampled_from(["home", "work"]),
    line=st.lists(words, min_size=1, max_size=4),
    city=words,
    state=st.sampled_from(["CA", "ca", "New York", "Bavaria"]),
    postalCode=st.just("94107"),
    country=st.sampled_from(["US", "United States", "Germany"]),
    text=words,
).filter(lambda one: bool(one.keys() - {"use"}))
contacts = some(
    name=st.one_of(some(text=words), st.fixed_dictionaries({"family": words, "given": st.lists(words, min_size=1)})),
    telecom=st.lists(st.fixed_dictionaries({"system": st.just("phone"), "value": digits}), min_size=1, max_size=2),
    relationship=st.lists(st.fixed_dictionaries({"text": words}), min_size=1, max_size=1),
    gender=st.just("female"),
).filter(lambda one: bool(one.get("name")))
identifiers = having(
    {"system": "urn:mrn", "value": "1"}, use=st.sampled_from(["usual", "official", "old"]), type=st.just({"text": "MR"})
)
extensions = st.lists(
    st.sampled_from(
        [
            {"url": BIRTH_SEX, "valueCode": "F"},
            {"url": BIRTH_SEX, "valueCode": "UNK"},
            {
                "url": model.CARRIED[2],
                "extension": [{"url": "ombCategory", "valueCoding": {"system": "urn:r", "code": "2131-1"}}],
            },
            {"url": "https://elsewhere.example/ext", "valueBoolean": True},
        ]
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda one: str(one["url"]),
)


@st.composite
def patients(draw: st.DrawFn) -> Resource:
    more = draw(
        some(
            telecom=st.lists(telecoms, min_size=1, max_size=3),
            address=st.lists(addresses, min_size=1, max_size=2),
            contact=st.lists(contacts, min_size=1, max_size=2),
            extension=extensions,
            gender=st.sampled_from(["male", "female", "other", "unknown"]),
            active=st.booleans(),
            maritalStatus=st.just({"text": "married"}),
        )
    )
    listed = draw(st.lists(identifiers, max_size=2))
    return {
        "resourceType": "Patient",
        "identifier": [*listed, OUR_ID],
        "name": draw(names),
        "birthDate": draw(dates),
        **more,
    }


def shown(chart: Chart, patient_id: str, systems: Systems) -> model.Model:
    told = model.from_canvas(chart.read(patient_id), systems)
    assert gate.check(told.patient) == []
    return told


def assert_echo(sent: Resource, displayed: Resource) -> None:
    there = split(displayed)
    for slot, value in render(sent, FORM, Record("canvas", "Patient", "1")).items():
        single = FORM.field_of(slot)
        found = there.get(single.slot if single else slot)
        assert echoes(FORM, slot, value, labelled(slot, found)), (slot, value, found)


@given(patients(), st.sampled_from([OURS, PARTNERS]))
def test_what_canvas_makes_of_a_create_is_no_edit(patient: Resource, systems: Systems) -> None:
    chart, before = Chart(), deepcopy(patient)
    made = chart.create(model.to_canvas(patient, systems))
    assert patient == before, "what is sent is not changed by sending it"
    assert_echo(patient, shown(chart, made, systems).patient)


@given(patients())
def test_sending_it_again_changes_nothing(patient: Resource) -> None:
    chart = Chart()
    made = chart.create(model.to_canvas(patient, OURS))
    before = chart.read(made)
    chart.update(made, model.to_canvas(patient, OURS, raw=shown(chart, made, OURS).raw))
    after = chart.read(made)
    for one in (before, after):
        one["extension"].sort(key=lambda each: str(each["url"]))
    assert after == before


@given(patients(), patients())
@settings(max_examples=150)
def test_an_update_brings_everything_and_takes_nothing_of_theirs(first: Resource, second: Resource) -> None:
    chart = Chart()
    made = chart.create(model.to_canvas(first, OURS))
    chart.edit(made, lambda held: held.update(extension=[*held["extension"], PHARMACY]))
    number = chart.read(made)["identifier"][0]
    chart.update(made, model.to_canvas(second, OURS, raw=shown(chart, made, OURS).raw))
    assert_echo(second, shown(chart, made, OURS).patient)
    after = chart.read(made)
    assert PHARMACY in after["extension"] and after["identifier"][0] == number
    for name in ("telecom", "address", "contact"):
        taken = [one for one in second.get(name, []) if displays(name, one) is not None]
        assert len(after.get(name, [])) == len(taken), name
