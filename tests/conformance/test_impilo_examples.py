"""Impilo's and HMS-API's printed payloads: taken by our stand-in as documented, understood by the connector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.connectors import config_file, impilo
from gateway.connectors.protocol import Side
from gateway.errors import InvalidInput
from gateway.fhir import gate, json
from gateway.sandbox import impilo as stand_in
from gateway.translators.json import impilo as model
from gateway.translators.json import mapping as mappings

pytestmark = [pytest.mark.shared, pytest.mark.anyio]

SIDE = Side("https://gateway.example/fhir", impilo.ID_SYSTEM, options=impilo.Options())
SYSTEMS = model.Systems(f"{SIDE.ours}/Patient", model.EXTERNAL_SYSTEM)


def examples(shared: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.decode((shared / "partners" / f"{name}-examples.json").read_bytes())
    return found


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(stand_in.create(seeds=[]))
    headers = {"Impilo-API-Key": stand_in.API_KEY}
    return httpx.AsyncClient(transport=transport, base_url=f"http://impilo{stand_in.BASE}", headers=headers)


async def test_patients_are_taken_as_printed(shared: Path) -> None:
    printed = examples(shared, "impilo")
    async with client() as api:
        for name in ("patient.create.minimal", "patient.create.full"):
            made = await api.post("/patient", content=json.encode(printed[name]))
            assert made.status_code == 201, name
            held = json.decode(made.content)
            assert held.items() >= printed[name].items()
            gate.require(model.from_impilo(held, SYSTEMS, whole=True).patient)
        changed = await api.put(f"/patient/{held['id']}", content=json.encode(printed["patient.update"]))
        assert changed.status_code == 200
        patient = model.from_impilo(json.decode(changed.content), SYSTEMS, whole=True).patient
        gate.require(patient)
        assert patient["active"] is False and patient["managingOrganization"]["display"] == "string"


async def test_webhooks_look_as_printed(shared: Path) -> None:
    printed = examples(shared, "impilo")
    async with client() as api:
        made = json.decode((await api.post("/webhook", content=json.encode(printed["webhook.create.request"]))).content)
        assert made.keys() == printed["webhook.create.response"].keys()
        secret = await api.post("/webhook-secret", content=json.encode(printed["webhook.secret"]))
        assert json.decode(secret.content) == printed["webhook.secret"]
        names = {"firstName": "Emily", "lastName": "Clark"}
        patient = json.decode((await api.post("/patient", content=json.encode(names))).content)
        await api.patch(f"/patient/{patient['id']}", content=json.encode(names))
        logs = json.decode((await api.get("/webhook/logs")).content)
        assert logs.keys() == printed["webhook.logs"].keys()
        assert logs["content"][0].keys() == printed["webhook.logs"]["content"][0].keys()


def test_deliveries_are_understood_as_printed(shared: Path) -> None:
    printed = examples(shared, "impilo")
    seed = impilo.event(printed["webhook.delivery.seed"])
    assert (seed.kind, seed.remote_id) == ("changed", "12345")
    found = model.from_impilo(seed.data, SYSTEMS, whole=False).patient
    assert found["name"] == [{"text": "John Doe"}] and found["gender"] == "male"
    reading = impilo.event(printed["webhook.delivery.reading"])
    assert (reading.kind, reading.id) == ("gather", "57638473")
    with pytest.raises(InvalidInput, match="patient"):
        next(impilo.gather(reading, SIDE))  # the printed one names nobody
    with pytest.raises(InvalidInput):
        impilo.event(printed["webhook.delivery.guide"])  # an empty payload is about nobody


def test_the_seeds_connector_is_taken_as_printed(shared: Path) -> None:
    printed = examples(shared, "hms-api")["connector.create.request"]
    login = {**printed["auth"], "tokenUrl": "https://stateehr.gov/token"}
    [(config, secrets)] = config_file.parse({**printed, "auth": login})
    assert secrets == {"client_secret": "SECRET"} and config.profile == "fhir"
    assert mappings.read(config.mapping).shapes["Patient"].id.text == "id"
