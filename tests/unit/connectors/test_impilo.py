"""Impilo without a network: external identifiers, envelopes, options."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from gateway.connectors import config_file, impilo
from gateway.connectors.call import Call, Reply
from gateway.connectors.protocol import Hook, Side
from gateway.errors import Conflict, InvalidInput
from gateway.fhir import json
from gateway.fhir.json import Resource

SIDE = Side("https://gateway.example/fhir", impilo.ID_SYSTEM, options=impilo.Options())


def patient(*telecom: tuple[str, str]) -> Resource:
    return {"resourceType": "Patient", "telecom": [{"system": system, "value": value} for system, value in telecom]}


def test_the_hash_of_their_guide() -> None:
    known = patient(("phone", "(123) 456-7890"), ("email", "example@example.com"))
    assert impilo.md5_email_phone(known) == "874aa79c933a3d5b514fc7cd79fd17b3"


@pytest.mark.parametrize(
    ("telecom", "same_as"),
    [
        ([("email", "EXAMPLE@example.COM "), ("phone", "123-456-7890")], True),
        ([("email", "example@example.com"), ("phone", "123 456 7891")], False),
        ([("email", "example@example.com"), ("phone", "123-456-7890 ٣")], True),
        ([("email", "example@example.com")], False),
    ],
)
def test_letter_case_and_punctuation_do_not_change_the_hash(telecom: list[tuple[str, str]], same_as: bool) -> None:
    assert (impilo.md5_email_phone(patient(*telecom)) == "874aa79c933a3d5b514fc7cd79fd17b3") is same_as


@pytest.mark.parametrize("telecom", [[], [("phone", "unlisted")], [("email", "  ")], [("fax", "123")]])
def test_the_hash_of_nothing_is_refused(telecom: list[tuple[str, str]]) -> None:
    with pytest.raises(Conflict):
        impilo.md5_email_phone(patient(*telecom))


def test_the_customers_own_identifier_comes_first_then_ours() -> None:
    own = {"resourceType": "Patient", "identifier": [{"system": SIDE.options.external_system, "value": "clinic-1"}]}
    assert run(impilo.external_identifier("our-id", own, SIDE)) == "clinic-1"
    assert run(impilo.external_identifier("our-id", patient(), SIDE)) == "our-id"


@pytest.mark.parametrize("use", ["old", "temp"])
def test_a_number_that_is_no_longer_theirs_is_not_given_again(use: str) -> None:
    number = {"system": SIDE.options.external_system, "value": "clinic-0", "use": use}
    assert (
        run(impilo.external_identifier("our-id", {"resourceType": "Patient", "identifier": [number]}, SIDE)) == "our-id"
    )


def test_the_keyed_hash_is_asked_for_not_made_here() -> None:
    side = Side(SIDE.ours, SIDE.id_system, options=impilo.Options(identifier_strategy="hmac-sha256"))
    asked = impilo.external_identifier("our-id", patient(), side)
    assert next(asked) == Call("KEYED", "our-id")


GUIDE: dict[str, Any] = {"id": 57638473, "type": "patient.updated", "payload": {"id": 12345, "firstName": "John"}}
SEED: dict[str, Any] = {"event": "patient.updated", "data": {"id": "12345", "updatedAt": "2024-05-21T16:00:00Z"}}


def test_both_envelopes_mean_the_same_patient() -> None:
    told = [impilo.event(GUIDE), impilo.event(SEED)]
    assert [(one.kind, one.type, one.remote_id) for one in told] == [("changed", "Patient", "12345")] * 2
    assert (told[0].id, told[1].at) == ("57638473", "2024-05-21T16:00:00Z")
    assert impilo.event_id(GUIDE) == "57638473 patient.updated" and impilo.event_id(SEED) is None


@pytest.mark.parametrize("kind", ["order.status", "reading.ecg", "reading.peakFlow", "patient", "x"])
def test_other_types_are_ignored(kind: str) -> None:
    assert impilo.event({"id": 1, "type": kind, "payload": {"id": 2}}).kind == "ignored"


@pytest.mark.parametrize("payload", [[], {}, {"type": 5}, {"type": "patient.updated"}, {"event": "patient.updated"}])
def test_what_is_no_event_of_theirs_is_refused(payload: Any) -> None:
    with pytest.raises(InvalidInput):
        impilo.event(payload)


def test_a_reading_must_name_its_patient() -> None:
    told = impilo.event({"id": 1, "type": "reading.weight", "payload": {"id": 2, "weight": 1.1, "patient": {}}})
    assert (told.kind, told.remote_id) == ("gather", "weight-2")
    with pytest.raises(InvalidInput, match="patient"):
        next(impilo.gather(told, SIDE))


@pytest.mark.parametrize("wrapped", [True, False], ids=["page", "array"])
def test_webhooks_that_are_there_already_are_found_in_either_shape_of_the_list(wrapped: bool) -> None:
    there = [{"id": n, "type": kind, "url": "https://g.example/hook"} for n, kind in enumerate(impilo.EVENTS)]
    calls = impilo.register(Hook("https://g.example/hook"), SIDE)
    assert next(calls).path == "/webhook"
    with pytest.raises(StopIteration) as over:  # no webhook is made a second time
        calls.send(Reply(200, body=json.encode({"content": there} if wrapped else there)))
    assert over.value.value == "0,1,2,3,4,5,6"


def connector(**more: Any) -> dict[str, Any]:
    return {"name": "impilo", "profile": "impilo", "endpoint": "https://app.impiloplatform.com/api/v3", **more}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"units": {"weight": "stone"}}, "units.weight"),
        ({"units": {"ecg": "mV"}}, "units.ecg"),
        ({"identifier_strategy": "md5"}, "identifier_strategy"),
        ({"identifier_strategy": "hmac-sha256"}, "options.identifierKey"),
        ({"strategy": "verbatim"}, "strategy"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        config_file.parse(connector(options=options))


def test_the_identifier_key_is_a_secret() -> None:
    options = {"identifier_strategy": "hmac-sha256", "identifierKey": "only ours"}
    [(config, secrets)] = config_file.parse(connector(options=options))
    assert secrets["identifier_key"] == "only ours" and "only ours" not in str(config.to_json())


def test_what_every_impilo_has_in_common_need_not_be_said() -> None:
    [(config, _)] = config_file.parse(connector(sync={"mode": "webhook", "secret": "any text"}))
    assert config.remote_system == "https://app.impiloplatform.com/patient"
    assert (config.sync.signature, config.sync.header) == ("header", "Impilo-Webhook-Secret")
    assert config.rate_limit is not None and config.rate_limit.requests == 5


def run(calls: Generator[Call, Reply, str]) -> str:
    try:
        next(calls)
    except StopIteration as finished:
        return str(finished.value)
    raise AssertionError("it wants to call somebody")


def test_a_webhook_without_an_id_is_not_taken_off() -> None:
    """The address would be that of all webhooks of the account."""
    hook = Hook("https://gateway.test/api/webhooks/impilo")
    listed = [{"type": "patient.updated", "url": hook.url}, {"id": 7, "type": "patient.created", "url": hook.url}]
    calls = impilo.unregister(hook, SIDE)
    assert next(calls).path == "/webhook"
    assert calls.send(Reply(200, body=json.encode(listed))) == Call("DELETE", "/webhook/7")
    with pytest.raises(StopIteration):
        calls.send(Reply(204))
