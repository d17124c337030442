"""`gateway connectors authorize`: the link by which an administrator lets us act at another system."""

from __future__ import annotations

from gateway.commands.connectors import get
from gateway.commands.opening import opened, settings_of
from gateway.commands.terminal import print_line
from gateway.store import Store
from gateway.systems.priming import Link, new_link


def print_link(name: str) -> None:
    """The link alone on standard output."""
    settings = settings_of()
    with opened(settings) as store:
        print_line(make_link(store, name, settings.public_url).url)


def make_link(store: Store, name: str, public_url: str) -> Link:
    """Raises Missing, and InvalidInput when this connector logs in by itself."""
    link, job = new_link(get(store, name), public_url)
    store.write_now(job)
    return link
