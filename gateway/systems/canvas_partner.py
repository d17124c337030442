"""Partner: the gateway as the partner that Canvas calls when a patient was created there (canvas.md, surface B).

The id that is handed out is our Patient id, or the id that another partner gave her under PARTNER_URL_BASE; Canvas' id
becomes the link of its connector. Whoever was created through Canvas' plugin carries that id already, so that its call
is the answer that the plugin never gave.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.connectors.canvas_fhir import Options
from gateway.errors import Missing, NotConformant
from gateway.fhir import gate, json, record, slots
from gateway.fhir.json import Resource
from gateway.flow import Flow, Outcome, Received
from gateway.planning.apply import Applied
from gateway.planning.directory import Directory
from gateway.planning.orders import PENDING
from gateway.planning.world import Item, Speaker
from gateway.store import Reader, RecordRow, Tx
from gateway.translators.json import canvas
from gateway.translators.json.canvas import Told

_CANVAS_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Known:
    """A patient as a partner names her: our `rid` and `id`, the id handed out, and her ids in Canvas."""

    rid: int
    id: str
    partner_id: str
    canvas_ids: tuple[str, ...]


class Partner:
    """The three calls, for whichever connector the caller's key belongs to."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    async def find(self, connector: str, asked: str) -> tuple[Known, Resource]:
        """By Canvas' id, else by the id we hand out, and as partners see her. Raises Missing."""

        def ask(reader: Reader) -> tuple[Known, Resource] | None:
            directory = self._flow.directory(reader)
            known = find(reader, directory, connector, asked)
            version = reader.current([known.rid]).get(known.rid) if known else None
            if known is None or version is None or version.body is None:
                return None
            linked = asked if asked in known.canvas_ids else next(iter(known.canvas_ids), None)
            return known, _shown(known, json.decode(version.body), linked)

        found = await self._flow.store.query(ask)
        if found is None:
            raise Missing("no patient is known by that id")
        return found

    async def create(self, received: Received, body: Any) -> Outcome:
        """201 with the id; 409 with the id of whoever has that externalId already."""
        async with self._flow.accepted(received):
            told = canvas.from_call(body, ours=self._flow.ours)
            if told.canvas_id is None or not told.patient.get("name"):
                raise NotConformant("externalId and a name are required", expression="externalId")
            item = Item("Patient", "update", "Patient", told.patient, remote_id=told.canvas_id)
            return await self._apply(received, item, told, told.canvas_id, 201)

    async def update(self, received: Received, asked: str, body: Any) -> Outcome:
        """200 with the record: what Canvas says of her, and her id there."""
        async with self._flow.accepted(received):
            known, _ = await self.find(received.connector, asked)
            shown = await self._flow.store.query(lambda reader: _displayed(reader, received.connector, known))
            told = canvas.from_call(body, ours=self._flow.ours, known=shown)
            canvas_id = _meant(known, asked, told.canvas_id)
            # Who is meant, as a key: name or birth date must agree as well.
            ours = {"system": f"{self._flow.ours}/Patient", "value": known.id}
            resource = {**told.patient, "identifier": [ours]}
            # Of a chart that is hers already a new family name alone says nothing against her: it is judged with the
            # rest that the chart shows. Another chart has to say itself who it is.
            whole = {**shown, **resource} if canvas_id in known.canvas_ids else {**told.identity, "identifier": [ours]}
            item = Item("Patient", "update", "Patient", resource, remote_id=canvas_id, identity=whole)
            return await self._apply(received, item, told, canvas_id, 200, known)

    async def _apply(
        self, received: Received, item: Item, told: Told, canvas_id: str, status: int, known: Known | None = None
    ) -> Outcome:
        gate.require(item.resource)
        speaker = Speaker(received.connector, "system", received.message_id, received.principal, coverage=told.coverage)

        def taken(tx: Tx) -> Outcome | None:
            holder = find_linked(tx, self._flow.directory(tx), received.connector, canvas_id)
            if holder is None or (known is not None and holder.rid == known.rid):
                return None
            return Outcome(409, json.encode({"error": "duplicate", "id": holder.partner_id}))

        def answer(applied: Sequence[Applied], tx: Tx) -> Outcome:
            state = applied[0].state
            assert state is not None
            who = _known(tx, self._flow.directory(tx), received.connector, state.rid, state.id)
            return Outcome(status, json.encode(_shown(who, json.decode(applied[0].body or b"{}"), canvas_id)))

        return await self._flow.apply(received, [item], speaker, answer, instead=taken)


