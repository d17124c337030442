"""What a module must have to be a connector: one module per system, found by its `PROFILE`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from gateway.connectors.call import Push, PushGroup, Read, Seen
from gateway.connectors.event import Event
from gateway.fhir.form import Form
from gateway.fhir.json import Resource


@dataclass(frozen=True, slots=True)
class Side:
    """What a connector must know of the two sides. `ours` = our FHIR base: `{ours}/Patient` is the identifier system
    of our Patient ids. `id_system` = the identifier system of their ids. `update` = the method of their updates."""

    ours: str
    id_system: str
    update: str = "POST"


@dataclass(frozen=True, slots=True)
class Target:
    """Whose copy is meant: our resource `type`/`id`, their `remote_id` once linked, before that the identifiers to
    look for. `known` = what they were last seen to show, so that half a name can be completed.
    `local` = their `Type/id` -> ours, for the references in what is read."""

    type: str
    id: str
    remote_id: str | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    known: Resource | None = None
    local: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """One resource to bring there. `version` = what the last read said (ETag), so that the write is conditional."""

    type: str
    id: str
    body: Resource
    remote_id: str | None = None
    version: str | None = None


@runtime_checkable
class Connector(Protocol):
    """A system we can read from and write to; the module itself is the object."""

    PROFILE: str
    form: Form

    def accepts(self, resource_type: str) -> bool:
        """Whether this system takes resources of that type from us."""

    def read(self, target: Target, side: Side) -> Read:
        """Their copy as it is now."""

    def push(self, item: Item, side: Side) -> Push:
        """Bring one resource there. Raises PartnerRejected, VersionConflict or Conflict."""

    def event(self, payload: Any) -> Event:
        """What a webhook's body means. Raises InvalidInput when it is not theirs."""

    def translate(self, data: Mapping[str, Any], target: Target, side: Side) -> Seen:
        """Their model as FHIR, for an event whose read is switched off."""


@runtime_checkable
class GroupConnector(Connector, Protocol):
    """A system that takes several resources in one call."""

    def push_bundle(self, items: Sequence[Item], side: Side, delivered: Mapping[str, str]) -> PushGroup:
        """Bring them together, all or nothing; one result per item, in order. `delivered`: our `Type/id` -> theirs."""
