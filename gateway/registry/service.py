"""Registry: what may be asked of the connectors, each as one step that a route or a command calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from gateway.connectors.config import WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE, WEBHOOK_TOLD, Config
from gateway.connectors.protocol import Keeping
from gateway.delivery import incidents
from gateway.errors import Conflict, GatewayError, NotConformant
from gateway.fhir.json import Json
from gateway.registry import contact, entries, links, runs
from gateway.registry.contact import Greeting, Systems
from gateway.registry.repeats import Repeats
from gateway.store import AuditRow, ConnectorRow, IncidentRow, LinkRow, Reader, RunRow, Store, Tx

log = structlog.get_logger(__name__)

_RUNS = 100


@dataclass(frozen=True, slots=True)
class Registry:
    """`ours` = our FHIR base, `public` = where others reach us. `changed` is called after there is more, or less, to
    do. `by`: who asks, for the audit trail, where every change has its row."""

    store: Store
    systems: Systems
    ours: str
    public: str
    changed: Callable[[], None] = lambda: None
    by: str | None = None

    # --- reads --------------------------------------------------------------------------------------------------------

    async def listed(self, *, limit: int | None = None, after: str = "") -> list[dict[str, Any]]:
        """By name, without the bare names of keys; `after`: the name of the last one of the page before."""

        def ask(reader: Reader) -> list[dict[str, Any]]:
            rows = [row for row in entries.external(reader) if row.name > after][:limit]
            return [_shown(reader, row) for row in rows]

        return await self.store.query(ask)

    async def get(self, name: str) -> dict[str, Any]:
        """Raises Missing."""
        return await self.store.query(lambda reader: _shown(reader, entries.get(reader, name)))

    # --- changes ------------------------------------------------------------------------------------------------------

    async def create(self, body: Json, repeats: Repeats) -> dict[str, Any]:
        """A new connector, greeted; what their side did wrong is its status, not an error.

        Raises NotConformant, Conflict.
        """
        config, secrets = entries.checked(body)

        def job(tx: Tx) -> tuple[str, bool]:
            if before := repeats.before(tx):
                return before, False
            row = entries.create(tx, config, secrets)
            repeats.note(tx, entries.public_id(row))
            self._audit(tx, row, "C")
            return entries.public_id(row), True

        made, fresh = await self.store.write(job)
        if fresh:
            await self._greet(config.name, register=not config.waits)
        self.changed()
        return await self.get(made)

    async def replace(self, name: str, body: Json) -> dict[str, Any]:
        """PUT: secrets that are left out are kept; what GET answered may be sent back changed."""
        return await self._change(name, lambda row: entries.as_given(row, body))

    async def patch(self, name: str, body: Json) -> dict[str, Any]:
        """PATCH: a merge patch of what is configured (RFC 7396)."""
        return await self._change(name, lambda row: entries.merged(row, body))

    async def _change(self, name: str, changed: Callable[[ConnectorRow], Json]) -> dict[str, Any]:
        def job(tx: Tx) -> ConnectorRow:
            row = entries.get(tx, name)
            self._audit(tx, row, "U")
            return entries.change(tx, row, changed(row))

        row = await self.store.write(job)
        if not entries.is_still(row):
            await self._greet(row.name, register=True)
        return await self.get(row.name)

    async def delete(self, name: str) -> None:
        """It is told nothing any more, and what it had said stays."""
        known, health = await self.store.query(
            lambda reader: (found := entries.get(reader, name), reader.health(found.name))
        )
        if health is not None and health.registration is not None:
            await contact.leave(self.systems, entries.config_of(known), ours=self.ours, public=self.public)

        def job(tx: Tx) -> list[IncidentRow]:
            row = entries.get(tx, name)
            entries.end(tx, row)
            self._audit(tx, row, "D")
            return incidents.end_all(tx, row.name)

        incidents.tell(await self.store.write(job))

    async def pause(self, name: str) -> dict[str, Any]:
        """Nothing is sent there or asked of it; what it tells us is kept until it goes on."""
        await self._set(name, "paused")
        return await self.get(name)

    async def resume(self, name: str) -> dict[str, Any]:
        """Go on; old failures are not tried again by themselves."""
        await self._set(name, entries.CONNECTED)
        self.changed()
        return await self.get(name)

    async def _set(self, name: str, state: str) -> None:
        def job(tx: Tx) -> None:
            row = entries.get(tx, name)
            tx.set_connector_state(row.name, state)
            self._audit(tx, row, "U")

        await self.store.write(job)

    def _audit(self, tx: Tx, row: ConnectorRow, action: str) -> None:
        """What is done with connectors leaves its row; `gateway connectors apply` leaves its own."""
        tx.write_audits([AuditRow(tx.now, self.by, row.name, action, "Connector", entries.public_id(row), 200)])

    async def test(self, name: str) -> dict[str, Any]:
        """Log in and ask for the least; the status follows from it."""
        row = await self.store.query(lambda reader: entries.get(reader, name))
        return contact.to_json(await self._greet(row.name, register=False))

    async def introduce(self, name: str) -> dict[str, Any]:
        """Log in, ask for the least, and tell where its webhooks go, unless nothing may be said there now."""
        row = await self.store.query(lambda reader: entries.get(reader, name))
        if entries.is_still(row):
            return {"status": row.state}
        return contact.to_json(await self._greet(row.name, register=True))

    async def tell_again(self, name: str) -> None:
        """Where its webhooks go, as it could not be told before. A failure of that is noted, and stops no delivery."""
        row = await self.store.query(lambda reader: entries.get(reader, name))
        if not entries.is_still(row):
            await self._greet(row.name, register=True, again=True)

    async def watch(self, name: str) -> None:
        """Where its side gave up sending webhooks while we were away: ask for them again, and look through what it
        holds, as nobody can say what changed meanwhile."""
        row = await self.store.query(lambda reader: entries.get(reader, name))
        config = entries.config_of(row)
        try:
            lost = await contact.is_given_up(self.systems, config, ours=self.ours, public=self.public)
        except GatewayError as error:
            log.info("webhooks not looked after", connector=name, error=type(error).__name__)
            return
        if lost:
            log.warning("webhooks were given up there", connector=name)
            await self.tell_again(name)
            await self.store.write(lambda tx: runs.begin(tx, entries.get(tx, name), runs.Asked()))
            self.changed()

    async def rotate_secret(self, name: str, body: Json) -> dict[str, Any]:
        """A new webhook secret, `{"secret"}` or a fresh one, told to their side where that can be told. What is signed
        by the old one is taken as well until the next rotation, unless `{"atOnce": true}` ends it now.

        Raises NotConformant, and Conflict where a fresh one would never be used there.
        """
        row, kept = await self.store.query(
            lambda reader: (found := entries.get(reader, name), reader.secret_names(found.name))
        )
        config = entries.config_of(row)
        if config.webhook_path is None:
            raise Conflict(f"{row.name} takes no webhooks, so there is no secret to rotate")
        given, at_once = _rotation(body)
        if given is None and isinstance(config.connector, Keeping):
            raise Conflict(
                f"{row.name} keeps the first secret it was told: change it there, then give it here as sync.secret"
            )
        secret = _usable(config, given, kept) if given is not None else entries.new_secret()

        def job(tx: Tx) -> None:
            before = tx.secrets(row.name).get(WEBHOOK_SECRET)
            tx.remove_secret(row.name, WEBHOOK_SECRET_BEFORE)
            if before is not None and not at_once:
                tx.put_secret(row.name, WEBHOOK_SECRET_BEFORE, before)
            tx.put_secret(row.name, WEBHOOK_SECRET, secret)
            self._audit(tx, row, "U")

        await self.store.write(job)
        greeting = await self._greet(row.name, register=not entries.is_still(row))
        shown = {} if given is not None or greeting.secret is not None else {"secret": secret}
        return {"connectorId": entries.public_id(row), **contact.to_json(greeting), **shown}

    async def go(self, name: str) -> dict[str, Any]:
        """The operator's word after a first contact in plan: from now on everything is done."""

        def job(tx: Tx) -> ConnectorRow:
            row = entries.get(tx, name)
            config = entries.config_of(row)
            if not config.waits:
                raise Conflict(f"{row.name} does not wait for a go: it is {row.state}")
            entries.put(tx, msgspec.structs.replace(config, first="go"), {}, state=row.state)
            self._audit(tx, row, "E")
            runs.end_plan(tx, row)
            runs.begin(tx, entries.get(tx, row.name), runs.AFTER_GO)
            return row

        row = await self.store.write(job)
        await self._greet(row.name, register=True)
        self.changed()
        return await self.get(row.name)

    async def unlink(self, name: str, body: Json) -> dict[str, Any]:
        """`{"resource", "there"?}`: they no longer hold it. Raises NotConformant, Missing, AmbiguousMatch."""
        resource, there = _linked(body)

        def job(tx: Tx) -> LinkRow:
            return links.end(tx, entries.get(tx, name), resource, there, self.by)

        link = await self.store.write(job)
        self.changed()
        return {"name": link.connector, "resource": resource, "there": link.remote_id, "status": "unlinked"}

    # --- looking through what they hold -------------------------------------------------------------------------------

    async def sync(self, name: str, body: Json, repeats: Repeats) -> dict[str, Any]:
        """A run begins, or the one that is under way goes on: one at a time. Raises NotConformant, Conflict."""
        asked = runs.parse(body)

        def job(tx: Tx) -> RunRow:
            row = entries.get(tx, name)
            if before := repeats.before(tx):
                return runs.get(tx, row, before)
            run = runs.begin(tx, row, asked)
            repeats.note(tx, run.run_id)
            self._audit(tx, row, "E")
            return run

        run = await self.store.write(job)
        self.changed()
        return runs.started(run)

    async def run(self, name: str, run_id: str) -> dict[str, Any]:
        """How far a run is, and its report. Raises Missing."""

        def ask(reader: Reader) -> dict[str, Any]:
            row = entries.get(reader, name)
            return runs.shown(runs.get(reader, row, run_id), entries.public_id(row))

        return await self.store.query(ask)

    async def syncs(self, name: str) -> list[dict[str, Any]]:
        """Newest first."""

        def ask(reader: Reader) -> list[dict[str, Any]]:
            row = entries.get(reader, name)
            return [runs.shown(one, entries.public_id(row)) for one in reader.runs_of(row.name, limit=_RUNS)]

        return await self.store.query(ask)

    async def status(self, name: str) -> dict[str, Any]:
        """How it is doing, and what is owed to it."""
        return await self.store.query(lambda reader: status(reader, name, datetime.now(UTC)))

    async def _greet(self, name: str, *, register: bool, again: bool = False) -> Greeting:
        row, held, known = await self.store.query(
            lambda reader: (row := entries.get(reader, name), reader.secrets(row.name), reader.health(row.name))
        )
        config = entries.config_of(row)

        async def greet(secrets: Mapping[str, str]) -> Greeting:
            return await contact.greet(
                self.systems, config, secrets, ours=self.ours, public=self.public, register=register, known=known
            )

        greeting = await greet(held)
        theirs = greeting.secret
        if theirs is not None and theirs != held.get(WEBHOOK_SECRET):
            # Kept before what they try the address with can be refused: they are told the address once more.
            await self.store.write(lambda tx: tx.put_secret(config.name, WEBHOOK_SECRET, theirs))
            greeting = await greet({**held, WEBHOOK_SECRET: theirs})

        def job(tx: Tx) -> list[IncidentRow]:
            if greeting.said is not None:
                tx.put_secret(config.name, WEBHOOK_TOLD, greeting.said)
            return incidents.greeted(tx, greeting.told(tx.health(name), name, tx.now, again=again))

        incidents.tell(await self.store.write(job))
        return greeting


