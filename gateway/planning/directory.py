"""Directory: the configured connectors as planning and delivery need them, built once per change of any of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from gateway.connectors.config import Config, from_json
from gateway.errors import Missing
from gateway.fhir import json
from gateway.fhir.consolidate import Policy
from gateway.identity.keys import KeySystems, key_systems
from gateway.store import ConnectorRow

DOMAIN = ("Provenance", "Binary", "AuditEvent")
"""What stays here: traces of our own work and the original bytes, not facts that a partner keeps."""

ENDED = "deleted"
"""The state of a connector that was taken away: what it had said stays known, and under whose name."""
STILL = ("paused", ENDED)


@dataclass(frozen=True, slots=True)
class Directory:
    """`ours`: our FHIR base. `peers`: every connector by its name. `still`: those that nothing is sent to or taken from
    now; what they tell us is kept until they go on."""

    ours: str
    peers: Mapping[str, Config]
    policy: Policy
    keys: KeySystems
    still: frozenset[str] = frozenset()
    ended: frozenset[str] = frozenset()

    @property
    def patient_system(self) -> str:
        """The identifier system of our own Patient ids."""
        return f"{self.ours}/Patient"

    def peer(self, name: str) -> Config:
        """Raises Missing."""
        if name not in self.peers:
            raise Missing(f"there is no connector {name!r}: see 'gateway connectors list'")
        return self.peers[name]

    def id_system(self, connector: str) -> str | None:
        """The identifier system of a connector's own ids; None for those who only send."""
        config = self.peers.get(connector)
        return config.remote_system if config and config.has_ids else None

    def targets(self, resource_type: str) -> list[Config]:
        """The connectors that resources of that type are sent to."""
        if resource_type in DOMAIN:
            return []
        return [one for one in self.peers.values() if one.pushes(resource_type) and one.name not in self.ended]

    def by_path(self, path: str) -> Config:
        """The connector whose webhooks arrive at `path`. Raises Missing."""
        for config in self.peers.values():
            if config.webhook_path == path and config.name not in self.ended:
                return config
        raise Missing("no connector takes webhooks at this path")


def build(rows: Iterable[ConnectorRow], *, ours: str, tolerance: timedelta) -> Directory:
    """The directory of what is stored; a connector that is still, or was ended, stays known."""
    rows = list(rows)
    peers = {row.name: from_json(json.decode(row.config)) for row in rows}
    policy = Policy(
        priority={name: config.priority for name, config in peers.items()},
        ours=f"{ours}/Patient",
        tolerance=tolerance,
    )
    systems = [config.remote_system for config in peers.values() if config.has_ids]
    listed = [system for config in peers.values() for system in config.key_systems]
    still = frozenset(row.name for row in rows if row.state in STILL or peers[row.name].waits)
    ended = frozenset(row.name for row in rows if row.state == ENDED)
    return Directory(ours, peers, policy, key_systems(f"{ours}/Patient", [*systems, *listed]), still, ended)
