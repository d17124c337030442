"""Config: one connector as it is configured (HMS-API, "External System Synchronization"), without its secrets."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal

import msgspec

from gateway.connectors import registry
from gateway.connectors.event import Event
from gateway.connectors.protocol import Connector, GroupConnector, Optioned, Side, Signing
from gateway.connectors.signature import Signature
from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.fhir.form import Form

API_KEY = "api_key"
CLIENT_SECRET = "client_secret"  # noqa: S105 (the names of secrets)
PRIVATE_KEY = "private_key"
PASSWORD = "password"  # noqa: S105
OTHER_KEY = "other_key"
IDENTIFIER_KEY = "identifier_key"
WEBHOOK_SECRET = "webhook_secret"  # noqa: S105
WEBHOOK_SECRET_BEFORE = "webhook_secret_before"  # noqa: S105
WEBHOOK_TOLD = "webhook_told"
BROKER_PASSWORD = "broker_password"  # noqa: S105


class Auth(msgspec.Struct, frozen=True, omit_defaults=True):
    """How we show them who we are; keys, passwords and client secrets are secrets. `grant` as in OAuth 2 (RFC 6749),
    `backend_services` as in SMART App Launch §Backend Services; `client_in` = where the token endpoint wants client id
    and secret (RFC 6749 §2.3.1); `username` for the scheme basic."""

    scheme: Literal["apiKey", "OAuth2", "basic", "none"] = "none"
    header: str = "X-API-Key"
    username: str | None = None
    client_id: str | None = msgspec.field(default=None, name="clientId")
    token_url: str | None = msgspec.field(default=None, name="tokenUrl")
    authorize_url: str | None = msgspec.field(default=None, name="authorizeUrl")
    redirect_uri: str | None = msgspec.field(default=None, name="redirectUri")
    scope: str | None = None
    grant: Literal["client_credentials", "authorization_code", "backend_services"] = "client_credentials"
    pkce: bool = True
    client_in: Literal["header", "form"] = msgspec.field(default="header", name="clientIn")


class Sync(msgspec.Struct, frozen=True, omit_defaults=True):
    """How we learn of their changes. `read` False: an event's own data are taken instead of reading their side.

    `interval` seconds between two polls, of which the first starts at `cursor`; `broker`, `address`, `topic` and
    `group` of a queue, `vhost` of RabbitMQ; `username` and whether it is reached by `tls`.
    """

    mode: Literal["webhook", "polling", "queue", "manual"] = "manual"
    path: str | None = None
    signature: Signature | None = None
    header: str = "X-Webhook-Secret"
    read: bool = True
    interval: float = msgspec.field(default=300.0, name="intervalSeconds")
    cursor: str | None = None
    broker: Literal["kafka", "rabbitmq"] | None = None
    address: str | None = None
    topic: str | None = None
    group: str = "gateway"
    vhost: str = "/"
    username: str | None = None
    tls: bool = False


class RateLimit(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most so many `requests` in so many `seconds`."""

    requests: int
    seconds: float = 1.0