def _rotation(body: Json) -> tuple[str | None, bool]:
    """`{"secret", "atOnce"}`, both of which may be left out. Raises NotConformant naming the field."""
    asked = {} if body is None else body
    if not isinstance(asked, dict) or not asked.keys() <= {"secret", "atOnce"}:
        raise NotConformant("rotate-secret takes an object with secret and atOnce, and nothing else")
    given, at_once = asked.get("secret"), asked.get("atOnce", False)
    if not isinstance(given, (str, type(None))) or not isinstance(at_once, bool):
        raise NotConformant("secret must be a text, atOnce true or false")
    return given, at_once


def _linked(body: Json) -> tuple[str, str | None]:
    """`{"resource", "there"}`. Raises NotConformant naming the field."""
    asked = body if isinstance(body, dict) else {}
    resource, there = asked.get("resource"), asked.get("there")
    if not (asked.keys() <= {"resource", "there"} and isinstance(resource, str) and isinstance(there, str | None)):
        raise NotConformant("unlink takes an object with resource and, where there are several, there, both texts")
    return resource, there


def _usable(config: Config, given: str, kept: Iterable[str]) -> str:
    """Raises NotConformant for a secret that could not be used."""
    body = config.to_json()
    entries.checked({**body, "sync": {**body.get("sync", {}), "secret": given}}, kept=kept)
    return given


def _shown(reader: Reader, row: ConnectorRow) -> dict[str, Any]:
    return entries.shown(row, reader.secret_names(row.name), reader.health(row.name))


def status(reader: Reader, name: str, now: datetime) -> dict[str, Any]:
    """What `GET .../{id}/status` tells: how it is doing, and what is owed to it."""
    row = entries.get(reader, name)
    health, owed = reader.health(row.name), reader.backlog(row.name)
    lag = max(now - owed.oldest, timedelta()) if owed.oldest else timedelta()
    return {
        "connectorId": entries.public_id(row),
        "name": row.name,
        "status": entries.status(row, health),
        "lastSyncAt": health.last_sync_at if health else None,
        "lastSuccessAt": health.last_success_at if health else None,
        "lastError": entries.last_error(health),
        "queued": owed.queued + reader.waiting_messages(row.name),
        "inFlight": owed.held,
        "failed": owed.failed,
        "lagSeconds": round(lag.total_seconds()),
        "cursor": health.cursor if health else None,
    }
