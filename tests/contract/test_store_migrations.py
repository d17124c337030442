"""What a migration makes of the rows that are there, on both databases."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

import gateway.store
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.store import Changes, NewHead, NewVersion, Store, Tx

from .made import patient

MESSAGES = "https://gateway.example/messages"


def test_what_belongs_to_several_is_found_under_each_after_0003(database: str) -> None:
    made: dict[str, int] = {}
    store = Store.open(database)
    expected = store.write_now(lambda tx: _write(tx, made))
    store.close()
    _downgrade(database, "0002")
    Store.open(database).close()
    assert _belongs(database) == {(made[name], made[whose]) for name, whose in expected}


def _write(tx: Tx, made: dict[str, int]) -> set[tuple[str, str]]:
    for name in ("anna", "berta"):
        made[name], changes = patient(tx, name)
        tx.write(changes)
    ids = {rid: head.id for rid, head in tx.heads_by_rid(made.values()).items()}
    anna, berta = ({"reference": f"Patient/{ids[made[name]]}"} for name in ("anna", "berta"))
    made["pulse"], pulse = tx.new_rid(), str(uuid4())
    tx.write(_new(made["pulse"], "Observation", {}, made["berta"], pulse))
    named = [{"reference": f"{anna['reference']}/_history/1"}, {"reference": f"Observation/{pulse}/_history/1"}]
    ours = [{"what": {"identifier": {"system": MESSAGES, "value": "m"}}}]
    bodies: dict[str, Resource] = {
        "Appointment": {"participant": [{"actor": anna}, {"actor": {"reference": "Location/1"}}, {"actor": berta}]},
        "Account": {"subject": [anna]},
        "Schedule": {"actor": [{"display": "Somebody"}, {"reference": "Patient/unknown"}, berta]},
        "Contract": {"subject": [berta, anna, anna]},
        "Provenance": {"target": named, "entity": ours},
        "theirs Provenance": {"target": named},
        "no Appointment": {},
    }
    for name, body in bodies.items():
        made[name] = tx.new_rid()
        tx.write(_new(made[name], name.split()[-1], body, None, str(uuid4())))
    several = ("Appointment", "Contract", "Provenance")
    return {(name, whose) for name in several for whose in ("anna", "berta")}


def _new(rid: int, kind: str, body: Resource, patient: int | None, id_: str) -> Changes:
    raw = json.encode({"resourceType": kind, **body})
    version = NewVersion(rid, 1, "create", "ehr", None, raw)
    return Changes(heads_new=[NewHead(rid, kind, id_, patient)], versions=[version])


def _downgrade(database: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(gateway.store.__file__).parent / "migrations"))
    engine = create_engine(database)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


def _belongs(database: str) -> set[tuple[int, int]]:
    engine = create_engine(database)
    with engine.connect() as connection:
        found = {(rid, whose) for rid, whose in connection.execute(text("SELECT rid, patient FROM belongs"))}
    engine.dispose()
    return found
