"""A story in processes that are killed (-9) at one step of it, and told again by the next process.

`python -m tests.e2e.crash_steps` reads one JSON plan a line, forks a process that plays it, and answers with how it
ended and the steps it took. A step is a write job of the store or a call to another system, each before and after; the
harness watches them from outside: the store that the composition root opens, and the transport beneath all calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx

import gateway.app
from gateway.commands import connectors, keys
from gateway.connectors.signature import sign
from gateway.delivery import transport
from gateway.fhir import json as fhir_json
from gateway.sandbox.canvas_partner import API_KEY
from gateway.settings import Settings
from gateway.store import Store, Tx, open_store
from tests.contract.made import held_by

from .desk import MRN, bundle, entry, observation, patient

T = TypeVar("T")
SECRET = "whsec_dGhlIHN0b3J5J3Mgb3duIGtleSBmb3Igd2ViaG9va3M="
SETTINGS: dict[str, Any] = {
    "public_url": "http://gateway.test",
    "convert_processes": 0,
    "retry_schedule": (0.0, *[0.05] * 100),
    "lease": 0.4,
    "delivery_timeout": 0.3,
    "breaker_failures": 1000,
}
URN = "urn:uuid:7e1f6f0c-52c1-4cf5-9d0b-1a5d3c1f0a01"


class Steps:
    """Counts the steps by name, and kills this process at the one it was told."""

    def __init__(self, kill: str | None) -> None:
        self._kill = kill
        self._counts: Counter[str] = Counter()
        self.taken: list[str] = []

    def at(self, moment: str, name: str) -> None:
        self._counts[moment, name] += 1  # type: ignore[index]
        step = f"{moment} {name} {self._counts[moment, name]}"  # type: ignore[index]
        self.taken.append(step)
        if step == self._kill:
            os.kill(os.getpid(), signal.SIGKILL)


class WatchedStore(Store):
    """A store whose write jobs are steps. Looking for work is one only when something was found."""

    steps: Steps

    async def write(self, job: Callable[[Tx], T], *, about: Sequence[int] = ()) -> T:
        name = job.__qualname__.replace(".<locals>", "")
        looks = name.endswith("claim.job")
        if not looks:
            self.steps.at("before", name)
        result = await super().write(job, about=about)
        if not looks or any(result):  # type: ignore[arg-type]
            self.steps.at("after", name)
        return result


class WatchedTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, steps: Steps, names: dict[int, str]) -> None:
        self._inner, self._steps, self._names = inner, steps, names

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {self._names[request.url.port or 0]}"
        self._steps.at("before", name)
        response = await self._inner.handle_async_request(request)
        self._steps.at("after", name)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Story:
    """A client posts a patient with an observation, both systems get them; one system's user edits her and tells; the
    other system gets that. What was acknowledged is noted in a file, and told again by nobody."""

    def __init__(self, plan: dict[str, Any], app: Any, client: httpx.AsyncClient) -> None:
        self.plan, self.app, self.client = plan, app, client
        self.notes = Path(plan["folder"]) / "acknowledged"

    @property
    def store(self) -> Store:
        found: Store = self.app.state.context.store
        return found

    def noted(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    def note(self, what: str) -> None:
        with self.notes.open("a") as file:
            file.write(f"{what}\n")

    async def tell(self) -> None:
        if "posted" in self.noted():
            assert len(self.patients()) == 1, "what was acknowledged is kept"
        else:
            await self._post()
            self.note("posted")
        await self._settled()
        if "edited" not in self.noted():
            await self._edit()
            self.note("edited")
        if "told" not in self.noted():
            await self._webhook()
            self.note("told")
        await self._settled()
        self.store.write_now(lambda tx: None)

    def patients(self) -> list[str]:
        rows = self.store.query_now(lambda reader: held_by(reader, [(MRN, "1")]))
        return [str(rid) for rid in rows.values()]

    async def _post(self) -> None:
        entries = (
            entry("POST", "Patient", patient("Doe", (MRN, "1")), full_url=URN, ifNoneExist=f"identifier={MRN}|1"),
            entry("POST", "Observation", observation(URN, ("https://x.example", "1"))),
        )
        headers = {"authorization": f"Bearer {self.plan['key']}", "idempotency-key": "story-1"}
        headers["content-type"] = "application/fhir+json"
        body = fhir_json.encode(bundle("transaction", *entries))
        answer = await self.client.post("/fhir", content=body, headers=headers)
        assert answer.status_code == 200, answer.text

    async def _edit(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as user:
            held = (await user.get(f"{self.plan['partner']}/_patients")).json()
            [theirs] = [one["id"] for one in held if "externalId" in one]
            asked = {"set": {"lastName": "Roe"}, "tell": False}
            (await user.post(f"{self.plan['partner']}/_edit/{theirs}", json=asked)).raise_for_status()

    async def _webhook(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as user:
            held = (await user.get(f"{self.plan['partner']}/_patients")).json()
        [theirs] = [one["id"] for one in held if "externalId" in one]
        content = fhir_json.encode({"id": "evt_1", "type": "patient.updated", "data": {"id": theirs}})
        headers = dict(sign(SECRET, "evt_1", content, now=datetime.now(UTC)))
        headers["content-type"] = "application/json"
        answer = await self.client.post("/api/webhooks/partner", content=content, headers=headers)
        assert answer.status_code == 200, answer.text

    async def _settled(self) -> None:
        """Nothing is due, and every message is worked off."""
        deadline = asyncio.get_running_loop().time() + 20
        while self.store.query_now(
            lambda reader: reader.deliveries(["due", "unknown"], limit=1) or reader.messages("received", limit=1)
        ):
            assert asyncio.get_running_loop().time() < deadline, self._owed()
            await asyncio.sleep(0.01)

    def _owed(self) -> Any:
        return self.store.query_now(lambda reader: reader.deliveries(["due", "unknown"], limit=9))


def settings(plan: dict[str, Any], **more: Any) -> Settings:
    kept = {"data": Path(plan["folder"]), "database_url": plan["database"], "_env_file": None}
    return Settings(**kept, **{**SETTINGS, **more})


def prepare(plan: dict[str, Any]) -> str:
    """The connectors and a key, as an operator makes them."""
    loopback = {"allow_networks": ["127.0.0.0/8"]}
    registry = {"name": "registry", "type": "FHIR", "endpoint": f"{plan['registry']}/fhir", **loopback}
    partner = {
        "name": "partner",
        "profile": "canvas",
        "endpoint": plan["partner"],
        "auth": {"scheme": "apiKey", "key": API_KEY},
        "idSystem": "https://partner.example/patients",
        "sync": {"mode": "webhook", "secret": SECRET},
        **loopback,
    }
    app = {"name": "app", "profile": "intake", "push": False, "keySystems": [MRN]}
    store = open_store(settings(plan))
    try:
        connectors.apply(store, fhir_json.encode([registry, partner, app]))
        return keys.create(store, "app", "app", ("system/*.cruds",))
    finally:
        store.close()


async def play(plan: dict[str, Any]) -> list[str]:
    steps = Steps(plan["kill"])
    WatchedStore.steps = steps
    names = {httpx.URL(plan[name]).port or 0: name for name in ("registry", "partner")}
    bare = transport.create
    gateway.app.open_store = _opened  # type: ignore[assignment]
    transport.create = lambda: WatchedTransport(bare(), steps, names)
    app = gateway.app.create(settings(plan, deliver=True))
    async with app.router.lifespan_context(app):
        inside = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=inside, base_url="http://gateway.test") as client:
            await Story(plan, app, client).tell()
    return steps.taken


def _opened(chosen: Settings) -> Store:
    return WatchedStore.open(chosen.database, key=gateway.app.secret_key(chosen), migrate=False)


def _child(plan: dict[str, Any], out: int) -> None:
    code = 1
    try:
        told = prepare(plan) if plan.get("prepare") else asyncio.run(play(plan))
        os.write(out, json.dumps(told).encode())
        code = 0
    except BaseException:
        os.write(out, json.dumps(traceback.format_exc()).encode())
    finally:
        os._exit(code)


def main() -> None:
    for line in sys.stdin:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            _child(json.loads(line), write)
        os.close(write)
        told = b""
        while part := os.read(read, 65536):
            told += part
        os.close(read)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(json.dumps([os.waitstatus_to_exitcode(status), json.loads(told) if told else None]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
