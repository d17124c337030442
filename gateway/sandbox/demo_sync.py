"""Demo, steps 5 to 7: repeats, edits elsewhere, failures, and what an analyst takes away."""

from __future__ import annotations

import csv
import hashlib
import time
from typing import Any

from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.snapshots.folder import MANIFEST

from .demo_check import Step, expect, until
from .demo_http import call
from .demo_inputs import PARTNER_ID, SEED, transaction
from .demo_intake import SEED_PATH, post_document
from .demo_memory import Memory, family

_QUIET = 1.0
"""Seconds in which nothing may happen; five times the demo's wait between attempts."""


def repeats_and_edits(memory: Memory) -> list[Step]:
    stage = memory.stage

    def settle() -> str:
        until(lambda: not stage.due(), "something stays due")
        return "nothing is due"

    def repeat() -> str:
        before = (stage.sequence(), _writes(memory))
        key = {"authorization": stage.keys["partner"]}
        answers = [
            stage.fhir("POST", "/", transaction()),
            call("POST", f"{stage.gateway.url}{SEED_PATH}", SEED, headers=key),
            post_document(memory),
        ]
        expect(all(answer.status < 300 for answer in answers), f"answered {[one.status for one in answers]}")
        time.sleep(_QUIET)
        after = (stage.sequence(), _writes(memory))
        expect(after[0] == before[0], f"{after[0] - before[0]} new versions")
        expect(after[1] == before[1], "something was sent to a partner")
        return f"still {after[0]} versions, {after[1]} calls"

    def edit() -> str:
        before = memory.find_alice()
        _edit(memory, {"lastName": "Sample"})
        until(lambda: family(memory.find_alice()) == "Sample", "the new name did not arrive")
        changed = _differing(before, memory.find_alice())
        expect(changed == {"name"}, f"changed: {', '.join(sorted(changed))}")
        return "Alice Example is Alice Sample now; only name changed"

    def onward() -> str:
        sent = len(_partner_writes(memory))
        until(lambda: memory.registry_names(memory.alice) == ["Sample"], "the FHIR server did not get it")
        time.sleep(_QUIET)
        expect(len(_partner_writes(memory)) == sent, "it was sent back to where it came from")
        return "once; the REST side was sent nothing"

    def partial() -> str:
        stage.apply_connectors(read=False)
        before = memory.find_alice()
        _edit(memory, {"firstName": "Alicia"}, data={"firstName": "Alicia"})
        until(lambda: _given(memory.find_alice()) == ["Alicia"], "the first name did not arrive")
        after = memory.find_alice()
        stage.apply_connectors(read=True)
        expect(family(after) == "Sample" and after.get("birthDate") == "1980-02-22", "what was left out was erased")
        expect(_differing(before, after) == {"name"}, "another field changed")
        return "the first name changed; the family name and the birth date stayed"

    return [
        ("everything comes to rest", settle),
        ("the same three inputs make no new version and no delivery", repeat),
        ("an edit on the REST side arrives by a signed webhook", edit),
        ("it goes on to the FHIR server and is not sent back", onward),
        ("a webhook with one field, its read switched off, erases nothing", partial),
    ]


def failures(memory: Memory) -> list[Step]:
    stage = memory.stage

    def down() -> str:
        stage.registry.app.set(down=True)
        _rename(memory, "Exemplar")
        until(lambda: stage.at_partner(memory.maria).get("lastName") == "Exemplar", "the REST side waited as well")
        return "the REST side has it"

    def caught_up() -> str:
        stage.registry.app.set()
        until(lambda: memory.registry_names(memory.maria) == ["Exemplar"], "it was not caught up")
        return "caught up"

    def kill() -> str:
        stage.registry.app.set(down=True)
        stage.partner.app.set(down=True)
        _rename(memory, "Finally")
        expect(stage.due(), "nothing waits to be delivered")
        first = stage.gateway.process_id
        stage.gateway.kill()
        stage.registry.app.set()
        stage.partner.app.set()
        expect(memory.registry_names(memory.maria) == ["Exemplar"], "it was delivered before")
        stage.gateway.start()
        return f"process {first} killed, {stage.gateway.process_id} started"

    def once() -> str:
        until(lambda: memory.registry_names(memory.maria) == ["Finally"], "the FHIR server did not get it")
        until(lambda: stage.at_partner(memory.maria).get("lastName") == "Finally", "the REST side did not get it")
        time.sleep(_QUIET)
        counts = [
            sum(b"Finally" in json.encode(entry["body"]) for entry in side.writes())
            for side in (stage.registry, stage.partner)
        ]
        expect(counts == [1, 1], f"sent {counts} times")
        return "each side was sent it once"

    return [
        ("the FHIR server is down during an edit: the REST side goes on", down),
        ("the FHIR server is caught up when it returns", caught_up),
        ("both are down, the gateway is killed (-9) with deliveries waiting", kill),
        ("after the restart they are made, once", once),
    ]


