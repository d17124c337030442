"""Opening: the database and the vault's key that the settings name."""

from __future__ import annotations

from gateway.settings import Settings

from .store import Store
from .vault import load_or_create_key


def secret_key(settings: Settings) -> bytes:
    """The key of the vault: from the settings, else from a file of mode 0600 in the data folder."""
    if settings.secret_key:
        return settings.secret_key.encode()
    _make_folder(settings)
    return load_or_create_key(settings.data / "secret.key")


def open_store(settings: Settings) -> Store:
    """The database of these settings, migrated."""
    _make_folder(settings)
    return Store.open(settings.database, key=secret_key(settings))


def _make_folder(settings: Settings) -> None:
    """Its owner's only; one that is there already stays as it is."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
