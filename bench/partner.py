"""A partner of the Canvas kind that does as little as possible, so that the gateway is measured and not the stand-in.

`GET /patients/v2/ID`, `POST /patients/v2`, `POST /patients/v2/ID`; `GET /_seen` = writes in all and the time of the
last one by last name; `POST /_down` and `POST /_up` begin and end an outage (503); `POST /_edit` changes a patient as a
user would: `{"id", "lastName"}`.
"""

from __future__ import annotations

import time
from typing import Any

from bench.answering import Answering, serve
from gateway.fhir import json

PATH = "/patients/v2"


class Partner(Answering):
    """`ours`: the caller's id -> theirs."""

    def __init__(self) -> None:
        self.patients: dict[str, dict[str, Any]] = {}
        self.ours: dict[str, str] = {}
        self.written: dict[str, float] = {}
        self.writes = 0
        self.down = False

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path.startswith("/_"):
            return 200, self._control(path, body)
        if self.down:
            return 503, {"error": "down"}
        asked = path.removeprefix(PATH).strip("/")
        found = self.patients.get(self.ours.get(asked, asked))
        if method == "GET":
            return (200, found) if found else (404, {"error": "no such patient"})
        if asked and not found:
            return 404, {"error": "no such patient"}
        return self._write(found, json.decode(body))

    def _write(self, found: dict[str, Any] | None, given: dict[str, Any]) -> tuple[int, Any]:
        status = 200 if found else 201
        patient = found or {"id": f"pat_{len(self.patients) + 1}"}
        patient.update(given)
        self.patients[patient["id"]] = patient
        self.ours[patient["externalId"]] = patient["id"]
        self.written[patient["lastName"]] = time.time()
        self.writes += 1
        return status, patient

    def _control(self, path: str, body: bytes) -> Any:
        if path == "/_edit":
            given = json.decode(body)
            self.patients[given["id"]].update(given)
        elif path in ("/_down", "/_up"):
            self.down = path == "/_down"
        people = len(self.patients)
        return {"writes": self.writes, "patients": people, "written": self.written if path == "/_seen" else {}}


if __name__ == "__main__":
    serve(Partner())
