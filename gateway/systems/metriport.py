"""Metriport: what a user or an operator starts there (`connectors/metriport_calls.py` has the table), with what only we
know: whose copy is whose, what we know of her, where their webhooks arrive and by which key they are signed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.connectors import event as events
from gateway.connectors import metriport as connector
from gateway.connectors import metriport_calls as calls
from gateway.connectors import metriport_events as told
from gateway.connectors import metriport_files as files
from gateway.connectors.call import Call, Reply
from gateway.connectors.config import WEBHOOK_SECRET, Config
from gateway.connectors.metriport_bundle import founds
from gateway.connectors.metriport_calls import OPERATIONS, Operation
from gateway.connectors.protocol import Side
from gateway.errors import Conflict, Gone, InvalidInput, Missing, PartnerRejected
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.flow import Flow, Received
from gateway.intake import findings
from gateway.intake.ingest import Ask
from gateway.store import Head, Reader
from gateway.systems import metriport_contribution as contribution
from gateway.translators.json import metriport as model

_PAGE = 500
_SECRETS = ("webhookKey",)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets: JSON, or a file with its media type."""

    json: Any = None
    data: bytes | None = None
    media: str = "application/json"


@dataclass(frozen=True, slots=True)
class Order:
    """One operation as it was asked for. `patient` = our id of the patient; the arguments hold theirs."""

    config: Config
    side: Side
    operation: Operation
    arguments: Mapping[str, Any]
    principal: str | None
    content: bytes
    media: str
    patient: str | None = None


