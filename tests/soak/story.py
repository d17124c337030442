"""A soak: the real gateway and both stand-ins under random edits, lost answers, outages and kill -9, then peace.

After quiet all sides must agree as far as they can express it, each patient and each observation must exist once, and
nothing may go on being sent.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from gateway.fhir.json import Resource
from gateway.sandbox.demo_http import call
from gateway.sandbox.demo_inputs import MRN_SYSTEM
from gateway.sandbox.demo_stage import Side, Stage

_FAULTS: tuple[dict[str, Any], ...] = (
    {"drop": "before", "times": 2},
    {"drop": "after", "times": 2},
    {"down": True},
    {"status": 503, "times": 2},
    {"delay": 0.3, "times": 2},
    {},
    {},
)
_LOST = (OSError, HTTPException)
QUIET = 40.0


@dataclass
class Story:
    """One seed's story over a stage."""

    stage: Stage
    rng: random.Random
    people: int
    ids: dict[int, str] = field(default_factory=dict)

    def tell(self, steps: int) -> None:
        """Everybody is posted once, then `steps` random things happen; at the end every side is well."""
        for person in range(self.people):
            self._post(person, f"Fam{person}")
        for step in range(steps):
            self._step(step)
        for side in self._sides():
            side.app.set()

    def come_to_rest(self) -> None:
        """Until nothing is due, and for two seconds nothing is sent."""
        deadline = time.monotonic() + QUIET
        while self.stage.due():
            assert time.monotonic() < deadline, f"still due: {[line['field'] for line in self.stage.due()]}"
            time.sleep(0.3)
        time.sleep(1)
        sent = self._sent()
        time.sleep(2)
        assert self._sent() == sent, "it oscillates"

    def disagreements(self) -> list[str]:
        """What the sides do not agree on, person by person."""
        return [line for person in range(self.people) for line in self._differences(person)]

    def _step(self, step: int) -> None:
        person = self.rng.randrange(self.people)
        deeds: list[tuple[float, Callable[[], None]]] = [
            (0.35, lambda: self._rename(person, f"C{step}")),
            (0.20, lambda: self._post(person, f"B{step}")),
            (0.20, lambda: self._edit_there(person)),
            (0.15, self._fault),
            (0.03, self._kill),
            (0.07, lambda: time.sleep(self.rng.random() * 0.4)),
        ]
        [deed] = self.rng.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])
        with suppress(*_LOST):
            deed()

    def _post(self, person: int, family: str) -> None:
        answer = self.stage.fhir("POST", "", _bundle(person, family))
        assert answer.status == 200, answer.json
        self.ids[person] = answer.json["entry"][0]["response"]["location"].split("/")[1]

    def _rename(self, person: int, family: str) -> None:
        read = self.stage.fhir("GET", f"/Patient/{self.ids[person]}")
        changed = {**read.json, "name": [{**name, "family": family} for name in read.json["name"]]}
        headers = {"If-Match": read.headers["etag"]}
        answer = self.stage.fhir("PUT", f"/Patient/{self.ids[person]}", changed, headers=headers)
        assert answer.status in (200, 412), answer.json

    def _edit_there(self, person: int) -> None:
        theirs = self.stage.at_partner(self.ids[person])
        if theirs:
            edit = {"set": {"lastName": f"P{self.rng.randrange(10**6)}"}, "data": {}}
            call("POST", f"{self.stage.partner.url}/_edit/{theirs['id']}", edit)

    def _fault(self) -> None:
        self.rng.choice(self._sides()).app.set(**self.rng.choice(_FAULTS))

    def _kill(self) -> None:
        self.stage.gateway.kill()
        self.stage.gateway.start()

    def _sides(self) -> list[Side]:
        return [self.stage.registry, self.stage.partner]

    def _sent(self) -> int:
        return sum(len(side.writes()) for side in self._sides())

    def _differences(self, person: int) -> list[str]:
        ours = self.stage.fhir("GET", f"/Patient/{self.ids[person]}").json
        found = self.stage.at_registry(f"/Patient?identifier={MRN_SYSTEM}|S{person}")
        partner = self.stage.at_partner(self.ids[person])
        notes = self.stage.found(f"/Observation?patient={self.ids[person]}")
        theirs = self.stage.at_registry(f"/Observation?identifier=urn:soak|o{person}")
        checks = {
            "one Patient there": len(found) == 1,
            "the same name there": [_families(one) for one in found] == [_families(ours)],
            "the same name at the partner": partner.get("lastName") in _families(ours),
            "birth date and phone as posted": _kept(ours) == _kept(found[0] if found else {}),
            "one observation each": len(notes) == len(theirs) == 1,
            "the same observation": {one["valueString"] for one in notes} == {one["valueString"] for one in theirs},
        }
        return [f"person {person}: not {what}" for what, holds in checks.items() if not holds]


def _families(patient: Resource) -> list[str]:
    return [name.get("family", "") for name in patient.get("name", [])]


def _kept(patient: Resource) -> tuple[Any, list[str]]:
    return patient.get("birthDate"), [one["value"] for one in patient.get("telecom", [])]


def _bundle(person: int, family: str) -> Resource:
    url = f"urn:uuid:00000000-0000-4000-8000-{person:012x}"
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": MRN_SYSTEM, "value": f"S{person}"}],
        "name": [{"use": "official", "family": family, "given": [f"G{person}"]}],
        "birthDate": f"1970-01-0{person % 9 + 1}",
        "telecom": [{"system": "phone", "use": "home", "value": f"555000{person}"}],
    }
    observation = {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:soak", "value": f"o{person}"}],
        "status": "final",
        "code": {"text": "note"},
        "subject": {"reference": url},
        "valueString": family,
    }
    entries = [
        _put(patient, f"Patient?identifier={MRN_SYSTEM}|S{person}", url),
        _put(observation, f"Observation?identifier=urn:soak|o{person}", url.replace("4000", "4001")),
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _put(resource: Resource, condition: str, url: str) -> Resource:
    return {"fullUrl": url, "resource": resource, "request": {"method": "PUT", "url": condition}}
