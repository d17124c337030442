"""What a module must have to be a connector: one module per system, found by its `PROFILE`."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

import msgspec

from gateway.connectors.call import Call, Gather, Push, PushGroup, Read, Reply, Scan, Seen
from gateway.connectors.event import Event
from gateway.connectors.signature import Signature
from gateway.fhir.form import Form
from gateway.fhir.json import Resource


@dataclass(frozen=True, slots=True)
class Side:
    """What a connector must know of the two sides. `ours` = our FHIR base: `{ours}/Patient` is the identifier system
    of our Patient ids. `id_system` = the identifier system of their ids. `update` = the method of their updates.
    `mapping` and `options` are the connector file's; `options` an instance of the module's `Options`, where it has
    any. `content_type`: how they write; `read` False: events are believed as they are; `endpoint`: their address, by
    which they may speak of their own."""

    ours: str
    id_system: str
    update: str = "POST"
    name: str = ""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    options: Any = None
    content_type: str = "json"
    read: bool = True
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Whose copy is meant: our resource `type`/`id`, their `remote_id` once linked, before that the identifiers to
    look for. `known` = what they were last seen to show, so that half a name can be completed; `body` = ours, of which
    the identifier to look for may be made. `local` = their `Type/id` -> ours, for the references in what is read."""

    type: str
    id: str
    remote_id: str | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    known: Resource | None = None
    local: Mapping[str, str] = field(default_factory=dict)
    body: Resource | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One resource to bring there. `version` = what the last read said (ETag), so that the write is conditional.
    `due` = the slots of a Patient in which their copy differs, for a partial write; empty = not known. `raw` = their
    body as it was read, for a system whose writes must repeat it; `read_at` = when that read began.

    `local`: for `push`, the `Type/{their id}` in the body, whose references point at what they hold already, and what
    those are here. For `push_bundle` the body refers to our resources, and `delivered` tells which of them are there.
    """

    type: str
    id: str
    body: Resource
    remote_id: str | None = None
    version: str | None = None
    due: frozenset[str] = frozenset()
    local: Mapping[str, str] = field(default_factory=dict)
    raw: Resource | None = None
    read_at: datetime | None = None


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

    def grouped(self, options: Any) -> bool:
        """Whether it does by these options."""

    def push_bundle(self, items: Sequence[Item], side: Side, delivered: Mapping[str, str]) -> PushGroup:
        """Bring them together, all or nothing; one result per item, in order. `delivered`: our `Type/id` -> theirs."""


# What a module may offer besides; each is asked for where it is needed.


@runtime_checkable
class Scanner(Protocol):
    """A system that can be looked through: polling, first contact and reconciliation."""

    def scan(self, cursor: str | None, side: Side) -> Scan:
        """One page of what they hold from `cursor` on; None = from the beginning."""


@runtime_checkable
class Gatherer(Protocol):
    """A system whose events of kind `gather` name what has to be fetched."""

    def gather(self, event: Event, side: Side) -> Gather:
        """Everything that the event speaks about, as it is now."""


@runtime_checkable
class Answering(Protocol):
    """A system that checks by a handshake that its webhooks arrive."""

    def answer(self, payload: Any) -> Any | None:
        """The JSON answer it waits for; None for an ordinary event."""


@runtime_checkable
class Named(Protocol):
    """A system whose events have an id in their body."""

    def event_id(self, payload: Any) -> str | None:
        """By which the same event is known when it comes again."""


@dataclass(frozen=True, slots=True)
class Hook:
    """Where our webhooks are, by which secret they are signed, and the header of a scheme that just shows it."""

    url: str
    secret: str | None = None
    header: str = "X-Webhook-Secret"


@dataclass(frozen=True, slots=True)
class TheirSecret:
    """The secret of our webhooks where it is their side that chooses it."""

    value: str


@runtime_checkable
class Registering(Protocol):
    """A system that can be told where its webhooks should go."""

    def register(self, hook: Hook, side: Side) -> Generator[Call, Reply, str | TheirSecret | None]:
        """Their id of the registration, where they give one, or the secret that they chose. Registering again changes
        nothing."""


@runtime_checkable
class Doubling(Protocol):
    """A system that makes another registration whenever it is told, so that it is told only what is new."""

    def telling(self, hook: Hook, side: Side) -> str | None:
        """What `register` says there; None when it says nothing."""


@runtime_checkable
class Leaving(Protocol):
    """A system that can be told to send its webhooks no more."""

    def unregister(self, hook: Hook, side: Side) -> Generator[Call, Reply, None]:
        """Take off whatever leads to that address. Raises what their side refuses."""


@runtime_checkable
class Watched(Protocol):
    """A system that may give up sending its webhooks, and can be asked whether it did."""

    def given_up(self, hook: Hook, side: Side) -> Generator[Call, Reply, bool]:
        """Whether it knows of them and sends them no more."""


@runtime_checkable
class Keeping(Protocol):
    """A system that keeps the first secret of our webhooks that it was told: a fresh one could not be told there."""

    KEEPS_SECRET: bool


@runtime_checkable
class Probing(Protocol):
    """A system that can be asked whether it takes our calls."""

    def probe(self, side: Side) -> Generator[Call, Reply, None]:
        """The cheapest call that needs our credentials. Raises what is wrong."""


@runtime_checkable
class Delayed(Protocol):
    """A system that makes two of what is sent twice, and may carry a create out later than it answers."""

    def settles(self, side: Side) -> float:
        """Seconds after which a create whose outcome is unknown has shown up there, or never will."""

    def created(self, body: Resource, side: Side) -> Resource | None:
        """What a create holds where that is less than an update can; None = the same."""


@runtime_checkable
class Elsewhere(Protocol):
    """A system with an address beside its endpoint that takes a key of its own (`auth.otherKey`)."""

    def elsewhere(self, options: Any) -> tuple[str, str] | None:
        """The address and the header its key is sent in; None when the configuration uses none."""


@runtime_checkable
class Formed(Protocol):
    """A system whose form depends on its configuration."""

    def form_for(self, mapping: Mapping[str, Any], options: Any) -> Form:
        """Raises InvalidInput for a mapping that cannot be used; asked when the connector file is read."""


@runtime_checkable
class Mapped(Protocol):
    """A system of which the mapping says everything: which types it takes, and what its events mean."""

    def check(self, mapping: Mapping[str, Any], *, both_ways: bool, xml: bool = False) -> None:
        """Raises InvalidInput naming the field that cannot be used, by a system that speaks `xml`."""

    def takes(self, resource_type: str, mapping: Mapping[str, Any]) -> bool:
        """Whether the mapping sends resources of that type."""

    def reads(self, resource_type: str, mapping: Mapping[str, Any]) -> bool:
        """Whether one of that type can be asked for by its id there."""

    def told(self, body: bytes, side: Side) -> Event:
        """What a webhook's body means. Raises InvalidInput when it is not theirs."""


@runtime_checkable
class Optioned(Protocol):
    """A module with options of its own in the connector file."""

    Options: type[msgspec.Struct]


@runtime_checkable
class Signing(Protocol):
    """A system whose webhooks may be signed in another way than by Standard Webhooks, or in several."""

    SIGNATURES: tuple[Signature, ...]


@runtime_checkable
class Redirected(Protocol):
    """A system that wants to be told the redirect address of the login whenever a token is refreshed, which RFC 6749 §6
    does not know."""

    REFRESH_WITH_REDIRECT: bool


@runtime_checkable
class Defaulting(Protocol):
    """A module that knows what its systems have in common, so that a connector file need not say it."""

    def defaults(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields of the connector file `body`, used where it is silent; those of `auth` for the scheme OAuth2 only,
        addresses there relative to the endpoint's origin."""