class Config(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One connector without its secrets. `update` = the method of updates where the partner's contract leaves it open;
    `push` = true, false, or the resource types that are sent; larger `priority` wins. `first` = whether the first
    contact waits in `plan` until an operator says go; `options` are the profile's own."""

    name: str
    profile: str
    type: Literal["FHIR", "REST", "CCDA"] | None = None
    endpoint: str | None = None
    auth: Auth = Auth()
    sync: Sync = Sync()
    mapping: dict[str, Any] = {}
    options: dict[str, Any] = {}
    content_type: Literal["json", "xml"] = msgspec.field(default="json", name="contentType")
    rate_limit: RateLimit | None = msgspec.field(default=None, name="rateLimit")
    first: Literal["go", "plan"] = "go"
    id_system: str | None = msgspec.field(default=None, name="idSystem")
    key_systems: tuple[str, ...] = msgspec.field(default=(), name="keySystems")
    priority: int = 0
    push: bool | tuple[str, ...] = True
    update: Literal["POST", "PUT", "PATCH"] = "POST"
    allow_networks: tuple[str, ...] = ()

    @property
    def connector(self) -> Connector:
        """The module that speaks with this kind of system."""
        return registry.get(self.profile)

    @property
    def form(self) -> Form:
        """What its payloads can carry."""
        if registry.formed(self.profile) is not None:
            return _form(self.profile, json.encode([self.mapping, self.options]))
        return self.connector.form

    @property
    def chosen(self) -> Any:
        """`options` as the profile's own type; None when it has none. Raises InvalidInput naming the field."""
        return _options(self.profile, json.encode(self.options))

    @property
    def groups(self) -> GroupConnector | None:
        """The module, where it takes several resources in one call."""
        module = registry.groups(self.profile)
        return module if module is not None and module.grouped(self.chosen) else None

    @property
    def webhook_path(self) -> str | None:
        """Where their webhooks arrive, None when they send none."""
        return (self.sync.path or f"/api/webhooks/{self.name}") if self.sync.mode == "webhook" else None

    @property
    def waits(self) -> bool:
        """Whether its first contact waits for an operator's go."""
        return self.first == "plan"

    @property
    def signatures(self) -> tuple[Signature, ...]:
        """How their webhooks may be signed."""
        if self.sync.signature is not None:
            return (self.sync.signature,)
        return self.connector.SIGNATURES if isinstance(self.connector, Signing) else ("standard",)

    @property
    def has_ids(self) -> bool:
        """Whether their ids are of a system that somebody configured: then links show them, and they decide."""
        return bool(self.id_system or self.endpoint)

    @property
    def remote_system(self) -> str:
        """The identifier system of their ids."""
        return self.id_system or self.endpoint or f"urn:connector:{self.name}"

    def side(self, ours: str) -> Side:
        """What the connector's calls need to know; `ours` = our FHIR base."""
        kept = (self.mapping, self.chosen, self.content_type, self.sync.read, self.endpoint or "")
        return Side(ours, self.remote_system, self.update, self.name, *kept)

    def told(self, body: bytes, ours: str) -> Event:
        """What a webhook's body means. Raises InvalidInput when it is not theirs."""
        module = registry.mapped(self.profile)
        return self.connector.event(json.decode(body)) if module is None else module.told(body, self.side(ours))

    def accepts(self, resource_type: str) -> bool:
        """Whether their side takes resources of that type."""
        module = registry.mapped(self.profile)
        return self.connector.accepts(resource_type) if module is None else module.takes(resource_type, self.mapping)

    def reads(self, resource_type: str) -> bool:
        """Whether a copy of that type can be asked for by its id there; what only events bring cannot."""
        module = registry.mapped(self.profile)
        return self.connector.accepts(resource_type) if module is None else module.reads(resource_type, self.mapping)

    def pushes(self, resource_type: str) -> bool:
        """Whether resources of that type are sent there."""
        wanted = resource_type in self.push if isinstance(self.push, tuple) else self.push
        return wanted and self.endpoint is not None and self.accepts(resource_type)

    def to_json(self) -> dict[str, Any]:
        """What is stored: the body it was read from, secrets left out, defaults omitted."""
        stored: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(Decimal,))
        return stored


def from_json(stored: Any) -> Config:
    """A stored configuration. Raises InvalidInput when it is none."""
    try:
        return msgspec.convert(stored, Config)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"stored connector: {error}") from None


@lru_cache(maxsize=256)  # asked for with every comparison; the text of a configuration is its name
def _form(profile: str, configured: bytes) -> Form:
    module = registry.formed(profile)
    assert module is not None
    mapping, options = json.decode(configured)
    return module.form_for(mapping, _options(profile, json.encode(options)))


@lru_cache(maxsize=256)
def _options(profile: str, configured: bytes) -> Any:
    module = registry.get(profile)
    options = json.decode(configured)
    if not isinstance(module, Optioned):
        if options:
            raise InvalidInput(f"options: the profile {profile} has none")
        return None
    try:
        return msgspec.convert(options, module.Options)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"options: {error}") from None
