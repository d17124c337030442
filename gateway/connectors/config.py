"""The connector file: what `gateway connectors apply FILE` reads (HMS-API, "External System Synchronization").

One object, a list, or `{"connectors": [...]}`. Secrets are split out while reading, so that what is stored as the
configuration never holds one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import msgspec

from gateway.connectors import registry, signature
from gateway.connectors.protocol import Connector, Side
from gateway.connectors.signature import Signature
from gateway.errors import InvalidInput

API_KEY = "api_key"
WEBHOOK_SECRET = "webhook_secret"  # noqa: S105 (the name of a secret)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WEBHOOK_PATH = re.compile(r"/api/webhooks(?:/[A-Za-z0-9_-]+)+")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_IMPLIED_PROFILE = {"FHIR": "fhir", "CCDA": "intake"}


class Auth(msgspec.Struct, frozen=True, omit_defaults=True):
    """How we show them who we are; the key itself is a secret."""

    scheme: Literal["apiKey", "none"] = "none"
    header: str = "X-API-Key"


class Sync(msgspec.Struct, frozen=True, omit_defaults=True):
    """How they tell us of changes. `read` False: an event's own data are taken instead of reading their side."""

    mode: Literal["webhook", "manual"] = "manual"
    path: str | None = None
    signature: Signature = "standard"
    header: str = "X-Webhook-Secret"
    read: bool = True


class Config(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One connector without its secrets. `update` = the method of updates where the partner's contract leaves it open;
    `push` = true, false, or the resource types that are sent; larger `priority` wins."""

    name: str
    profile: str
    type: Literal["FHIR", "REST", "CCDA"] | None = None
    endpoint: str | None = None
    auth: Auth = Auth()
    sync: Sync = Sync()
    mapping: dict[str, str] = {}
    id_system: str | None = msgspec.field(default=None, name="idSystem")
    key_systems: tuple[str, ...] = msgspec.field(default=(), name="keySystems")
    priority: int = 0
    push: bool | tuple[str, ...] = True
    update: Literal["POST", "PATCH"] = "POST"
    allow_networks: tuple[str, ...] = ()

    @property
    def connector(self) -> Connector:
        """The module that speaks with this kind of system."""
        return registry.get(self.profile)

    @property
    def webhook_path(self) -> str | None:
        """Where their webhooks arrive, None when they send none."""
        return (self.sync.path or f"/api/webhooks/{self.name}") if self.sync.mode == "webhook" else None

    @property
    def remote_system(self) -> str:
        """The identifier system of their ids."""
        return self.id_system or self.endpoint or f"urn:connector:{self.name}"

    def side(self, ours: str) -> Side:
        """What the connector's calls need to know; `ours` = our FHIR base."""
        return Side(ours=ours, id_system=self.remote_system, update=self.update)

    def pushes(self, resource_type: str) -> bool:
        """Whether resources of that type are sent there."""
        wanted = resource_type in self.push if isinstance(self.push, tuple) else self.push
        return wanted and self.endpoint is not None and self.connector.accepts(resource_type)

    def to_json(self) -> dict[str, Any]:
        """What is stored: the body it was read from, secrets left out, defaults omitted."""
        stored: dict[str, Any] = msgspec.to_builtins(self)
        return stored


Secrets = dict[str, str]


def parse(data: Any) -> list[tuple[Config, Secrets]]:
    """Every connector of the file with its secrets (`api_key`, `webhook_secret`).

    Raises InvalidInput naming the field and what is allowed there.
    """
    if isinstance(data, dict) and "connectors" in data:
        _check_keys(data, {"connectors"}, "the file")
        data = data["connectors"]
    bodies = data if isinstance(data, list) else [data]
    many = isinstance(data, list)
    parsed = [_parse_one(body, f"connectors[{index}]" if many else "connector") for index, body in enumerate(bodies)]
    _check_unique("name", [config.name for config, _ in parsed])
    _check_unique("sync.path", [config.webhook_path for config, _ in parsed if config.webhook_path])
    return parsed


def from_json(stored: Any) -> Config:
    """A stored configuration. Raises InvalidInput when it is none."""
    try:
        return msgspec.convert(stored, Config)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"stored connector: {error}") from None


def _parse_one(body: Any, where: str) -> tuple[Config, Secrets]:
    if not isinstance(body, dict):
        raise InvalidInput(f"{where} must be a JSON object")
    plain, secrets = _split_secrets(body, where)
    plain.setdefault("profile", _IMPLIED_PROFILE.get(str(plain.get("type"))))
    if plain["profile"] not in registry.profiles():
        raise InvalidInput(f"{where}.profile must be one of {', '.join(registry.profiles())}")
    config = _convert(plain, where)
    for problem in _problems(config, secrets):
        raise InvalidInput(f"{where}.{problem}")
    return _normalised(config), secrets


