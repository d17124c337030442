"""A FHIR server that does as little as possible: nobody is found, and every entry of a transaction is made.

`GET /_count` = the resources that were made so far.
"""

from __future__ import annotations

from typing import Any

from bench.answering import Answering, serve
from gateway.fhir import json

_CAPABLE = {
    "resourceType": "CapabilityStatement",
    "rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}],
}
_NOBODY = {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": []}


class FhirPartner(Answering):
    """What it counts: the resources that were made."""

    def __init__(self) -> None:
        self.writes = 0

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        if path == "/_count":
            return 200, {"writes": self.writes}
        if method == "GET":
            return 200, _CAPABLE if path.endswith("/metadata") else _NOBODY
        entries = [self._made(entry["resource"]) for entry in json.decode(body)["entry"]]
        return 200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def _made(self, resource: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        id_ = f"r{self.writes}"
        response = {"status": "201", "location": f"{resource['resourceType']}/{id_}/_history/1", "etag": 'W/"1"'}
        return {"response": response, "resource": resource | {"id": id_}}


if __name__ == "__main__":
    serve(FhirPartner())
