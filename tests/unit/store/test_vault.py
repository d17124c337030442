"""Secrets: unreadable without the key, useless in another place, rotated without being known."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from gateway.errors import GatewayError
from gateway.store import Vault, load_or_create_key
from gateway.store.vault import SecretUnreadable

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()


def test_sealed_is_unreadable_and_never_the_same_twice():
    vault = Vault(OLD)
    first, second = vault.seal(1, "apiKey", "geheim"), vault.seal(1, "apiKey", "geheim")
    assert first != second
    assert b"geheim" not in first and b"apiKey" not in first
    assert vault.unseal(1, "apiKey", first) == vault.unseal(1, "apiKey", second) == "geheim"


@pytest.mark.parametrize(("owner", "name"), [(2, "apiKey"), (1, "webhook")])
def test_a_token_opens_only_where_it_was_sealed(owner: int, name: str):
    with pytest.raises(SecretUnreadable, match="another connector"):
        Vault(OLD).unseal(owner, name, Vault(OLD).seal(1, "apiKey", "geheim"))


def test_rotation():
    token = Vault(OLD).seal(1, "apiKey", "Zoë 😀")
    both = Vault(NEW + b" , " + OLD)
    moved = both.rotate(token)
    assert both.unseal(1, "apiKey", token) == Vault(NEW).unseal(1, "apiKey", moved) == "Zoë 😀"
    with pytest.raises(SecretUnreadable):
        Vault(OLD).unseal(1, "apiKey", moved)


@pytest.mark.parametrize("keys", [b"", b"short", b"not base64 at all, really not, at all, no, no"])
def test_a_key_that_is_none_is_said(keys: bytes):
    with pytest.raises(GatewayError, match="GATEWAY_SECRET_KEY"):
        Vault(keys)


def test_the_key_file_is_made_once_and_for_us_only(tmp_path: Path):
    path = tmp_path / "data" / "secret.key"
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: load_or_create_key(path), range(8)))
    assert keys == {path.read_bytes()}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["secret.key"]
    Vault(keys.pop())
