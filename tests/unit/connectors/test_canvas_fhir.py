"""The Canvas connector's own decisions, without a network."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from gateway.connectors import canvas_fhir
from gateway.connectors.call import Call, Page, Reply, Seen
from gateway.connectors.canvas_fhir import Options
from gateway.connectors.config import OTHER_KEY, Config, from_json
from gateway.connectors.config_file import parse
from gateway.connectors.protocol import Delayed, Elsewhere, Item, Probing, Scanner, Side, Target
from gateway.delivery.login import elsewhere
from gateway.errors import AmbiguousMatch, InvalidInput, PartnerPending, PartnerUnknown
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.translators.json.canvas import BIRTH_SEX

OURS = "https://gateway.example/fhir"
URL = "https://example.canvas.example/plugin-io/api/example_patient_sync/patients"
PLUGIN = Options(create="plugin", plugin_url=URL, partner_system="https://partner.example")
SIDE = Side(OURS, "https://fumage-example.canvas.example")
ALICE: Resource = {
    "resourceType": "Patient",
    "extension": [{"url": BIRTH_SEX, "valueCode": "OTH"}],
    "identifier": [{"system": f"{OURS}/Patient", "value": "p"}],
    "name": [{"use": "nickname", "given": ["Al"]}, {"family": "Example", "given": ["Alice", "Ann"]}],
    "birthDate": "1980-02-22",
}
FILE: dict[str, Any] = {
    "name": "canvas",
    "type": "FHIR",
    "profile": "canvas_fhir",
    "endpoint": "https://fumage-example.canvas.example/",
    "auth": {
        "scheme": "OAuth2",
        "tokenUrl": "https://example.canvas.example/auth/token/",
        "clientId": "gateway",
        "clientSecret": "client-secret",
    },
}


def play(calls: Generator[Call, Reply, Any], *replies: Reply) -> tuple[list[Call], Any]:
    """What it asked, and what it returned."""
    asked = [next(calls)]
    for reply in replies:
        try:
            asked.append(calls.send(reply))
        except StopIteration as finished:
            return asked, finished.value
    raise AssertionError("it asks for more")


def answer(body: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, headers, json.encode(body))


def bundle(*patients: Resource, following: str | None = None) -> Reply:
    links = [{"relation": "next", "url": following}] if following else []
    entries = [{"resource": one} for one in patients]
    return answer({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})


def held(id_: str, **more: Any) -> Resource:
    return {**ALICE, "id": id_, **more}


def config(**options: Any) -> Config:
    auth = {**FILE["auth"], **({"otherKey": "plugin-key"} if options.get("create") == "plugin" else {})}
    [(found, _)] = parse({**FILE, "auth": auth, "options": options})
    return found


def test_what_it_offers() -> None:
    for protocol in (Delayed, Elsewhere, Probing, Scanner):
        assert isinstance(canvas_fhir, protocol)
    assert canvas_fhir.accepts("Patient") and not canvas_fhir.accepts("Observation")


def test_a_search_asks_for_our_id_first_and_then_for_keys() -> None:
    target = Target("Patient", "p", identifiers=(("urn:mrn", "1"), ("urn:nhs", "2")))
    asked, seen = play(canvas_fhir.read(target, SIDE), bundle(), bundle(), bundle())
    assert seen == Seen(None, None)
    assert [call.params for call in asked] == [
        (("identifier", f"{OURS}/Patient|p"),),
        (("identifier", "urn:mrn|1"),),
        (("identifier", "urn:nhs|2"),),
    ]
    asked, seen = play(canvas_fhir.read(target, SIDE), bundle(held("c1")))
    assert seen.remote_id == "c1", "ours decides alone"


def test_our_id_is_looked_for_under_both_names() -> None:
    side = Side(OURS, SIDE.id_system, options=PLUGIN)
    asked, _ = play(canvas_fhir.read(Target("Patient", "p"), side), bundle(), bundle())
    assert [call.params[0][1] for call in asked] == ["https://partner.example|p", f"{OURS}/Patient|p"]


def test_two_keys_that_name_two_of_theirs() -> None:
    target = Target("Patient", "p", identifiers=(("urn:mrn", "1"), ("urn:nhs", "2")))
    with pytest.raises(AmbiguousMatch):
        play(canvas_fhir.read(target, SIDE), bundle(), bundle(held("c1")), bundle(held("c2")))


@pytest.mark.parametrize(
    ("meta", "headers", "version"),
    [
        ({}, {"date": "Wed, 25 Nov 2026 19:00:00 GMT"}, "Wed, 25 Nov 2026 19:00:00 GMT"),
        ({"lastUpdated": "2026-11-25T18:00:00Z"}, {"date": "x"}, "Wed, 25 Nov 2026 18:00:00 GMT"),
        ({"lastUpdated": "2026-11-25T18:00:00.001+00:00"}, {}, "Wed, 25 Nov 2026 18:00:01 GMT"),
        ({"lastUpdated": "yesterday"}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_date_of_a_conditional_update(meta: Resource, headers: dict[str, str], version: str | None) -> None:
    _, seen = play(canvas_fhir.read(Target("Patient", "p", "c1"), SIDE), answer(held("c1", meta=meta), **headers))
    assert seen.version == version


def test_a_create_without_a_location_is_looked_for() -> None:
    with pytest.raises(PartnerUnknown):
        play(canvas_fhir.push(Item("Patient", "p", ALICE), SIDE), answer(None, 201))
    where = "https://canvas.example/Patient/c1/_history/1"
    _, accepted = play(canvas_fhir.push(Item("Patient", "p", ALICE), SIDE), answer(None, 201, location=where))
    assert accepted.remote_id == "c1"


def test_the_plugin_gets_what_it_knows_under_the_partners_id() -> None:
    side = Side(OURS, SIDE.id_system, options=PLUGIN)
    calls = canvas_fhir.push(Item("Patient", "p", ALICE), side)
    call = next(calls)
    seed = {"firstName": "Alice", "lastName": "Example", "sexAtBirth": "O", "dateOfBirth": "1980-02-22"}
    assert (call.method, call.path, call.json) == ("POST", URL, {**seed, "partnerId": "p"})
    with pytest.raises(PartnerPending):
        calls.send(answer({"external_identifier": {}}, 202))
    named = {**ALICE, "identifier": [{"system": "https://partner.example", "value": "pat_1"}], "birthDate": "1980"}
    assert next(canvas_fhir.push(Item("Patient", "p", named), side)).json == {
        **{key: value for key, value in seed.items() if key != "dateOfBirth"},
        "partnerId": "pat_1",
    }


def test_what_the_plugin_makes_is_less_than_what_was_meant() -> None:
    side = Side(OURS, SIDE.id_system, options=PLUGIN)
    assert canvas_fhir.created(ALICE, side) == {
        "resourceType": "Patient",
        "identifier": ALICE["identifier"],
        "name": [{"use": "official", "family": "Example", "given": ["Alice"]}],
        "birthDate": "1980-02-22",
        "extension": ALICE["extension"],
        "gender": "other",
    }
    assert canvas_fhir.created(ALICE, SIDE) is None, "a create by FHIR holds everything"


def test_pages_follow_the_next_link_and_bad_entries_cost_no_others() -> None:
    first = bundle(held("c1"), held("c2", birthDate="soon"), following="/Patient?_count=100&_offset=100&name=A%26B")
    [call], page = play(canvas_fhir.scan(None, SIDE), first)
    assert call.params == (("_count", "100"), ("_offset", "0"))
    assert [one.remote_id for one in page.found] == ["c1", "c2"] and page.more
    [call], last = play(canvas_fhir.scan(page.cursor, SIDE), answer({"resourceType": "Bundle", "total": 0}))
    assert call.params == (("_count", "100"), ("_offset", "100"), ("name", "A&B"))
    assert last == Page(())


def test_a_next_link_leads_nowhere_else() -> None:
    [_], page = play(
        canvas_fhir.scan(None, SIDE), bundle(held("c1"), following="https://evil.example/Patient?_offset=1")
    )
    [call], _ = play(canvas_fhir.scan(page.cursor, SIDE), bundle())
    assert (call.path, call.params) == ("/Patient", (("_offset", "1"),))


# The connector file.


def test_logins_follow_from_the_endpoint() -> None:
    bare = {name: value for name, value in FILE["auth"].items() if name != "tokenUrl"}
    [(found, _)] = parse({**FILE, "endpoint": "https://fumage-demo.canvasmedical.com", "auth": bare})
    assert found.auth.token_url == "https://demo.canvasmedical.com/auth/token/"
    assert found.auth.authorize_url == "https://demo.canvasmedical.com/auth/authorize/"
    assert (found.auth.client_in, found.auth.scope) == ("form", "user/Patient.read user/Patient.write")
    [(other, _)] = parse({**FILE, "endpoint": "http://127.0.0.1:9100", "auth": bare})
    assert other.auth.token_url == "http://127.0.0.1:9100/auth/token/"
    assert config().auth.token_url == FILE["auth"]["tokenUrl"], "what the file says is kept"


def test_options_are_kept_as_they_are() -> None:
    found = config(create="plugin", pluginUrl=URL, settleSeconds=0.5)
    stored = from_json(json.decode(json.encode(found.to_json())))
    assert stored.chosen == Options(create="plugin", plugin_url=URL, settle_seconds=0.5)
    assert elsewhere(stored, {OTHER_KEY: "plugin-key"}) == {URL: {"authorization": "plugin-key"}}
    assert elsewhere(config(), {}) == {}
    assert config().chosen == Options()


@pytest.mark.parametrize(
    ("options", "auth", "message"),
    [
        ({"create": "plugin"}, {"otherKey": "k"}, "pluginUrl"),
        ({"create": "plugin", "pluginUrl": "ftp://x"}, {"otherKey": "k"}, "pluginUrl"),
        ({"create": "plugin", "pluginUrl": URL}, {}, "otherKey"),
        ({}, {"otherKey": "k"}, "otherKey"),
        ({"create": "post"}, {}, "post"),
        ({"settleSeconds": 0}, {}, "settleSeconds"),
        ({"setleSeconds": 1}, {}, "setleSeconds"),
    ],
)
def test_a_mistake_in_the_options_is_named(options: Any, auth: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse({**FILE, "auth": {**FILE["auth"], **auth}, "options": options})
