"""The CampDoc connector's calls as values, and what its connector file need not say."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connectors import campdoc, campdoc_calls
from gateway.connectors.call import Reply
from gateway.connectors.campdoc_calls import Named
from gateway.connectors.config import Config
from gateway.connectors.config_file import parse_one
from gateway.connectors.protocol import Defaulting, Optioned, Probing, Scanner, Side, Target
from gateway.errors import Conflict, InvalidInput, Missing, PartnerRejected
from gateway.fhir import json
from gateway.systems import campdoc as operations

SIDE = Side("https://gateway.example/fhir", "x", options=campdoc.Options(org_id=77))
LOGIN = {"scheme": "OAuth2", "clientId": "c", "clientSecret": "s"}
LEAST: dict[str, Any] = {"name": "camp", "profile": "campdoc", "options": {"orgID": 77}, "auth": LOGIN}


def configured(**more: Any) -> Config:
    return parse_one({**LEAST, **more})[0]


def answer(calls: Any, *replies: Reply) -> Any:
    """What comes of these replies; the calls are not looked at."""
    next(calls)
    try:
        for reply in replies:
            calls.send(reply)
    except StopIteration as finished:
        return finished.value
    raise AssertionError("another call was made")


def test_it_offers_what_it_can() -> None:
    for kind in (Defaulting, Optioned, Probing, Scanner):
        assert isinstance(campdoc, kind)


def test_a_file_names_the_organization_and_the_client_only() -> None:
    config = configured()
    assert config.endpoint == "https://app.campdoc.com/public/v2"
    assert config.remote_system == "https://app.campdoc.com/organizations/77/profile"
    assert config.rate_limit is not None
    assert (config.rate_limit.requests, config.rate_limit.seconds) == (2500, 900)
    assert (config.sync.mode, config.auth.grant, config.auth.pkce) == ("polling", "authorization_code", True)
    assert config.auth.token_url == "https://app.campdoc.com/public/v2/oauth/access_token"
    assert config.auth.authorize_url == "https://app.campdoc.com/!/oauth"
    assert config.auth.scope is not None and "sso:generate" in config.auth.scope


def test_what_a_file_says_wins() -> None:
    twin = configured(endpoint="https://app.schooldoc.com/public/v2/", sync={"mode": "manual"}, idSystem="urn:own")
    assert twin.auth.authorize_url == "https://app.schooldoc.com/!/oauth"
    assert (twin.endpoint, twin.sync.mode) == ("https://app.schooldoc.com/public/v2", "manual")
    assert twin.remote_system == "urn:own"
    assert configured(auth={**LOGIN, "scope": "profiles:read"}).auth.scope == "profiles:read"


def test_who_wants_users_asks_for_their_scope() -> None:
    more = configured(options={"orgID": 77, "include": ["users"]})
    assert more.auth.scope is not None and more.auth.scope.endswith(" users:read")


@pytest.mark.parametrize("options", [{"orgID": 77, "include": ["tags"]}, {}, {"orgID": 77, "more": 1}, {"orgID": None}])
def test_the_organization_is_required(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="options"):
        configured(options=options)


def test_an_id_is_one_segment_of_a_path() -> None:
    call = next(campdoc.read(Target("Patient", "ours", "../groups"), SIDE))
    assert call.path == "/organizations/77/profiles/..%2Fgroups"
    by_key = next(campdoc_calls.get_group(SIDE, Named("a/b?c", by_identifier=True)))
    assert by_key.path == "/organizations/77/groups/a%2Fb%3Fc" and by_key.params == (("identifier", "true"),)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"profile":[]}', b'{"profile":{}}', b'{"profiles":{}}'])
def test_an_answer_that_is_none_of_theirs(body: bytes) -> None:
    with pytest.raises(PartnerRejected):
        answer(campdoc.read(Target("Patient", "ours", "1"), SIDE), Reply(200, {}, body))
    with pytest.raises(PartnerRejected):
        answer(campdoc.scan(None, SIDE), Reply(200, {}, body))


def test_rows_that_are_none_are_left_out() -> None:
    listed = Reply(200, {}, json.encode({"groups": [5, {"name": "no id"}, {"id": 1, "name": "Camp"}]}))
    nobody = Reply(200, {}, b'{"profiles":[]}')
    none = Reply(200, {}, b'{"registrations":[]}')
    page = answer(campdoc.scan(None, SIDE), listed, nobody, none)
    assert [(one.type, one.remote_id) for one in page.found] == [("Organization", "1")]


@pytest.mark.parametrize(
    ("status", "kind"), [(400, InvalidInput), (403, PartnerRejected), (404, Missing), (409, Conflict)]
)
def test_a_refusal_names_their_request_and_never_their_words(status: int, kind: type[Exception]) -> None:
    reply = Reply(status, {"x-request-identifier": "req-5"}, b'{"error":"Ida Rask is known"}')
    with pytest.raises(kind, match="req-5") as refused:
        answer(campdoc_calls.get_profile(SIDE, Named("1")), reply)
    assert "Rask" not in str(refused.value)


@pytest.mark.parametrize("sex", ["Ida Rask", "Ida's", "a\nb", "male"])
def test_a_value_that_is_none_is_not_repeated(sex: str) -> None:
    with pytest.raises(InvalidInput, match=r"\$\.sex") as refused:
        operations.read({"givenName": "Ida", "sex": sex}, operations.Profile)
    assert sex not in str(refused.value)


def test_no_webhook_is_theirs() -> None:
    with pytest.raises(InvalidInput):
        campdoc.event({"type": "patient.updated"})
