"""Which kinds of systems we can speak with: every module here that names a `PROFILE`. No list to edit."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

import gateway.connectors
from gateway.connectors.protocol import Connector, Formed, GroupConnector, Mapped
from gateway.errors import InvalidInput


@cache
def connectors() -> Mapping[str, Connector]:
    """Profile -> module."""
    found = {}
    for info in pkgutil.iter_modules(gateway.connectors.__path__):
        module = importlib.import_module(f"gateway.connectors.{info.name}")
        if isinstance(module, Connector):
            found[module.PROFILE] = module
    return found


@cache  # asking an object for a protocol walks all its names
def groups(profile: str) -> GroupConnector | None:
    """The module, where it takes several resources in one call."""
    module = get(profile)
    return module if isinstance(module, GroupConnector) else None


@cache
def formed(profile: str) -> Formed | None:
    """The module, where its form depends on its configuration."""
    module = get(profile)
    return module if isinstance(module, Formed) else None


@cache
def mapped(profile: str) -> Mapped | None:
    """The module, where the mapping says which types it takes and what its events mean."""
    module = get(profile)
    return module if isinstance(module, Mapped) else None


def profiles() -> list[str]:
    """The profiles a configuration may name."""
    return sorted(connectors())


def get(profile: str) -> Connector:
    """Raises InvalidInput that lists what there is."""
    try:
        return connectors()[profile]
    except KeyError:
        raise InvalidInput(f"no connector has the profile {profile!r}: there are {', '.join(profiles())}") from None
