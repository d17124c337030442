"""Whatever JSON or XML a partner sends: a translation says what it understood, or refuses; it never breaks."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors import impilo, rest
from gateway.connectors.protocol import Side
from gateway.errors import GatewayError
from gateway.fhir import json
from gateway.translators.json import impilo as impilo_model
from gateway.translators.json import impilo_readings, mapping_xml
from gateway.translators.json import mapping as mappings
from gateway.translators.json.mapping_apply import to_fhir, to_theirs
from tests.contract.rest_mapping import MAPPING, as_xml

SYSTEMS = {"ours": "https://gateway.example/fhir/Patient", "theirs": "https://partner.example/ids"}
WORDS = ["last", "first", "dob", "sex", "mobile", "street", "town", "id", "personId", "state", "startsAt", "cvx"]
WORDS += [
    "model",
    "kind",
    "eventId",
    "firstName",
    "lastName",
    "address",
    "site",
    "archived",
    "patient",
    "payload",
    "type",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    st.text(max_size=12),
    st.sampled_from(
        ["M", "1980-02-22", "02/22/1980", "2026-07-01T10:30:00", "confirmed", "patient.updated", "9999-12-31"]
    ),
)
JSONS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=4)), inner, max_size=6),
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(WORDS), JSONS, max_size=8)


@given(st.sampled_from(["Patient", "Appointment", "Immunization"]), OBJECTS)
def test_a_mapping_takes_any_payload(type_: str, payload: dict[str, Any]) -> None:
    shape = mappings.read(MAPPING).shapes[type_]
    found = to_fhir(shape, payload, SYSTEMS)
    assert found.resource["resourceType"] == type_
    to_theirs(
        shape, found.resource, SYSTEMS, base=payload if all(isinstance(v, dict) for v in payload.values()) else {}
    )


@given(OBJECTS)
def test_what_is_read_and_told_again_is_read_the_same(payload: dict[str, Any]) -> None:
    """Of a Patient: what came through once comes through unchanged."""
    shape = mappings.read(MAPPING).shapes["Patient"]
    once = to_fhir(shape, payload, SYSTEMS).resource
    told = to_theirs(shape, once, SYSTEMS).payload
    again = to_fhir(shape, told, SYSTEMS).resource
    for element in ("birthDate", "gender"):
        assert again.get(element) == once.get(element)
    if "name" in again:
        assert again["name"] == once["name"]


@given(JSONS)
def test_events_are_understood_or_refused(payload: Any) -> None:
    sides = [Side("https://g/fhir", "x", mapping=MAPPING), Side("https://g/fhir", "x", mapping={"hmsName": "name"})]
    body = json.encode(payload)
    for side in sides:
        with contextlib.suppress(GatewayError):
            rest.told(body, side)
    with contextlib.suppress(GatewayError):
        impilo.event(payload)
    impilo.event_id(payload)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_xml_or_refused(body: bytes) -> None:
    side = Side("https://g/fhir", "x", mapping=as_xml(), content_type="xml")
    with contextlib.suppress(GatewayError):
        rest.told(body, side)


@given(OBJECTS)
def test_what_is_written_as_xml_is_read_as_it_was(payload: dict[str, Any]) -> None:
    plain = {name: value for name, value in payload.items() if isinstance(value, str) and value == value.strip() != ""}
    plain = {name: value for name, value in plain.items() if value.isprintable()}
    assert mapping_xml.parse(mapping_xml.write(plain, "person")) == (plain or None)


@given(OBJECTS, st.booleans())
def test_impilos_model_takes_any_object(payload: dict[str, Any], whole: bool) -> None:
    systems = impilo_model.Systems(SYSTEMS["ours"], impilo_model.EXTERNAL_SYSTEM)
    found = impilo_model.from_impilo(payload, systems, whole=whole)
    impilo_model.to_impilo(found.patient)


@given(st.sampled_from(sorted(impilo_readings.KINDS)), OBJECTS, SCALARS)
def test_a_reading_is_taken_or_refused(kind: str, payload: dict[str, Any], value: Any) -> None:
    body = {**payload, kind: value, "systolic": value, "readingTimestamp": value, "device": payload}
    with contextlib.suppress(GatewayError):
        found = impilo_readings.to_observation(kind, body, patient="1", units={})
        number = found.get("valueQuantity") or found["component"][0]["valueQuantity"]
        assert isinstance(number["value"], int | Decimal)
