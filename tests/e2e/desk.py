"""A desk: the real application in this process, on a database of its own, called the way HTTP clients call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from gateway.app import create
from gateway.commands import connectors, keys
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.routes.context import Context
from gateway.settings import Settings
from gateway.store import AuditRow, MessageRow, Reader, Store

PUBLIC = "http://gateway.test"
OURS = f"{PUBLIC}/fhir/Patient"
FHIR = "application/fhir+json"
CANVAS = "/plugin-io/api/example_patient_sync/patients"
EVERYTHING = "system/*.cruds documents convert snapshot"

MRN = "urn:oid:2.25.300000000000000000000000000000000001.1"
"""A key system: the connector `app` lists it."""
CLINIC_MRN = "https://clinic.example/mrn"
"""Another one."""
UNLISTED = "https://nobody-listed.example/ids"


@dataclass
class Desk:
    """`key`: of the FHIR client `app`, who may do everything."""

    app: FastAPI
    client: httpx.AsyncClient
    key: str = ""
    made: dict[str, str] = field(default_factory=dict)

    @property
    def context(self) -> Context:
        found: Context = self.app.state.context
        return found

    @property
    def store(self) -> Store:
        return self.context.store

    def add_key(self, name: str, connector: str, *scopes: str) -> str:
        """A key as `gateway keys create` makes it."""
        return keys.create(self.store, name, connector, scopes or (EVERYTHING,))

    def connect(self, *bodies: Mapping[str, Any]) -> None:
        """Connectors as `gateway connectors apply` writes them."""
        connectors.apply(self.store, json.encode([dict(body) for body in bodies]))

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        kind: str = FHIR,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request. `body`: bytes as they are, anything else as JSON; `key` "" = none."""
        content = body if body is None or isinstance(body, bytes) else json.encode(body)
        sent = {"content-type": kind} if content is not None else {}
        bearer = self.key if key is None else key
        if bearer:
            sent["authorization"] = f"Bearer {bearer}"
        return await self.client.request(method, path, content=content, headers={**sent, **(headers or {})})

    async def fhir(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """A request below `/fhir`."""
        return await self.call(method, f"/fhir{path}", body, **more)

    async def post(self, resource: Resource, **headers: str) -> httpx.Response:
        """A create; header names with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.fhir("POST", f"/{resource['resourceType']}", resource, headers=named)

    async def made_id(self, resource: Resource, **headers: str) -> str:
        """The id of what a create made."""
        answer = await self.post(resource, **headers)
        assert answer.status_code == 201, answer.text
        return str(decoded(answer)["id"])

    async def read(self, path: str) -> Resource:
        """A resource that must be there."""
        answer = await self.fhir("GET", path)
        assert answer.status_code == 200, answer.text
        return decoded(answer)

    async def found(self, path: str) -> list[Resource]:
        """What a search finds, its first page."""
        answer = await self.fhir("GET", path)
        assert answer.status_code == 200, answer.text
        return resources(decoded(answer))

    async def transact(self, *entries: Resource, **headers: str) -> httpx.Response:
        return await self.fhir("POST", "", bundle("transaction", *entries), headers=headers)

    async def batch(self, *entries: Resource, **headers: str) -> httpx.Response:
        return await self.fhir("POST", "", bundle("batch", *entries), headers=headers)

    async def document(self, data: bytes, *, key: str | None = None, kind: str = "application/xml") -> httpx.Response:
        return await self.call("POST", "/api/documents", data, key=key, kind=kind)

    async def seed(self, body: Any, key: str, **headers: str) -> httpx.Response:
        """A partner's new patient, as Canvas' plugin is called: the key as it is."""
        sent = {"content-type": "application/json", "authorization": key, **headers}
        content = body if isinstance(body, bytes) else json.encode(body)
        return await self.client.post(CANVAS, content=content, headers=sent)

    def ask(self, question: Any) -> Any:
        return self.store.query_now(question)

    def sequence(self) -> int:
        """Grows with every version."""
        return int(self.ask(lambda reader: reader.last_seq()))

    def messages(self, state: str | None = None) -> list[MessageRow]:
        found: list[MessageRow] = self.ask(lambda reader: reader.messages(state, limit=1_000))
        return found

    async def audits(self) -> list[AuditRow]:
        """Newest first; those of reads are written before this."""
        await self.store.write(lambda tx: tx.last_seq())
        found: list[AuditRow] = self.ask(lambda reader: reader.audits(limit=1_000))
        return found

    def counts(self) -> dict[str, int]:
        """Live resources by type."""
        found: dict[str, int] = self.ask(_resources)
        return found


def _resources(reader: Reader) -> dict[str, int]:
    return reader.counts()["resources"]


@asynccontextmanager
async def opened(
    folder: Path, database: str | None = None, *, raises: bool = False, **settings: Any
) -> AsyncIterator[Desk]:
    """A gateway with the connector `app`, which lists two key systems, and a key for it.

    `raises`: a defect of ours is raised in the test instead of being answered with 500. Nothing is delivered and
    documents are converted in a thread, unless the settings say otherwise.
    """
    chosen = {"data": folder, "public_url": PUBLIC, "deliver": False, "convert_processes": 0, "audit_strict": True}
    app = create(Settings(_env_file=None, database_url=database, **{**chosen, **settings}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC) as client:
            desk = Desk(app, client)
            desk.connect({"name": "app", "profile": "intake", "push": False, "keySystems": [MRN, CLINIC_MRN]})
            desk.key = desk.add_key(f"app-{id(desk)}", "app")
            yield desk


def decoded(answer: httpx.Response) -> Resource:
    """The body, with decimals as written."""
    body: Resource = json.decode(answer.content)
    return body


def resources(bundle_: Resource) -> list[Resource]:
    return [entry["resource"] for entry in bundle_.get("entry", [])]


def link(bundle_: Resource, relation: str) -> str | None:
    """A link of a Bundle, relative to the host."""
    urls = [one["url"] for one in bundle_["link"] if one["relation"] == relation]
    return urls[0].removeprefix(PUBLIC) if urls else None


def issue(answer: httpx.Response) -> Resource:
    """The first issue of an OperationOutcome."""
    body = decoded(answer)
    assert body["resourceType"] == "OperationOutcome", body
    first: Resource = body["issue"][0]
    return first


def bundle(kind: str, *entries: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {})}


def entry(method: str, url: str, resource: Resource | None = None, *, full_url: str = "", **request: str) -> Resource:
    """`ifNoneExist` and the like are further arguments."""
    made: Resource = {"request": {"method": method, "url": url, **request}}
    if full_url:
        made["fullUrl"] = full_url
    return made | ({"resource": resource} if resource is not None else {})


def patient(family: str, *identifiers: tuple[str, str], **more: Any) -> Resource:
    """Born on the same day in every test, so that only names tell people apart unless a test says otherwise."""
    listed = [{"system": system, "value": value} for system, value in identifiers]
    made: Resource = {
        "resourceType": "Patient",
        **({"identifier": listed} if listed else {}),
        "name": [{"family": family, "given": ["Ada"]}],
        "birthDate": "1980-02-22",
    }
    made.update(more)
    return {name: value for name, value in made.items() if value is not None}


def observation(subject: str | None = None, *identifiers: tuple[str, str], **more: Any) -> Resource:
    listed = [{"system": system, "value": value} for system, value in identifiers]
    return {
        "resourceType": "Observation",
        **({"identifier": listed} if listed else {}),
        "status": "final",
        "code": {"text": "Heart rate"},
        **({"subject": {"reference": subject}} if subject else {}),
        **more,
    }
