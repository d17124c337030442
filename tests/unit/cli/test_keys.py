"""`gateway keys`: made once, stored as a hash, ended at once."""

from __future__ import annotations

import hashlib
import re

import pytest

from gateway.commands import connectors, keys
from gateway.errors import Conflict, InvalidInput, Missing
from gateway.fhir import json
from gateway.store import PrincipalRow, Store


@pytest.fixture(autouse=True)
def app(store: Store) -> None:
    connectors.apply(store, json.encode({"name": "app", "profile": "intake", "push": False}))


def create(store: Store, name: str = "reader", scopes: tuple[str, ...] = ("system/*.rs",)) -> str:
    return keys.create(store, name, "app", scopes)


def found(store: Store, key: str) -> PrincipalRow | None:
    hashed = hashlib.sha256(key.encode()).digest()
    return store.query_now(lambda reader: reader.principal_by_hash(hashed))


def test_a_key_is_known_by_its_hash_only(store: Store) -> None:
    key = create(store, scopes=("system/Patient.cruds documents", "snapshot"))
    row = found(store, key)
    assert row is not None
    assert (row.name, row.connector, row.revoked_at) == ("reader", "app", None)
    assert set(row.scopes) == {"system/Patient.cruds", "documents", "snapshot"}
    assert re.fullmatch(r"gw_[\w-]{43}", key)
    assert key not in str(keys.to_json(row)) + str(keys.cells(row))
    assert "key_hash" not in keys.to_json(row)


def test_no_two_keys_are_the_same(store: Store) -> None:
    assert create(store) != create(store)


@pytest.mark.parametrize("scope", ["", "everything", "system/*", "system/*.x", "system/patient.r", "system/*.sr"])
def test_a_scope_that_does_not_exist_is_refused(store: Store, scope: str) -> None:
    with pytest.raises(InvalidInput, match="scope"):
        create(store, scopes=(scope,))
    assert keys.listed(store) == []


def test_a_name_that_no_connector_has_becomes_one_that_only_sends(store: Store) -> None:
    keys.create(store, "reader", "phone-app", ["system/*.rs"])
    rows = {one["name"]: one for one in connectors.to_json(store)}
    assert rows.keys() == {"app", "phone-app"}
    assert (rows["phone-app"]["profile"], rows["phone-app"]["push"]) == ("intake", False)


def test_a_name_that_no_connector_may_have_is_refused(store: Store) -> None:
    with pytest.raises(InvalidInput, match="name"):
        keys.create(store, "reader", "no such name", ["system/*.rs"])
    assert keys.listed(store) == []


@pytest.mark.parametrize("name", ["", "  ", "a\nb"])
def test_a_name_is_needed(store: Store, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        create(store, name)


def test_two_keys_of_one_name_for_the_change_over_but_not_three(store: Store) -> None:
    first, second = create(store), create(store)
    with pytest.raises(Conflict, match="2 keys already"):
        create(store)
    with pytest.raises(Conflict, match="several"):
        keys.revoke(store, "reader")
    row = found(store, first)
    assert row is not None
    keys.revoke(store, str(row.principal_id))
    assert [row.revoked_at is None for row in keys.listed(store)] == [False, True]
    assert keys.revoke(store, "reader").startswith("reader")
    after = found(store, second)
    assert after is not None
    assert after.revoked_at is not None


def test_what_is_revoked_or_unknown_cannot_be_revoked(store: Store) -> None:
    create(store)
    keys.revoke(store, "reader")
    for name in ("reader", "nobody", str(keys.listed(store)[0].principal_id)):
        with pytest.raises(Missing, match="no live key"):
            keys.revoke(store, name)
