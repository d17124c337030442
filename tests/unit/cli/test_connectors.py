"""`gateway connectors`: a file into the store, all of it or none."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.commands import connectors
from gateway.delivery import incidents
from gateway.delivery.health import Breaker, Sign
from gateway.errors import Conflict, InvalidInput, PartnerUnavailable, Unparsable
from gateway.fhir import json
from gateway.store import Store

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
REGISTRY = {"name": "registry", "type": "FHIR", "endpoint": "https://registry.example/fhir"}
PARTNER = {
    "name": "partner",
    "profile": "canvas",
    "endpoint": "https://partner.example/api",
    "auth": {"scheme": "apiKey", "header": "X-API-Key", "key": "s3cr3t-key"},
    "sync": {"mode": "webhook", "secret": SECRET},
    "priority": 5,
}


def apply(store: Store, body: Any) -> list[str]:
    return connectors.apply(store, json.encode(body))


def test_a_file_creates_changes_and_leaves_alone(store: Store) -> None:
    assert apply(store, [REGISTRY, PARTNER]) == ["registry: created", "partner: created"]
    assert apply(store, {"connectors": [REGISTRY, {**PARTNER, "priority": 6}]}) == [
        "registry: as it was",
        "partner: changed",
    ]


def test_a_connector_keeps_its_number_when_it_changes(store: Store) -> None:
    apply(store, REGISTRY)
    (before,) = connectors.listed(store)
    apply(store, {**REGISTRY, "priority": 1})
    (after,) = connectors.listed(store)
    assert after.connector_id == before.connector_id
    assert after.changed > before.changed


def test_secrets_are_stored_apart_and_never_listed(store: Store) -> None:
    apply(store, PARTNER)
    (row,) = connectors.listed(store)
    shown = str(connectors.cells(row)) + str(connectors.to_json(store)) + row.config
    assert "s3cr3t-key" not in shown
    assert SECRET not in shown
    assert store.query_now(lambda reader: reader.secrets("partner")) == {
        "api_key": "s3cr3t-key",
        "webhook_secret": SECRET,
    }


def test_a_new_secret_alone_is_a_change(store: Store) -> None:
    apply(store, PARTNER)
    assert apply(store, {**PARTNER, "auth": {**PARTNER["auth"], "key": "another"}}) == ["partner: changed"]
    assert store.query_now(lambda reader: reader.secrets("partner"))["api_key"] == "another"


def test_what_is_listed_is_what_was_applied(store: Store) -> None:
    apply(store, [REGISTRY, PARTNER])
    listed = {one["name"]: one for one in connectors.to_json(store)}
    assert listed["partner"]["secretSet"] is True and listed["registry"]["secretSet"] is False
    assert listed["partner"]["endpoint"] == "https://partner.example/api"
    assert listed["partner"]["priority"] == 5
    cells = {row.name: connectors.cells(row) for row in connectors.listed(store)}
    assert cells["partner"][:4] == ("partner", "canvas", "https://partner.example/api", "/api/webhooks/partner")
    assert cells["registry"][3] is None


def test_how_a_connector_is_doing_is_listed(store: Store) -> None:
    """As the API tells it: a system that is down is not listed as connected."""
    apply(store, REGISTRY)
    down = Sign("down", PartnerUnavailable("registry cannot be reached", reached=False))
    store.write_now(lambda tx: incidents.note(tx, "registry", down, Breaker(failures=1)))
    [(row, doing)] = zip(connectors.listed(store), connectors.healths(store).values(), strict=True)
    assert connectors.cells(row, doing)[-1] == "error"
    [told] = connectors.to_json(store)
    assert told["status"] == "error" and told["lastError"]["message"] == "registry cannot be reached"
    store.write_now(lambda tx: tx.set_connector_state("registry", "paused"))
    [row] = connectors.listed(store)
    assert connectors.cells(row, doing)[-1] == "paused"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({**REGISTRY, "endpiont": "x"}, "endpiont"),
        ({**REGISTRY, "endpoint": "ftp://x"}, "endpoint"),
        ({**PARTNER, "auth": {"scheme": "OAuth2"}}, "OAuth2"),
        ([REGISTRY, REGISTRY], "registry"),
    ],
)
def test_a_wrong_file_changes_nothing_and_names_the_field(store: Store, body: Any, names: str) -> None:
    with pytest.raises(InvalidInput, match=names):
        apply(store, [body, PARTNER] if isinstance(body, dict) else body)
    assert connectors.listed(store) == []


def test_a_file_that_is_no_json_is_told_so(store: Store) -> None:
    with pytest.raises(Unparsable, match="not JSON"):
        connectors.apply(store, b"name: registry")


def test_two_connectors_never_take_the_same_webhooks(store: Store) -> None:
    apply(store, PARTNER)
    other = {**PARTNER, "name": "other", "sync": {"mode": "webhook", "secret": SECRET, "path": "/api/webhooks/partner"}}
    with pytest.raises(Conflict, match="partner already"):
        apply(store, [REGISTRY, other])
    assert [row.name for row in connectors.listed(store)] == ["partner"]
