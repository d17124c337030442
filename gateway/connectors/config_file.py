"""The connector file: what `gateway connectors apply FILE` and the registry read (docs/reference/connectors.md).

One object, a list, or `{"connectors": [...]}`. Secrets are split out while reading, so that what is stored as the
configuration never holds one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args, get_origin
from urllib.parse import SplitResult, urljoin, urlsplit

import msgspec

from gateway.connectors import hms_words, registry, signature
from gateway.connectors.config import (
    API_KEY,
    BROKER_PASSWORD,
    CLIENT_SECRET,
    IDENTIFIER_KEY,
    OTHER_KEY,
    PASSWORD,
    PRIVATE_KEY,
    WEBHOOK_SECRET,
    Auth,
    Config,
    RateLimit,
    Sync,
)
from gateway.connectors.protocol import Defaulting, Elsewhere
from gateway.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_WEBHOOK_PATH = re.compile(r"/api/webhooks(?:/[a-z0-9_-]+)+")
_HOST_AND_PORT = re.compile(r"[^\s:/@,]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_IMPLIED_PROFILE = {"FHIR": "fhir", "CCDA": "intake", "REST": "rest"}

_SECRETS: Final = {
    "auth": {
        "key": API_KEY,
        "clientSecret": CLIENT_SECRET,
        "privateKey": PRIVATE_KEY,
        "password": PASSWORD,
        "otherKey": OTHER_KEY,
    },
    "sync": {"secret": WEBHOOK_SECRET, "password": BROKER_PASSWORD},
    "options": {"identifierKey": IDENTIFIER_KEY},
}
"""Section and field of the file -> the name under which the secret is kept."""

Secrets = dict[str, str]


def parse(data: Any) -> list[tuple[Config, Secrets]]:
    """Every connector of the file with its secrets.

    Raises InvalidInput naming the field and what is allowed there.
    """
    if isinstance(data, dict) and "connectors" in data:
        _check_keys(data, {"connectors"}, "the file")
        data = data["connectors"]
    bodies = data if isinstance(data, list) else [data]
    many = isinstance(data, list)
    parsed = [parse_one(body, f"connectors[{index}]" if many else "connector") for index, body in enumerate(bodies)]
    _check_unique("name", [config.name for config, _ in parsed])
    _check_unique("sync.path", [config.webhook_path for config, _ in parsed if config.webhook_path])
    return parsed


def parse_one(body: Any, where: str = "connector", *, kept: frozenset[str] = frozenset()) -> tuple[Config, Secrets]:
    """One connector with its secrets; `kept` = the names of secrets that are stored already."""
    if not isinstance(body, dict):
        raise InvalidInput(f"{where} must be a JSON object")
    plain, secrets = _split_secrets(hms_words.as_ours(body, registry.profiles(), where), where)
    plain.setdefault("profile", _IMPLIED_PROFILE.get(str(plain.get("type"))))
    if plain["profile"] not in registry.profiles():
        raise InvalidInput(f"{where}.profile must be one of {', '.join(registry.profiles())}")
    plain = _completed(plain)
    config = _convert(plain, where)
    for problem in _problems(config, secrets, kept | secrets.keys()):
        raise InvalidInput(f"{where}.{problem}")
    return _normalised(config), secrets


def _split_secrets(body: dict[str, Any], where: str) -> tuple[dict[str, Any], Secrets]:
    parts = {name: _section(body, name, where) for name in _SECRETS}
    given = {secret: parts[part].pop(name, None) for part, names in _SECRETS.items() for name, secret in names.items()}
    _check_keys(body, _names(Config), where)
    for struct, part in ((Auth, "auth"), (Sync, "sync")):
        _check_keys(parts[part], _names(struct), f"{where}.{part}", secrets=_SECRETS[part].keys())
    for name, value in given.items():
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise InvalidInput(f"{where}: the secret {name} must be a string that is not blank")
    return body | parts, {name: value for name, value in given.items() if value}


def _completed(plain: dict[str, Any]) -> dict[str, Any]:
    """With what the profile knows where the file is silent."""
    module = registry.get(plain["profile"])
    defaults = dict(module.defaults(plain)) if isinstance(module, Defaulting) else {}
    login = defaults.pop("auth", {}) if plain["auth"].get("scheme") == "OAuth2" else {}
    completed = {**defaults, **plain, "sync": {**defaults.get("sync", {}), **plain["sync"]}}
    origin = str(completed.get("endpoint") or "")
    placed = {name: urljoin(origin, value) if name.endswith("Url") else value for name, value in login.items()}
    return {**completed, "auth": {**placed, **plain["auth"]}}


def _section(body: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    section = body.get(name, {})
    if not isinstance(section, dict):
        raise InvalidInput(f"{where}.{name} must be a JSON object")
    return dict(section)


def _names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def _check_keys(body: Mapping[str, Any], allowed: set[str], where: str, *, secrets: Any = ()) -> None:
    allowed = allowed | set(secrets)
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


def _problems(config: Config, secrets: Secrets, known: frozenset[str]) -> Iterator[str]:
    """Field and sentence for whatever the types alone do not say."""
    if not _NAME.fullmatch(config.name):
        yield "name must be 1 to 64 of A-Z, a-z, 0-9, _ and -"
    if config.type == "FHIR" and config.profile not in ("fhir", "canvas_fhir"):
        yield "profile must be fhir or canvas_fhir for the type FHIR"
    yield from _profile_problems(config, known)
    yield from _address_problems(config)
    yield from _auth_problems(config, secrets, known)
    yield from _sync_problems(config, secrets)
    yield from _push_problems(config)


def _profile_problems(config: Config, known: frozenset[str]) -> Iterator[str]:
    """What the profile itself says of its options and of the mapping."""
    targets = [json_path for json_path in config.mapping.values() if isinstance(json_path, str)]
    if len(set(targets)) != len(targets):
        yield "mapping must be one to one: two fields name the same remote path"
    if config.options.get("identifier_strategy") == "hmac-sha256" and IDENTIFIER_KEY not in known:
        yield "options.identifierKey is required for the identifier_strategy hmac-sha256"
    try:
        if (module := registry.mapped(config.profile)) is not None:
            module.check(config.mapping, both_ways=config.push is not False, xml=config.content_type == "xml")
        config.side("")
        _ = config.form
    except InvalidInput as error:
        yield error.message
        return
    connector = config.connector
    place = connector.elsewhere(config.chosen) if isinstance(connector, Elsewhere) else None
    if (place is not None) != (OTHER_KEY in known):
        yield "auth.otherKey is required for an address of the options that takes a key of its own, and for no other"


def _address_problems(config: Config) -> Iterator[str]:
    for name, address in (
        ("endpoint", config.endpoint),
        ("auth.tokenUrl", config.auth.token_url),
        ("auth.authorizeUrl", config.auth.authorize_url),
        ("auth.redirectUri", config.auth.redirect_uri),
    ):
        if address is not None and not _is_web_address(address):
            yield f"{name} must be an http or https address without user, query or fragment"
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


def _auth_problems(config: Config, secrets: Secrets, known: frozenset[str]) -> Iterator[str]:
    auth = config.auth
    if (auth.scheme == "apiKey" and API_KEY not in known) or (auth.scheme != "apiKey" and API_KEY in secrets):
        yield "auth.key is required for the scheme apiKey, and for no other"
    if auth.scheme == "basic" and (not auth.username or PASSWORD not in known):
        yield "auth.username and auth.password are required for the scheme basic"
    if auth.scheme == "OAuth2":
        yield from _oauth_problems(config, known)
    if not _HEADER.fullmatch(auth.header):
        yield "auth.header must be the name of an HTTP header"
    if not all(" " <= letter <= "~" for letter in secrets.get(API_KEY, "")):
        yield "auth.key must hold printable ASCII only, as it is sent in a header"


def _oauth_problems(config: Config, known: frozenset[str]) -> Iterator[str]:
    auth = config.auth
    if not auth.client_id:
        yield "auth.clientId is required for the scheme OAuth2"
    if auth.token_url is None and config.profile != "fhir":
        yield "auth.tokenUrl is required: only a FHIR server tells it (SMART .well-known/smart-configuration)"
    if auth.grant == "backend_services" and PRIVATE_KEY not in known:
        yield "auth.privateKey (a JWK) is required for the grant backend_services"
    if auth.grant == "client_credentials" and CLIENT_SECRET not in known:
        yield "auth.clientSecret is required for the grant client_credentials"
    if auth.grant == "authorization_code" and auth.authorize_url is None and config.profile != "fhir":
        yield "auth.authorizeUrl is required for the grant authorization_code"


def _sync_problems(config: Config, secrets: Secrets) -> Iterator[str]:
    sync = config.sync
    if sync.path is not None and not _WEBHOOK_PATH.fullmatch(sync.path):
        yield "sync.path must start with /api/webhooks/ and hold a-z, 0-9, _, - and / only"
    if not _HEADER.fullmatch(sync.header):
        yield "sync.header must be the name of an HTTP header"
    given = secrets.get(WEBHOOK_SECRET)
    if config.signatures == ("standard",) and given is not None and not signature.is_key(given):
        yield "sync.secret must be base64, with or without the prefix whsec_, for the signature standard"
    if sync.mode == "queue" and not (sync.broker and sync.address and sync.topic):
        yield "sync.broker, sync.address and sync.topic are required for the mode queue"
    if sync.address is not None and not all(_HOST_AND_PORT.fullmatch(one.strip()) for one in sync.address.split(",")):
        yield "sync.address must be host:port, several separated by commas"
    if not sync.interval > 0:
        yield "sync.intervalSeconds must be more than 0"


def _push_problems(config: Config) -> Iterator[str]:
    for resource_type in config.push if isinstance(config.push, tuple) else ():
        if not config.accepts(resource_type):
            yield f"push lists {resource_type!r}, which the profile {config.profile} cannot take"
    if config.endpoint is None and config.push and config.accepts("Patient"):
        yield "endpoint is required, unless push is false"
    limit: RateLimit | None = config.rate_limit
    if limit is not None and not (limit.requests > 0 and limit.seconds > 0):
        yield "rateLimit must allow more than 0 requests in more than 0 seconds"


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