def analyst(memory: Memory) -> list[Step]:
    out = memory.stage.folder / "snapshot"

    def take() -> str:
        memory.stage.gateway.command("snapshot", "--out", str(out))
        manifest = json.decode((out / MANIFEST).read_bytes())
        names = [file["name"] for file in manifest["files"]]
        expect({"Patient.ndjson", "Observation.ndjson", "patient.csv"} <= set(names), f"files: {', '.join(names)}")
        return f"{len(names)} files at version {manifest['sequence']}"

    def verify() -> str:
        files = json.decode((out / MANIFEST).read_bytes())["files"]
        for file in files:
            content = (out / file["name"]).read_bytes()
            expect(hashlib.sha256(content).hexdigest() == file["sha256"], f"{file['name']}: another hash")
            rows = content.count(b"\n") - (file["name"] == "patient.csv")
            expect(rows == file["rows"], f"{file['name']}: {rows} rows instead of {file['rows']}")
        return f"{sum(file['rows'] for file in files)} rows"

    def table() -> str:
        with (out / "patient.csv").open(newline="", encoding="utf-8") as stream:
            rows = {row["id"]: row for row in csv.DictReader(stream)}
        expect(set(rows) == {memory.maria, memory.alice}, f"{len(rows)} patients")
        names = sorted(f"{row['given']} {row['family']}" for row in rows.values())
        expect(names == ["Alicia Sample", "Maria Finally"], f"patients: {', '.join(names)}")
        return ", ".join(names)

    return [
        ("the snapshot is written", take),
        ("rows and hashes are those of the manifest", verify),
        ("patient.csv has the two patients as they are now", table),
    ]


def _partner_writes(memory: Memory) -> list[dict[str, Any]]:
    return memory.stage.partner.writes()


def _writes(memory: Memory) -> int:
    return len(memory.stage.registry.writes()) + len(memory.stage.partner.writes())


def _edit(memory: Memory, fields: dict[str, str], *, data: dict[str, str] | None = None) -> None:
    """What a user of the REST side does: change a patient; its system tells of it by a signed webhook."""
    asked = {"set": fields, "data": data or {}}
    answer = call("POST", f"{memory.stage.partner.url}/_edit/{PARTNER_ID}", asked)
    statuses = answer.json.get("webhooks")
    expect(statuses and all(200 <= status < 300 for status in statuses), f"the webhook was answered {statuses}")


def _rename(memory: Memory, name: str) -> None:
    """What a user of the FHIR client does: read her, change the family name, put her back."""
    read = memory.stage.fhir("GET", f"/Patient/{memory.maria}")
    names = [{**one, "family": name} for one in read.json["name"]]
    changed = {**read.json, "name": names}
    headers = {"If-Match": read.headers["etag"]}
    answer = memory.stage.fhir("PUT", f"/Patient/{memory.maria}", changed, headers=headers)
    expect(answer.status == 200, f"the edit was answered {answer.status}")


def _given(patient: Resource) -> list[str]:
    return patient["name"][0].get("given", []) if patient.get("name") else []


def _differing(before: Resource, after: Resource) -> set[str]:
    """The top-level elements that are not the same, `meta` apart."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - {"meta"}
