"""Whatever Metriport sends, its translators and events say what they make of it, or refuse it as input."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors import metriport
from gateway.connectors.call import Call, Reply
from gateway.connectors.metriport_bundle import founds
from gateway.connectors.metriport_events import FETCHES
from gateway.connectors.protocol import Side
from gateway.errors import GatewayError, InvalidInput
from gateway.fhir import gate, json
from gateway.translators.json import metriport as model

OURS, THEIRS = "https://gateway.example/fhir", "https://metriport.example"
WORDS = st.sampled_from(
    [
        "",
        "x",
        "p-1",
        "Patient/p-1",
        "Patient/p-2",
        "#a",
        "urn:uuid:1",
        "CA",
        "2020-01-01",
        "completed",
        "https://f.example/1",
    ]
)
_MEMBERS = (
    "resourceType id entry resource reference subject contained extension fullUrl identifier url source status bundle "
    "content attachment contentType documents fileName firstName lastName dob address contact phone externalId type "
    "state value personalIdentifiers patientId consolidatedDataUrl meta"
)
KEYS = st.sampled_from(_MEMBERS.split())
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)


@given(JSON)
def test_a_bundle_of_anything(value: Any) -> None:
    before = json.canonical(value)
    try:
        listed = founds({"resourceType": "Bundle", "entry": value}, "p-1", THEIRS)
    except InvalidInput:
        listed = []
    assert all(one.remote_id and one.type for one in listed)
    assert json.canonical(value) == before, "nothing parsed is changed"


@given(st.dictionaries(KEYS, JSON, max_size=8))
def test_a_patient_of_anything_is_valid_fhir(body: dict[str, Any]) -> None:
    read = model.from_partner(body, ours=OURS, theirs=THEIRS)
    assert gate.check(read.patient) == []
    written = model.to_partner(read.patient, our_id="1")
    assert model.to_partner(model.from_partner(written.body, ours=OURS, theirs=THEIRS).patient, our_id="1") == written


@given(st.sampled_from(sorted(FETCHES)), JSON, JSON, JSON)
def test_an_event_of_anything(kind: str, payload: Any, patients: Any, answer: Any) -> None:
    told = {"meta": {"type": kind, "when": "2025-01-01T00:00:00Z"}, "payload": payload, "patients": patients}
    side = Side(ours=OURS, id_system=THEIRS)
    try:
        event = metriport.event(told)
        if event.kind == "gather":
            drive(metriport.gather(event, side), Reply(200, {}, json.encode(answer)))
    except GatewayError:
        pass


def drive(calls: Generator[Call, Reply, Any], reply: Reply) -> None:
    """Answers whatever is asked with the same, a patient's own read with herself."""
    try:
        call = next(calls)
        for _ in range(200):
            asked = call.path.rpartition("/")[2]
            hers = call.auth and call.path.startswith("/medical/v1/patient/") and call.path.count("/") == 4
            call = calls.send(Reply(200, {}, json.encode({"id": asked})) if hers else reply)
    except StopIteration:
        pass