def _split_secrets(body: dict[str, Any], where: str) -> tuple[dict[str, Any], Secrets]:
    auth, sync = _section(body, "auth", where), _section(body, "sync", where)
    if auth.get("scheme") == "OAuth2":
        raise InvalidInput(f"{where}.auth.scheme OAuth2 is not supported yet: use apiKey or none")
    secrets = {API_KEY: auth.pop("key", None), WEBHOOK_SECRET: sync.pop("secret", None)}
    _check_keys(body, _names(Config), where)
    _check_keys(auth, _names(Auth), f"{where}.auth", secret="key")  # noqa: S106 (a field's name)
    _check_keys(sync, _names(Sync), f"{where}.sync", secret="secret")  # noqa: S106 (a field's name)
    for name, value in secrets.items():
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise InvalidInput(f"{where}: the secret {name} must be a string that is not blank")
    return body | {"auth": auth, "sync": sync}, {name: value for name, value in secrets.items() if value}


def _section(body: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    section = body.get(name, {})
    if not isinstance(section, dict):
        raise InvalidInput(f"{where}.{name} must be a JSON object")
    return dict(section)


def _names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def _check_keys(body: Mapping[str, Any], allowed: set[str], where: str, *, secret: str | None = None) -> None:
    allowed = allowed | ({secret} if secret else set())
    for key in body:
        if key not in allowed:
            raise InvalidInput(f"{where} has no field {key!r}: allowed are {', '.join(sorted(allowed))}")


def _convert(plain: dict[str, Any], where: str) -> Config:
    for struct, section, name in ((Config, plain, ""), (Auth, plain["auth"], "auth."), (Sync, plain["sync"], "sync.")):
        for field, choices in _choices(struct):
            if field in section and section[field] not in choices:
                raise InvalidInput(f"{where}.{name}{field} must be one of {', '.join(choices)}")
    try:
        return msgspec.convert(plain, Config)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{where}: {error}") from None


def _choices(struct: type[msgspec.Struct]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in msgspec.structs.fields(struct):
        for kind in (field.type, *get_args(field.type)):
            if get_origin(kind) is Literal:
                yield field.encode_name, get_args(kind)


def _problems(config: Config, secrets: Secrets) -> Iterator[str]:
    """Field and sentence for whatever the types alone do not say."""
    if not _NAME.fullmatch(config.name):
        yield "name must be 1 to 64 of A-Z, a-z, 0-9, _ and -"
    if config.type == "FHIR" and config.profile != "fhir":
        yield "profile must be fhir for the type FHIR"
    if len(set(config.mapping.values())) != len(config.mapping):
        yield "mapping must be one to one: two fields name the same remote path"
    yield from _address_problems(config)
    yield from _auth_problems(config, secrets)
    yield from _sync_problems(config.sync, secrets)
    yield from _push_problems(config)


def _address_problems(config: Config) -> Iterator[str]:
    if config.endpoint is not None and not _is_web_address(config.endpoint):
        yield "endpoint must be an http or https address without user, query or fragment"
    for network in config.allow_networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            yield "allow_networks must list addresses or networks such as 10.1.0.0/16"


def _is_web_address(text: str) -> bool:
    try:
        parts: SplitResult = urlsplit(text)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    clean = not (parts.query or parts.fragment or parts.username or parts.password)
    return parts.scheme in ("http", "https") and named and clean and text.isprintable() and " " not in text


def _auth_problems(config: Config, secrets: Secrets) -> Iterator[str]:
    if (config.auth.scheme == "apiKey") != (API_KEY in secrets):
        yield "auth.key is required for the scheme apiKey, and for no other"
    if not _HEADER.fullmatch(config.auth.header):
        yield "auth.header must be the name of an HTTP header"
    if not all(" " <= letter <= "~" for letter in secrets.get(API_KEY, "")):
        yield "auth.key must hold printable ASCII only, as it is sent in a header"


def _sync_problems(sync: Sync, secrets: Secrets) -> Iterator[str]:
    if sync.path is not None and not _WEBHOOK_PATH.fullmatch(sync.path):
        yield "sync.path must start with /api/webhooks/ and hold A-Z, a-z, 0-9, _, - and / only"
    if not _HEADER.fullmatch(sync.header):
        yield "sync.header must be the name of an HTTP header"
    if sync.signature == "standard" and WEBHOOK_SECRET in secrets and not signature.is_key(secrets[WEBHOOK_SECRET]):
        yield "sync.secret must be base64, with or without the prefix whsec_, for the signature standard"


def _push_problems(config: Config) -> Iterator[str]:
    for resource_type in config.push if isinstance(config.push, tuple) else ():
        if not config.connector.accepts(resource_type):
            yield f"push lists {resource_type!r}, which the profile {config.profile} cannot take"
    if config.endpoint is None and config.push and config.connector.accepts("Patient"):
        yield "endpoint is required, unless push is false"


def _normalised(config: Config) -> Config:
    endpoint = config.endpoint.rstrip("/") if config.endpoint else None
    if endpoint and config.profile == "fhir":
        # HMS-API's own example names the Patient endpoint; a FHIR connector needs the base.
        endpoint = endpoint.removesuffix("/Patient")
    return msgspec.structs.replace(config, endpoint=endpoint)


def _check_unique(field: str, values: list[str]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise InvalidInput(f"two connectors of the file have the same {field} {value!r}")
