"""Principals: who calls, by which key, and what their scopes allow (design: every route names the scope it needs)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gateway.errors import InvalidInput, NotAuthenticated, NotPermitted
from gateway.store import AuditRow, PrincipalRow, Store

SERVICES = ("documents", "convert", "snapshot", "operator", "connectors:read", "connectors:write", "connectors:sync")
OPERATOR = "operator"
"""May do whatever the registry of connectors offers."""

_RESOURCE_SCOPE = re.compile(r"system/(\*|[A-Z][A-Za-z]+)\.(c?r?u?d?s?)")
_KEY_BYTES = 32
_USE_NOTED = timedelta(hours=1)
"""How exact `last used` is: a write for every call would cost more than it tells."""

_FRESH = 1.0
"""Seconds that a key counts as known."""


_ACTIONS = {"r": "R", "s": "E"}
"""Of an audit row; all other interactions write."""

Refused = Callable[["Principal", str, str | None], None]


def _unnoted(_principal: Principal, _action: str, _type: str | None) -> None:
    """Of those who have no key."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller of our API. Its connector is the system it speaks for; the body of a request never says so. `refused`
    notes what it tried without the scope."""

    name: str
    connector: str
    scopes: frozenset[str]
    refused: Refused = field(default=_unnoted, repr=False, compare=False)

    def may(self, interaction: str, resource_type: str) -> bool:
        """`interaction` is one letter of SMART v2's `cruds`."""
        return _allows(self.scopes, interaction, resource_type)

    def require(self, interaction: str, resource_type: str) -> None:
        """Raises NotPermitted naming the scope that is missing."""
        if not self.may(interaction, resource_type):
            self.refused(self, _ACTIONS.get(interaction, "U"), resource_type)
            raise NotPermitted(f"this key lacks the scope system/{resource_type}.{interaction}")

    def require_service(self, service: str) -> None:
        """Raises NotPermitted naming the scope that is missing."""
        if service not in self.scopes:
            self.refused(self, service, None)
            raise NotPermitted(f"this key lacks the scope {service}")

    def require_operation(self, scope: str) -> None:
        """The scope, or `operator`, which has them all. Raises NotPermitted naming the scope that is missing."""
        if OPERATOR not in self.scopes:
            self.require_service(scope)


@lru_cache(maxsize=1024)  # asked for every entry of a Bundle, and nearly always the same
def _allows(scopes: frozenset[str], interaction: str, resource_type: str) -> bool:
    for scope in scopes:
        match = _RESOURCE_SCOPE.fullmatch(scope)
        if match and match[1] in ("*", resource_type) and interaction in match[2]:
            return True
    return False


def new_key() -> tuple[str, bytes]:
    """A fresh API key of 256 random bits and what is stored of it."""
    key = f"gw_{secrets.token_urlsafe(_KEY_BYTES)}"
    return key, digest(key)


def digest(key: str) -> bytes:
    """SHA-256: enough for a random key, which cannot be guessed from it."""
    return hashlib.sha256(key.encode()).digest()


def parse_scopes(scopes: Iterable[str]) -> frozenset[str]:
    """Checked scopes. Raises InvalidInput that lists what there is."""
    checked = frozenset(part for scope in scopes for part in scope.split())
    for scope in checked:
        match = _RESOURCE_SCOPE.fullmatch(scope)
        if scope not in SERVICES and not (match and match[2]):
            known = ", ".join(SERVICES)
            raise InvalidInput(f"unknown scope {scope!r}: use system/<Type or *>.<letters of cruds>, or one of {known}")
    if not checked:
        raise InvalidInput("at least one scope is needed, for instance system/*.cruds")
    return checked


def presented_key(headers: Mapping[str, str], *, raw_authorization: bool = False) -> str:
    """The key of a request: `Authorization: Bearer`, `X-API-Key`, and raw `Authorization` on the Canvas path only.

    Raises NotAuthenticated when there is none.
    """
    authorization = headers.get("authorization", "").strip()
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if headers.get("x-api-key", "").strip():
        return headers["x-api-key"].strip()
    if raw_authorization and authorization and not token:
        return authorization
    raise NotAuthenticated("no API key: send it as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'")


class Authenticator:
    """Keys to principals. A key that was found is not looked up again for a second, so a revoked one is refused a
    second later at the latest."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def authenticate(self, key: str) -> Principal:
        """The principal of a key that is not revoked. Raises NotAuthenticated."""
        hashed = digest(key)
        found = self._known.get(hashed)
        if found is not None and found[0] > self._clock():
            return found[1]
        self._known.pop(hashed, None)
        row = await self._store.query(lambda reader: reader.principal_by_hash(hashed))
        if row is None or row.revoked_at is not None:
            raise NotAuthenticated("this API key is not known, or was revoked")
        await self._note_use(row)
        principal = Principal(row.name, row.connector, frozenset(row.scopes), self._note_refusal)
        self._known[hashed] = (self._clock() + _FRESH, principal)
        return principal

    def _note_refusal(self, principal: Principal, action: str, type_: str | None) -> None:
        now, status = datetime.now(UTC), NotPermitted.status
        self._store.audit(AuditRow(now, principal.name, principal.connector, action, type_, None, status))

    async def _note_use(self, row: PrincipalRow) -> None:
        if row.last_used is None or datetime.now(UTC) - row.last_used > _USE_NOTED:
            await self._store.write(lambda tx: tx.touch_principals([row.principal_id]))
