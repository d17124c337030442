"""The stage of the demo: the gateway, a FHIR server and a REST partner, and what each of them shows."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.fhir import json
from gateway.fhir.json import Resource

from . import serve
from .canvas_partner import API_KEY
from .demo_check import expect
from .demo_gateway import Gateway
from .demo_http import FHIR_JSON, Answer, call
from .demo_inputs import APP_SYSTEM, MRN_SYSTEM, PARTNER_SYSTEM
from .faults import Sandbox
from .fhir_server import BASE

REGISTRY, PARTNER, APP, CLINIC = "registry", "partner", "app", "clinic"

_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_KEYS = {
    "app": (APP, "system/*.cruds"),
    "partner": (PARTNER, "system/Patient.cruds"),
    "clinic": (CLINIC, "documents convert"),
    "analyst": (APP, "system/*.rs snapshot"),
}


@dataclass
class Side:
    """A stand-in: the application in this process and its address."""

    app: Sandbox
    url: str

    def writes(self) -> list[dict[str, Any]]:
        """The calls of the gateway that were to change something, in order."""
        return [entry for entry in self.calls() if entry["method"] in _WRITES]

    def calls(self) -> list[dict[str, Any]]:
        """All calls but those of the demo itself, which plays the users of that side."""
        return [entry for entry in list(self.app.log) if not entry["path"].startswith("/_")]


@dataclass
class Stage:
    folder: Path
    gateway: Gateway
    registry: Side
    partner: Side
    keys: dict[str, str] = field(default_factory=dict)
    webhook_secret: str = field(default_factory=lambda: f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}")

    def set_up(self) -> None:
        """Connectors and keys, by the commands that an operator would use; the partner learns where to send events."""
        self.apply_connectors(read=True)
        webhook = {"url": f"{self.gateway.url}/api/webhooks/{PARTNER}", "secret": self.webhook_secret}
        call("POST", f"{self.partner.url}/_webhook", webhook)
        with ThreadPoolExecutor() as commands:
            self.keys = dict(zip(_KEYS, commands.map(self._create_key, _KEYS), strict=True))

    def _create_key(self, name: str) -> str:
        connector, scopes = _KEYS[name]
        return self.gateway.command("keys", "create", name, "--connector", connector, "--scope", scopes)

    def apply_connectors(self, *, read: bool) -> None:
        """`read`: whether a webhook of the partner makes the gateway read its side."""
        file = self.folder / "connectors.json"
        file.write_bytes(json.encode(self._connectors(read=read)))
        self.gateway.command("connectors", "apply", str(file))

    def _connectors(self, *, read: bool) -> list[dict[str, Any]]:
        loopback = ["127.0.0.0/8"]
        webhook = {"mode": "webhook", "secret": self.webhook_secret, "read": read}
        return [
            {"name": APP, "profile": "intake", "push": False, "keySystems": [MRN_SYSTEM, APP_SYSTEM]},
            {"name": CLINIC, "profile": "intake", "push": False},
            {"name": REGISTRY, "type": "FHIR", "endpoint": f"{self.registry.url}{BASE}", "allow_networks": loopback},
            {
                "name": PARTNER,
                "type": "REST",
                "profile": "canvas",
                "endpoint": self.partner.url,
                "auth": {"scheme": "apiKey", "header": "X-API-Key", "key": API_KEY},
                "sync": webhook,
                "idSystem": PARTNER_SYSTEM,
                "allow_networks": loopback,
            },
        ]

    def fhir(self, method: str, path: str, body: Any = None, *, headers: dict[str, str] | None = None) -> Answer:
        """A call of the FHIR client."""
        sent = {"Authorization": f"Bearer {self.keys['app']}", **(headers or {})}
        return call(method, f"{self.gateway.url}/fhir{path}", body, headers=sent, kind=FHIR_JSON)

    def found(self, path: str) -> list[Resource]:
        """What a search of our own finds."""
        return _resources(self.fhir("GET", path))

    def at_registry(self, path: str) -> list[Resource]:
        """What a search of the FHIR stand-in finds."""
        return _resources(call("GET", f"{self.registry.url}{BASE}{path}"))

    def at_partner(self, patient_id: str) -> dict[str, Any]:
        """The REST stand-in's patient; {} when it has none."""
        answer = call("GET", f"{self.partner.url}/patients/v2/{patient_id}", headers={"X-API-Key": API_KEY})
        found: dict[str, Any] = answer.json if answer.status == 200 else {}
        return found

    def sequence(self) -> int:
        """How many versions were ever written: a number that stays the same when nothing changes."""
        manifest = json.decode(self.gateway.command("snapshot", "--out", str(self.folder / "probe"), "--json"))
        return int(manifest["sequence"])

    def due(self) -> list[Any]:
        """What would still be delivered."""
        lines: list[Any] = json.decode(self.gateway.command("plan", "--json"))
        return lines

    def exports(self) -> dict[str, str]:
        """For a person who wants to go on by hand: what the README's examples use."""
        keys = {f"{name.upper()}_KEY": key for name, key in self.keys.items()}
        places = {"GATEWAY": self.gateway.url, "REGISTRY": f"{self.registry.url}{BASE}", "PARTNER": self.partner.url}
        settings = {name: self.gateway.settings()[name] for name in ("GATEWAY_DATA", "GATEWAY_PUBLIC_URL")}
        return {**places, **keys, "WEBHOOK_SECRET": self.webhook_secret, **settings}


def _resources(answer: Answer) -> list[Resource]:
    expect(answer.status == 200, f"a search was answered with status {answer.status}")
    return [entry["resource"] for entry in answer.json.get("entry", []) if entry["search"]["mode"] == "match"]


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Both stand-ins up; the gateway is started by the first check, so that its failure is told like any other."""
    registry, partner = serve.create("fhir_server"), serve.create("canvas_partner")
    with serve.running(registry) as registry_url, serve.running(partner) as partner_url:
        gateway = Gateway(folder)
        try:
            yield Stage(folder, gateway, Side(registry, registry_url), Side(partner, partner_url))
        finally:
            gateway.stop()