def find(reader: Reader, directory: Directory, connector: str, asked: str) -> Known | None:
    """Canvas' id first, then ours, then the id of another partner under PARTNER_URL_BASE."""
    linked = find_linked(reader, directory, connector, asked)
    if linked is not None:
        return linked
    pair = (partner_system(directory, connector), asked)
    named = reader.identified("Patient", [pair])[pair]
    heads = {head.rid: head for head in reader.heads([("Patient", asked)]).values()} or reader.heads_by_rid(named)
    alive = [head for head in heads.values() if not head.deleted]
    return _known(reader, directory, connector, alive[0].rid, alive[0].id) if len(alive) == 1 else None


def find_linked(reader: Reader, directory: Directory, connector: str, canvas_id: str) -> Known | None:
    """Whom a link of this connector says that is."""
    links = reader.links_of(connector, [("Patient", canvas_id)])
    heads = reader.heads_by_rid([link.rid for link in links.values()])
    alive = [head for head in heads.values() if not head.deleted]
    return _known(reader, directory, connector, alive[0].rid, alive[0].id) if alive else None


def partner_system(directory: Directory, connector: str) -> str:
    """The identifier system of the ids that are handed out: PARTNER_URL_BASE, as this connector knows it."""
    config = directory.peers.get(connector)
    if config is None or isinstance(config.chosen, Options):
        return (config and config.chosen.partner_system) or directory.patient_system
    return directory.id_system(connector) or directory.patient_system


def _known(reader: Reader, directory: Directory, connector: str, rid: int, public_id: str) -> Known:
    """Where a connector both sends partners' patients and calls as Canvas, its ids are told apart by their form."""
    system = partner_system(directory, connector)
    links = [link for link in reader.links([rid]).get(rid, []) if link.undone_at is None]
    own = [link.remote_id for link in links if link.connector == connector and link.remote_id != public_id]
    mixed = directory.id_system(connector) == system
    canvas_ids = tuple(one for one in own if not mixed or _CANVAS_ID.fullmatch(one))
    given = [link.remote_id for link in links if directory.id_system(link.connector) == system]
    partner_ids = [one for one in given if one not in canvas_ids and one != public_id]
    return Known(rid, public_id, next(iter(partner_ids), public_id), canvas_ids)


def _meant(known: Known, asked: str, given: str | None) -> str:
    """Canvas' id of her: the one given, else the one in the path, else her only one. Raises NotConformant."""
    by_path = asked if asked in known.canvas_ids else None
    only = known.canvas_ids[0] if len(known.canvas_ids) == 1 else None
    found = given or by_path or only
    if found is None or (by_path is not None and found != by_path):
        raise NotConformant("externalId must be Canvas' id of this patient", expression="externalId")
    return found


def _displayed(reader: Reader, connector: str, known: Known) -> Resource:
    """What Canvas shows of her as far as is known, or was last asked to create: it completes what a call leaves out."""
    remote_ids = [*known.canvas_ids, f"{PENDING}{known.id}"]
    rows = reader.records_of(connector, [("Patient", one) for one in remote_ids])
    return next((_values(row) for row in rows.values()), {})


def _values(row: RecordRow) -> Resource:
    kept = record.load(row.connector, row.type, row.remote_id, row.state)
    sent = {slot: value for intent in kept.intents for slot, (value, _) in intent.slots.items() if value is not None}
    shown = {slot: one.value for slot, one in kept.shown.items() if one.value is not None}
    return slots.join(row.type, {**sent, **shown})


def _shown(known: Known, patient: Resource, canvas_id: str | None) -> Resource:
    """The partner's model of her; never without `id`."""
    model = canvas.to_partner(patient, our_id=canvas_id or "", update=False)
    return {"id": known.partner_id, **{name: value for name, value in model.items() if value}}
