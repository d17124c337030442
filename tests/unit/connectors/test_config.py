"""The connector file: what is read, what is kept apart, and that every mistake is named."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.connectors.config import Config, from_json
from gateway.connectors.config_file import parse
from gateway.errors import InvalidInput
from gateway.fhir import json

HOOK = "whsec_dGhlIGhvb2sncyBrZXk="
CANVAS: dict[str, Any] = {
    "name": "partner",
    "type": "REST",
    "profile": "canvas",
    "endpoint": "http://127.0.0.1:9000/",
    "auth": {"scheme": "apiKey", "header": "X-API-Key", "key": "the-api-key"},
    "sync": {"mode": "webhook", "path": "/api/webhooks/canvas/patient", "secret": HOOK},
    "idSystem": "https://partner.example",
    "keySystems": ["urn:oid:1.2.3"],
    "priority": 5,
    "push": ["Patient"],
    "allow_networks": ["127.0.0.0/8", "::1"],
}
FHIR = {"name": "registry", "type": "FHIR", "endpoint": "https://fhir.example/r4"}


def read(body: Any) -> Config:
    [(config, _)] = parse(body)
    return config


def with_(path: str, value: Any) -> dict[str, Any]:
    """CANVAS with one field set; `...` takes it away."""
    body = {**CANVAS, "auth": {**CANVAS["auth"]}, "sync": {**CANVAS["sync"]}}
    *sections, field = path.split(".")
    place = body[sections[0]] if sections else body
    if value is ...:
        place.pop(field, None)
    else:
        place[field] = value
    return body


def test_a_connector_and_its_secrets() -> None:
    [(config, secrets)] = parse(CANVAS)
    assert secrets == {"api_key": "the-api-key", "webhook_secret": HOOK}
    assert (config.name, config.profile, config.endpoint) == ("partner", "canvas", "http://127.0.0.1:9000")
    assert config.webhook_path == "/api/webhooks/canvas/patient"
    assert config.remote_system == "https://partner.example"
    assert config.priority == 5


def test_what_is_stored_holds_no_secret_and_reads_back_the_same() -> None:
    [(config, secrets)] = parse(CANVAS)
    stored = json.encode(config.to_json())
    assert not any(secret.encode() in stored for secret in secrets.values())
    assert from_json(json.decode(stored)) == config


def test_one_a_list_or_a_file_with_connectors() -> None:
    both = [CANVAS, FHIR]
    assert [config.name for config, _ in parse(both)] == ["partner", "registry"]
    assert parse({"connectors": both}) == parse(both)
    assert parse([]) == []


def test_the_type_fhir_is_the_profile_fhir_with_the_base_as_endpoint() -> None:
    assert read(FHIR).profile == "fhir"
    assert read({**FHIR, "endpoint": "https://fhir.example/r4/Patient"}).endpoint == "https://fhir.example/r4"


def test_the_webhook_path_defaults_to_the_name() -> None:
    assert read(with_("sync.path", ...)).webhook_path == "/api/webhooks/partner"
    assert read(FHIR).webhook_path is None, "it sends none"


def test_what_is_pushed() -> None:
    assert read(CANVAS).pushes("Patient")
    assert not read(CANVAS).pushes("Observation"), "the profile cannot take it"
    everything = read(FHIR)
    assert everything.pushes("Observation") and not everything.pushes("Provenance")
    some = read({**FHIR, "push": ["Patient"]})
    assert some.pushes("Patient") and not some.pushes("Observation")
    assert not read({**FHIR, "push": False}).pushes("Patient")
    assert not read({"name": "clinic", "profile": "intake"}).pushes("Patient")


@pytest.mark.parametrize("path", ["$ref", "ns:last", "a.@xsi:type", "#note"])
def test_a_path_that_xml_cannot_have_is_refused_when_it_is_saved(path: str) -> None:
    body = {"name": "ehr", "type": "REST", "endpoint": "https://ehr.example", "push": ["Patient"]}
    mapping = {"Patient": {"path": "/p", "fields": {"name.family": path}}}
    assert read({**body, "mapping": mapping}).content_type == "json"
    with pytest.raises(InvalidInput, match=r"mapping\.Patient\.fields\.name\.family: XML has names"):
        read({**body, "contentType": "xml", "mapping": mapping})


def test_what_calls_need_to_know() -> None:
    side = read(with_("update", "PATCH")).side("https://gateway.example/fhir")
    assert (side.ours, side.id_system, side.update) == (
        "https://gateway.example/fhir",
        "https://partner.example",
        "PATCH",
    )


MISTAKES: list[tuple[Any, str]] = [
    (with_("nmae", "x"), r"connector has no field 'nmae': allowed are .*keySystems"),
    (
        with_("auth.token", "x"),
        r"connector\.auth has no field 'token': allowed are authorizeUrl, clientId, clientIn, clientSecret",
    ),
    (with_("sync.secert", "x"), r"connector\.sync has no field 'secert': allowed are .*secret"),
    (with_("name", "../x"), r"connector\.name"),
    (with_("name", "a" * 65), r"connector\.name"),
    (with_("name", ...), r"name"),
    (with_("name", 5), r"name"),
    (with_("type", "SOAP"), r"connector\.type must be one of FHIR, REST, CCDA"),
    (with_("profile", "canvsa"), r"connector\.profile must be one of .*canvas, .*fhir"),
    (with_("profile", ...), r"connector\.mapping is required"),
    ({**FHIR, "profile": "canvas"}, r"profile must be fhir"),
    (with_("endpoint", "partner.example"), r"connector\.endpoint"),
    (with_("endpoint", "ftp://partner.example"), r"connector\.endpoint"),
    (with_("endpoint", "https://user:pass@partner.example"), r"connector\.endpoint"),
    (with_("endpoint", "https://partner.example/?a=b"), r"connector\.endpoint"),
    (with_("endpoint", "https://partner.example:99999"), r"connector\.endpoint"),
    (with_("endpoint", "https://[::1"), r"connector\.endpoint"),
    (with_("endpoint", ...), r"endpoint is required"),
    (with_("auth", {"scheme": "OAuth2"}), r"auth\.clientId is required for the scheme OAuth2"),
    (with_("auth", {"scheme": "OAuth2", "clientId": "us", "clientSecret": "s"}), r"auth\.tokenUrl is required"),
    (with_("auth", {"scheme": "basic", "username": "us"}), r"auth\.password are required for the scheme basic"),
    (with_("auth.scheme", "digest"), r"auth\.scheme must be one of apiKey, OAuth2, basic, none"),
    (with_("auth.key", ...), r"auth\.key is required"),
    (with_("auth.key", " "), r"api_key must be a string"),
    (with_("auth.key", "line\nbreak"), r"auth\.key must hold printable"),
    (with_("auth.scheme", "none"), r"auth\.key is required for the scheme apiKey, and for no other"),
    (with_("auth.header", "X API Key"), r"auth\.header"),
    (with_("auth", "the-api-key"), r"connector\.auth must be a JSON object"),
    (with_("sync.mode", "carrier pigeon"), r"sync\.mode must be one of webhook, polling, queue, manual"),
    (with_("sync.mode", "queue"), r"sync\.broker, sync\.address and sync\.topic are required"),
    (with_("rateLimit", {"requests": 0}), r"rateLimit must allow more than 0 requests"),
    (with_("options", {"anything": 1}), r"options: the profile canvas has none"),
    (with_("sync.path", "/fhir/Patient"), r"sync\.path must start with /api/webhooks/"),
    (with_("sync.path", "/api/webhooks/a/../b"), r"sync\.path"),
    (with_("sync.path", "/api/webhooks/"), r"sync\.path"),
    (with_("sync.secret", "no base64!"), r"sync\.secret must be base64"),
    (with_("sync.signature", "md5"), r"sync\.signature must be one of standard, metriport, hmac, header, none"),
    (with_("mapping", {"a": "id", "b": "id"}), r"mapping must be one to one"),
    (with_("push", ["Observation"]), r"push lists 'Observation'"),
    (with_("push", "Patient"), r"push"),
    (with_("priority", "high"), r"priority"),
    (with_("allow_networks", ["10.0.0.0/33"]), r"allow_networks"),
    (with_("allow_networks", ["10.0.0.1/8"]), r"allow_networks"),
    (with_("update", "DELETE"), r"update must be one of POST, PUT, PATCH"),
    ([CANVAS, CANVAS], r"same name 'partner'"),
    ([CANVAS, {**CANVAS, "name": "other"}], r"same sync\.path"),
    ([CANVAS, 5], r"connectors\[1\] must be a JSON object"),
    ({"connectors": [], "version": 1}, r"the file has no field 'version'"),
    ("text", r"must be a JSON object"),
    (None, r"must be a JSON object"),
]


@pytest.mark.parametrize(("body", "message"), MISTAKES)
def test_a_mistake_names_the_field_and_what_is_allowed(body: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as refused:
        parse(body)
    assert "the-api-key" not in refused.value.message
    assert HOOK not in refused.value.message


def test_a_stored_configuration_of_another_make_is_refused() -> None:
    with pytest.raises(InvalidInput, match="stored connector"):
        from_json({"name": "x"})
