"""Context: what the routes are given by the composition root, and who is calling."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from fastapi import Request

from gateway import auth
from gateway.auth import Authenticator, Principal
from gateway.consolidated.tickets import Tickets
from gateway.errors import GatewayError
from gateway.flow import Flow, Received, dedupe_key
from gateway.intake.inbox import Inbox
from gateway.intake.ingest import Ask, Ingest
from gateway.registry.service import Registry
from gateway.settings import Settings
from gateway.store import AuditRow, Changes, Store
from gateway.systems.priming import Priming
from gateway.work import Pool, Room

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Context:
    """One per application, in `app.state.context`."""

    settings: Settings
    store: Store
    flow: Flow
    ingest: Ingest
    inbox: Inbox
    pool: Pool
    bodies: Room
    """For FHIR bodies."""
    authenticator: Authenticator
    tickets: Tickets
    priming: Priming
    ask: Ask
    registry: Registry
    seal: bytes = field(repr=False)
    """What digests of calls are keyed with: their bodies may hold secrets."""

    async def caller(self, request: Request, *, raw_authorization: bool = False) -> Principal:
        """Raises NotAuthenticated."""
        key = auth.presented_key(request.headers, raw_authorization=raw_authorization)
        return await self.authenticator.authenticate(key)

    def received(self, request: Request, principal: Principal, kind: str, body: bytes) -> Received:
        """The message of a synchronous caller; its connector follows from the key."""
        media = request.headers.get("content-type", "")
        dedupe = dedupe_key("key", request.headers.get("idempotency-key"), of=principal.name)
        asked = _digest(request, principal) if dedupe else ""
        return Received(principal.connector, principal.name, kind, media, body, dedupe, asked)

    async def look(self, principal: Principal, action: str, type_: str, id_: str | None, asked: Awaitable[T]) -> T:
        """What is asked of patient data, with the row that says who asked, whatever comes of it."""
        try:
            found = await asked
        except GatewayError as error:
            await self.audit_read(principal, action, type_, id_, error.status)
            raise
        await self.audit_read(principal, action, type_, id_, 200)
        return found

    async def audit_read(self, principal: Principal, action: str, type_: str, id_: str | None, status: int) -> None:
        """A read of patient data; the answer waits for the row only with the setting `audit_strict`."""
        row = AuditRow(datetime.now(UTC), principal.name, principal.connector, action, type_, id_, status)
        if self.settings.audit_strict:
            await self.store.write(lambda tx: tx.write(Changes(audits=[row])))
        else:
            self.store.audit(row)


def _digest(request: Request, principal: Principal) -> str:
    """What is asked beside the body: the address, which may hold an identifier, and the conditions; the scopes too, as
    what may be read decides what is answered."""
    parts = (request.method, request.url.path, request.url.query)
    conditions = (request.headers.get(name, "") for name in ("if-none-exist", "if-match", "if-none-match"))
    return hashlib.blake2b(
        "\n".join((*parts, *conditions, *sorted(principal.scopes))).encode(), digest_size=16
    ).hexdigest()


def context_of(request: Request) -> Context:
    """The application's context."""
    found: Context = request.app.state.context
    return found
