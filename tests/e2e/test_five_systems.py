"""All five systems and a FHIR server around one gateway: a patient reaches each, and so does an edit made at any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from gateway.fhir import json
from gateway.sandbox import campdoc, canvas, canvas_login, fhir_server, hms, impilo, metriport, serve
from gateway.sandbox.faults import Sandbox

from .canvas_stage import CANVAS_SYSTEM, served
from .desk import Desk, opened
from .test_campdoc import PUBLIC, Camp
from .waiting import until

pytestmark = pytest.mark.anyio

STAND_INS: dict[str, ModuleType] = {
    "canvas": canvas,
    "camp": campdoc,
    "hms": hms,
    "impilo": impilo,
    "metriport": metriport,
    "registry": fhir_server,
}
KEYS = {"hms": {"x-api-key": hms.API_KEY}, "metriport": {"x-api-key": metriport.API_KEY}}
QUIET = 0.5
SECRET = "echoed as it is"
MAPPING = {
    "Patient": {
        "at": "updatedAt",
        "list": {"since": "_since", "size": "limit", "limit": 100},
        "fields": {
            "name.family": "lastName",
            "name.given[0]": "firstName",
            "birthDate": {"path": "dob", "transform": "date"},
            "telecom[phone].value": "phone",
            "identifier[ours].value": "gatewayId",
        },
    },
}
ROSA = {
    "resourceType": "Patient",
    "name": [{"use": "official", "family": "Quill", "given": ["Rosa"]}],
    "gender": "female",
    "birthDate": "1979-11-30",
    "telecom": [{"system": "phone", "use": "mobile", "value": "+1 202 555 0134"}],
    "address": [{"use": "home", "line": ["9 Elm Way"], "city": "Phoenix", "state": "AZ", "postalCode": "85004"}],
}


@dataclass
class Town:
    """The gateway at `url`, and the six around it."""

    desk: Desk
    url: str
    sides: dict[str, Sandbox]
    at: dict[str, str]
    camp: Camp
    operator: str

    async def ask(self, method: str, side: str, path: str, body: Any = None) -> Any:
        """What somebody at that side does or looks at."""
        async with httpx.AsyncClient(trust_env=False, timeout=20, headers=KEYS.get(side)) as client:
            content = json.encode(body) if body is not None else None
            kind = {"content-type": "application/json"} if body is not None else {}
            answer = await client.request(method, self.at[side] + path, content=content, headers=kind)
        assert answer.is_success, answer.text
        return json.decode(answer.content) if answer.content else None

    async def shown(self) -> dict[str, tuple[str, str | None]]:
        """Family name and digits of the phone of everybody's Rosa, where she is; CampDoc has no room for phones."""
        lookers: dict[str, Callable[[], Awaitable[list[tuple[str, str | None]]]]] = {
            "canvas": self._in_canvas,
            "camp": self._in_camp,
            "hms": self._in_hms,
            "impilo": self._in_impilo,
            "metriport": self._in_metriport,
            "registry": self._in_registry,
        }
        found = {side: await look() for side, look in lookers.items()}
        assert all(len(people) <= 1 for people in found.values()), f"somebody holds her twice: {found}"
        return {side: people[0] for side, people in found.items() if people}

    async def everywhere(self, family: str, phone: str) -> None:
        """Wait until all of them show just that."""
        wanted = {side: (family, None if side == "camp" else phone) for side in STAND_INS}

        async def shown() -> bool:
            return await self.shown() == wanted

        try:
            await until(shown)
        except AssertionError:
            raise AssertionError(f"{await self.shown()} instead of {family}, {phone}") from None

    async def quiet(self) -> None:
        """Nothing is owed to anybody, and nobody is written to any more."""

        async def nothing_waits() -> bool:
            due = self.desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=10))
            return not due and not self.desk.messages("received")

        await until(nothing_waits)
        before = self._writes()
        await asyncio.sleep(QUIET)
        assert self._writes() == before, "it oscillates"

    async def look(self, side: str) -> None:
        """One sync from there, from beginning to end."""
        path = f"/api/external-connectors/{side}/sync"
        started = await self.desk.call("POST", path, {}, key=self.operator, kind="application/json")
        assert started.status_code == 202, started.text
        run = f"/api/external-connectors/{side}/syncs/{started.json()['syncId']}"

        async def over() -> dict[str, Any] | None:
            found: dict[str, Any] = (await self.desk.call("GET", run, key=self.operator)).json()
            return found if found["status"] != "running" else None

        ended = await until(over)
        assert ended is not None and ended["status"] == "done", ended

    def _writes(self) -> tuple[int, dict[str, int]]:
        counts = {
            side: sum(one["method"] != "GET" and "token" not in one["path"] for one in list(sandbox.log))
            for side, sandbox in self.sides.items()
        }
        return self.desk.sequence(), counts

    async def _in_canvas(self) -> list[tuple[str, str | None]]:
        return [_of_fhir(one) for one in await self.ask("GET", "canvas", "/_patients") if _is_rosa(one)]

    async def _in_registry(self) -> list[tuple[str, str | None]]:
        found = await self.ask("GET", "registry", f"{fhir_server.BASE}/Patient")
        held = [one["resource"] for one in found.get("entry", [])]
        return [_of_fhir(one) for one in held if _is_rosa(one)]

    async def _in_camp(self) -> list[tuple[str, str | None]]:
        held = self.camp.sandbox.camp.profiles.values()
        return [(one["familyName"], None) for one in held if one["givenName"] == "Rosa"]

    async def _in_hms(self) -> list[tuple[str, str | None]]:
        held = await self.ask("GET", "hms", "/api/patients")
        return [(one["lastName"], _digits(one.get("phone"))) for one in held if one.get("firstName") == "Rosa"]

    async def _in_impilo(self) -> list[tuple[str, str | None]]:
        held = await self.ask("GET", "impilo", "/_patients")
        return [(one["lastName"], _digits(one.get("phoneNumber"))) for one in held if one["firstName"] == "Rosa"]

    async def _in_metriport(self) -> list[tuple[str, str | None]]:
        held = (await self.ask("GET", "metriport", "/medical/v1/patient"))["patients"]
        found = [one for one in held if one["firstName"] == "Rosa"]
        return [(one["lastName"], _digits(_contact(one))) for one in found]


