"""Updates of a mapped REST system: a list is replaced as one, so nothing of it may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.connectors import rest
from gateway.connectors.call import Call, Reply
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import PartnerRejected
from gateway.fhir import json

BODY = {
    "resourceType": "Patient",
    "birthDate": "1980-02-22",
    "telecom": [
        {"system": "phone", "use": "home", "value": "555-1"},
        {"system": "phone", "use": "work", "value": "555-9"},
    ],
}
FIELDS = {"telecom[phone,home].value": "phones[0]", "telecom[phone,work].value": "phones[1]", "birthDate": "dob"}
HELD = {"id": "5", "dob": "1980-02-22", "phones": ["555-1", "555-2", "555-3"], "note": "theirs"}


def asked(due: str, more: Mapping[str, Any]) -> list[Call]:
    """The calls of one update, each answered with what they hold."""
    mapping = {"Patient": {"path": "/people", "update": {"method": "PATCH"}, "fields": FIELDS, **more}}
    side = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=mapping)
    pushing = rest.push(Item("Patient", "p", BODY, "5", due=frozenset({due})), side)
    calls = [next(pushing)]
    try:
        while True:
            calls.append(pushing.send(Reply(200, {}, json.encode(HELD))))
    except StopIteration:
        return calls


@pytest.mark.parametrize(
    ("due", "more", "methods", "sent"),
    [
        ("telecom[phone,work]", {}, ["GET", "PATCH"], {"phones": ["555-1", "555-9", "555-3"]}),
        ("telecom[phone,work]", {"read": False}, ["PATCH"], {"phones": ["555-1", "555-9"]}),
        ("birthDate", {}, ["PATCH"], {"dob": "1980-02-22"}),
    ],
)
def test_a_patch_of_one_item_tells_the_whole_list(
    due: str, more: dict[str, Any], methods: list[str], sent: dict[str, Any]
) -> None:
    calls = asked(due, more)
    assert [call.method for call in calls] == methods and calls[-1].json == sent


SIDE = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping={"Patient": {"fields": FIELDS}})


@pytest.mark.parametrize(("status", "lost"), [(404, "missing"), (410, "deleted")])
def test_only_410_says_that_they_deleted_it(status: int, lost: str) -> None:
    """FHIR R4 §3.1.0.7, as with every other system: a 404 may be a wrong address."""
    reading = rest.read(Target("Patient", "p", "5"), SIDE)
    next(reading)
    with pytest.raises(StopIteration) as found:
        reading.send(Reply(status))
    assert found.value.value.lost == lost


@pytest.mark.parametrize("status", [404, 410])
def test_who_is_gone_when_it_is_put_is_not_made_again(status: int) -> None:
    """What only they know of it would be lost, and some servers make what is put under an id."""
    pushing = rest.push(Item("Patient", "p", BODY, "5", due=frozenset({"birthDate"})), SIDE)
    assert next(pushing).method == "GET"
    with pytest.raises(PartnerRejected):
        pushing.send(Reply(status))


@pytest.mark.parametrize(("method", "calls"), [("PUT", ["GET"]), ("PATCH", [])])
def test_what_would_change_nothing_is_not_written(method: str, calls: list[str]) -> None:
    """At first contact our id is due everywhere: where they have no field for it, each of their records would be
    written once, and be the newest there."""
    mapping = {"Patient": {"path": "/people", "update": {"method": method}, "fields": {"birthDate": "dob"}}}
    side = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=mapping)
    due = frozenset({"identifier[https://gateway.example/fhir/Patient]"})
    pushing = rest.push(Item("Patient", "p", BODY, "5", due=due), side)
    met = []
    with pytest.raises(StopIteration) as over:
        met.append(next(pushing).method)
        while True:
            met.append(pushing.send(Reply(200, {}, json.encode(HELD))).method)
    assert met == calls and over.value.value.remote_id == "5"


@pytest.mark.parametrize(("held", "same"), [({"on": True}, True), ({"on": 1}, False), ({"on": None}, False)])
def test_what_is_written_another_way_there_is_written(held: dict[str, Any], same: bool) -> None:
    mapping = {"Patient": {"path": "/people", "fields": {"active": "on"}}}
    side = Side("https://gateway.example/fhir", "https://ehr.example", name="ehr", mapping=mapping)
    body = {"resourceType": "Patient", "active": True}
    pushing = rest.push(Item("Patient", "p", body, "5", due=frozenset({"active"})), side)
    next(pushing)
    if same:
        with pytest.raises(StopIteration):
            pushing.send(Reply(200, {}, json.encode({"id": "5", **held})))
    else:
        assert pushing.send(Reply(200, {}, json.encode({"id": "5", **held}))).json == {"id": "5", "on": True}