class Metriport:
    """The operations over one store. `public` = where others reach us; `ask` makes a connector's calls to its side."""

    def __init__(self, flow: Flow, ask: Ask, *, public: str) -> None:
        self._flow = flow
        self._ask = ask
        self._public = public

    async def run(
        self,
        name: str,
        operation: str,
        arguments: Mapping[str, Any],
        *,
        principal: str | None = None,
        content: bytes = b"",
        media: str = "",
    ) -> Answer:
        """One operation of a connector. `patient` among the arguments is our id. Raises InvalidInput, Missing, and what
        the other side's answer means."""
        config = await self._config(name)
        row = OPERATIONS.get(operation)
        if row is None:
            raise Missing(f"there is no operation {operation!r}: {', '.join(OPERATIONS)}")
        calls.check(row, arguments)
        ours = events.text(arguments.get("patient"))
        given = dict(arguments)
        if ours is not None and row.gives != "match":
            given["patient"] = await self._flow.store.query(lambda reader: self._theirs(reader, config, ours))
        order = Order(config, config.side(self._flow.ours), row, given, principal, content, media, ours)
        ways: Mapping[str, Callable[[Order], Awaitable[Answer]]] = {
            "json": self._plain,
            "file": self._file,
            "upload": self._upload,
            "settings": self._set_webhook,
            "consolidated": self._consolidated,
            "match": self._match,
            "contribute": self._contribute,
            "identities": self._identities,
        }
        return await ways[row.gives](order)

    async def _config(self, name: str) -> Config:
        directory = await self._flow.store.query(self._flow.directory)
        config = directory.peer(name)
        if config.profile != connector.PROFILE:
            raise InvalidInput(f"the connector {name} does not have the profile {connector.PROFILE}")
        return config

    def _theirs(self, reader: Reader, config: Config, ours: str) -> str:
        """Their id of our patient. Raises Missing."""
        head = _head(reader, ours)
        links = [one for one in reader.links([head.rid]).get(head.rid, ()) if one.connector == config.name]
        if not links:
            raise Missing(f"this patient has no copy at {config.name} yet", expression="patient")
        if len(links) > 1:
            raise Conflict(
                f"this patient has several copies at {config.name}; a person must look", expression="patient"
            )
        return links[0].remote_id

    # --- ways ---------------------------------------------------------------------------------------------------------

    async def _plain(self, order: Order) -> Answer:
        found = await self._ask(order.config, calls.run(order.operation, order.arguments, order.side))
        return Answer(_without_secrets(found))

    async def _file(self, order: Order) -> Answer:
        """The file behind a short-lived address, fetched at once."""

        def fetch() -> Generator[Call, Reply, Reply]:
            found = yield from calls.run(order.operation, order.arguments, order.side)
            return (yield from files.file(found.get("url") if isinstance(found, dict) else None))

        reply = await self._ask(order.config, fetch())
        media = reply.headers.get("content-type", "application/octet-stream")
        return Answer(data=reply.body, media=media)

    async def _upload(self, order: Order) -> Answer:
        """Ask where a file may go, and put it there."""
        if not order.content:
            raise InvalidInput("the file is missing: send it as the body, the arguments in the query")

        def put() -> Generator[Call, Reply, Any]:
            found = yield from calls.run(order.operation, order.arguments, order.side)
            headers = {"content-type": order.operation.media or order.media or "application/octet-stream"}
            address = files.address(found.get("uploadUrl") if isinstance(found, dict) else None)
            reply = yield Call("PUT", address, headers=headers, content=order.content, auth=False)
            calls.answered(Reply(reply.status))
            return {name: value for name, value in found.items() if name != "uploadUrl"}

        return Answer(await self._ask(order.config, put()))

    async def _set_webhook(self, order: Order) -> Answer:
        """Their key for us is kept before their ping can arrive: with a new key the address is set a second time."""
        path = order.config.webhook_path
        url = order.arguments.get("webhookUrl", f"{self._public}{path}" if path else None)
        if url is None:
            raise InvalidInput("the connector takes no webhooks: set sync.mode to webhook, sync.signature to metriport")
        kept = await self._flow.store.query(lambda reader: reader.secrets(order.config.name).get(WEBHOOK_SECRET))
        found = await self._ask(order.config, calls.run(order.operation, {"webhookUrl": url}, order.side))
        key = events.text(found.get("webhookKey")) if isinstance(found, dict) else None
        if key is not None and key != kept:
            await self._flow.store.write(lambda tx: tx.put_secret(order.config.name, WEBHOOK_SECRET, key))
            found = await self._ask(order.config, calls.run(order.operation, {"webhookUrl": url}, order.side))
        return Answer(_without_secrets(found))

    async def _consolidated(self, order: Order) -> Answer:
        """Her data as they stand now, taken in as their records."""
        began = self._flow.store.now()
        found = await self._ask(order.config, calls.run(order.operation, order.arguments, order.side))
        try:
            listed = founds(found, order.arguments["patient"], order.side.id_system)
        except InvalidInput as error:
            raise PartnerRejected(error.message) from None
        received = Received(order.config.name, order.principal, "read", "application/json", json.encode(found))
        landed = await findings.take(self._flow, received, order.config, listed, read_start=began)
        taken = sum(one.error is None for one in landed)
        said = {"message": received.message_id, "taken": taken, "refused": len(landed) - taken}
        return Answer(said)

    async def _match(self, order: Order) -> Answer:
        """Whom they hold for our patient; nobody is linked by asking."""
        body = await self._flow.store.query(lambda reader: _patient(reader, order.patient or ""))
        wanted = model.to_partner(body, our_id=order.patient or "")
        if wanted.missing:
            raise InvalidInput(f"they require what is missing here: {', '.join(wanted.missing)}", expression="patient")
        try:
            found = await self._ask(order.config, calls.run(order.operation, {}, order.side, wanted.body))
        except Missing:
            found = None
        return Answer({"match": found})

    async def _contribute(self, order: Order) -> Answer:
        """What others told us of her, in as many Bundles as it takes; `refused` names what they did not take of it."""
        ours, theirs = order.patient or "", order.arguments["patient"]

        def known(reader: Reader) -> list[Resource]:
            rid = _head(reader, ours).rid
            return contribution.known(reader, rid, (ours, theirs), order.config.name, order.side.ours)

        wanted = await self._flow.store.query(known)
        refused = contribution.too_large(wanted)
        for lot in contribution.in_lots(wanted, sandbox=calls.options_of(order.side).sandbox):
            bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in lot]}
            found = await self._ask(order.config, calls.run(order.operation, order.arguments, order.side, bundle))
            refused += contribution.refused(lot, found)
        return Answer({"sent": len(wanted) - len(refused), "refused": refused})

    async def _identities(self, order: Order) -> Answer:
        """Who has shown who she is: what `ias.identity.verified` told, newest first."""
        rows = await self._flow.store.query(lambda reader: list(_verified(reader, order.config.name)))
        return Answer({"identities": rows[::-1]})


def _without_secrets(found: Any) -> Any:
    return {key: value for key, value in found.items() if key not in _SECRETS} if isinstance(found, dict) else found


def _head(reader: Reader, ours: str) -> Head:
    head = reader.heads([("Patient", ours)]).get(("Patient", ours))
    if head is None:
        raise Missing("there is no Patient with this id", expression="patient")
    if head.deleted:
        raise Gone("this Patient was deleted", expression="patient")
    return head


def _patient(reader: Reader, ours: str) -> Resource:
    head = _head(reader, ours)
    body: Resource = json.decode(reader.current([head.rid])[head.rid].body or b"{}")
    return body


def _verified(reader: Reader, name: str) -> Iterator[dict[str, Any]]:
    after = ""
    while True:
        rows = reader.messages(None, name, limit=_PAGE, after=after)
        for row in rows:
            payload: Any = json.decode(row.body) if row.kind == "webhook" else {}
            if told.kind_of(payload) == "ias.identity.verified" and isinstance(payload.get("payload"), dict):
                names = ("patientId", "proofedIdentityId", "sessionId")
                yield {"when": payload["meta"].get("when"), **{key: payload["payload"].get(key) for key in names}}
        if len(rows) < _PAGE:
            return
        after = rows[-1].message_id