def _is_rosa(patient: dict[str, Any]) -> bool:
    return any(name.get("given") == ["Rosa"] for name in patient.get("name", []))


def _of_fhir(patient: dict[str, Any]) -> tuple[str, str | None]:
    phones = [one["value"] for one in patient.get("telecom", []) if one.get("system") == "phone"]
    assert len(phones) <= 1, phones
    return patient["name"][0]["family"], _digits(phones[0]) if phones else None


def _contact(patient: dict[str, Any]) -> str | None:
    contact = patient.get("contact") or {}
    return (contact[0] if isinstance(contact, list) else contact).get("phone")


def _digits(phone: str | None) -> str | None:
    return "".join(filter(str.isdigit, phone))[-10:] if phone else None


def _connectors(at: dict[str, str], here: str) -> list[dict[str, Any]]:
    """The files of the six, as an operator writes them."""
    client = {"scheme": "OAuth2", "clientId": canvas_login.CLIENT_ID, "clientSecret": canvas_login.CLIENT_SECRET}
    camp = {"scheme": "OAuth2", "clientId": campdoc.CLIENT_ID, "clientSecret": campdoc.CLIENT_SECRET}
    bodies: list[dict[str, Any]] = [
        {
            "name": "canvas",
            "profile": "canvas_fhir",
            "endpoint": at["canvas"],
            "auth": {**client, "grant": "client_credentials", "redirectUri": canvas_login.REDIRECTS[0]},
            "idSystem": CANVAS_SYSTEM,
            "options": {"create": "fhir", "settleSeconds": 30.0},
        },
        {
            "name": "camp",
            "profile": "campdoc",
            "endpoint": f"{at['camp']}/public/v2",
            "auth": camp,
            "sync": {"mode": "manual"},
            "options": {"orgID": campdoc.ORGANIZATION},
        },
        {
            "name": "hms",
            "type": "REST",
            "endpoint": f"{at['hms']}/api/patients",
            "auth": {"scheme": "apiKey", "header": "X-API-Key", "key": hms.API_KEY},
            "sync": {"mode": "manual"},
            "idSystem": "https://hms.example/ids",
            "mapping": MAPPING,
        },
        {
            "name": "impilo",
            "type": "REST",
            "profile": "impilo",
            "endpoint": f"{at['impilo']}{impilo.BASE}",
            "auth": {"scheme": "apiKey", "header": "Impilo-API-Key", "key": impilo.API_KEY},
            "sync": {"mode": "webhook", "secret": SECRET},
            "rateLimit": {"requests": 1000},
            "options": {"units": {"weight": "kg"}},
        },
        {
            "name": "metriport",
            "profile": "metriport",
            "endpoint": at["metriport"],
            "auth": {"scheme": "apiKey", "header": "x-api-key", "key": metriport.API_KEY},
            "sync": {"mode": "webhook", "signature": "metriport"},
            "idSystem": "https://metriport.example/patients",
            "options": {"facilityId": metriport.FACILITY_ID, "sandbox": True},
        },
        {
            "name": "registry",
            "type": "FHIR",
            "endpoint": at["registry"] + fhir_server.BASE,
            "idSystem": "https://registry.example/patients",
            "auth": {"scheme": "none"},
        },
    ]
    return [{**one, "allow_networks": ["127.0.0.0/8"]} for one in bodies]


@asynccontextmanager
async def founded(folder: Path) -> AsyncIterator[Town]:
    chosen: dict[str, Any] = {
        "deliver": True,
        "retry_schedule": (0.0, *[0.05] * 400),
        "delivery_timeout": 5.0,
        "look_every": 0.05,
        "public_url": PUBLIC,
    }
    with ExitStack() as stand_ins:
        sides = {name: module.create() for name, module in STAND_INS.items()}
        at = {name: stand_ins.enter_context(serve.running(side)) for name, side in sides.items()}
        async with AsyncExitStack() as stack:
            desk = await stack.enter_async_context(opened(folder, **chosen))
            browser = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            url = await stack.enter_async_context(served(desk))
            operator = desk.add_key("operator", "app", "operator")
            camp = Camp(desk, sides["camp"], at["camp"], operator, browser)
            desk.connect(*_connectors(at, url))
            yield Town(desk, url, sides, at, camp, operator)


@pytest.fixture
async def town(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Town]:
    async with founded(tmp_path) as found:
        yield found


async def retyped(town: Town, side: str, phone: str) -> None:
    """A user there types another phone, and the gateway looks."""
    match side:
        case "canvas":
            [held] = [one for one in await town.ask("GET", "canvas", "/_patients") if _is_rosa(one)]
            telecom = [{**one, "value": phone} if one["system"] == "phone" else one for one in held["telecom"]]
            await town.ask("POST", "canvas", f"/_edit/{held['id']}", {"telecom": telecom})
        case "hms":
            [held] = [one for one in await town.ask("GET", "hms", "/api/patients") if one.get("firstName") == "Rosa"]
            await town.ask("POST", "hms", f"/_edit/patients/{held['id']}", {"set": {"phone": phone}})
        case "impilo":
            [held] = [one for one in await town.ask("GET", "impilo", "/_patients") if one["firstName"] == "Rosa"]
            await town.ask("POST", "impilo", f"/_edit/{held['id']}", {"set": {"phoneNumber": phone}, "tell": False})
        case "metriport":
            held = await town.ask("GET", "metriport", "/medical/v1/patient")
            [mine] = [one for one in held["patients"] if one["firstName"] == "Rosa"]
            await town.ask("POST", "metriport", f"/_edit/{mine['id']}", {"contact": [{"phone": phone}]})
        case "registry":
            found = await town.ask("GET", "registry", f"{fhir_server.BASE}/Patient")
            [held] = [one["resource"] for one in found["entry"] if _is_rosa(one["resource"])]
            telecom = [{**one, "value": phone} for one in held["telecom"]]
            await town.ask("PUT", "registry", f"{fhir_server.BASE}/Patient/{held['id']}", held | {"telecom": telecom})
    await town.look(side)


async def test_all_five_are_kept_in_step(town: Town) -> None:
    await town.camp.authorised()
    made = await town.desk.made_id(ROSA)
    await town.everywhere("Quill", "2025550134")
    await town.quiet()

    for number, side in enumerate(("impilo", "canvas", "metriport", "hms", "registry")):
        await retyped(town, side, f"202-555-017{number}")
        await town.everywhere("Quill", f"202555017{number}")
        await town.quiet()

    profile = next(one for one in town.camp.sandbox.camp.profiles.values() if one["givenName"] == "Rosa")
    await town.ask("POST", "camp", f"/_edit/{profile['id']}", {"familyName": "Quill-Lind"})
    await town.look("camp")
    await town.everywhere("Quill-Lind", "2025550174")
    await town.quiet()

    now = await town.desk.read(f"/Patient/{made}")
    assert (now["gender"], now["birthDate"]) == ("female", "1979-11-30")
    assert now["address"][0]["line"] == ["9 Elm Way"], "nobody who knows less took anything away"
    systems = {one["system"] for one in now["identifier"]}
    assert {CANVAS_SYSTEM, "https://hms.example/ids", "https://registry.example/patients"} <= systems
