"""A FHIR server that does as little as possible: nobody is found, and every entry of a transaction is made.

`GET /_count` = the resources that were made so far.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from gateway.fhir import json

_CAPABLE = {
    "resourceType": "CapabilityStatement",
    "rest": [{"mode": "server", "interaction": [{"code": "transaction"}]}],
}
_NOBODY = {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": []}


class FhirPartner:
    """The ASGI application and what it counts."""

    def __init__(self) -> None:
        self.writes = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        data = json.encode(self.answer(scope["method"], scope["path"], body))
        headers = [(b"content-type", b"application/fhir+json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def answer(self, method: str, path: str, body: bytes) -> Any:
        if path == "/_count":
            return {"writes": self.writes}
        if method == "GET":
            return _CAPABLE if path.endswith("/metadata") else _NOBODY
        entries = [self._made(entry["resource"]) for entry in json.decode(body)["entry"]]
        return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}

    def _made(self, resource: dict[str, Any]) -> dict[str, Any]:
        self.writes += 1
        id_ = f"r{self.writes}"
        response = {"status": "201", "location": f"{resource['resourceType']}/{id_}/_history/1", "etag": 'W/"1"'}
        return {"response": response, "resource": resource | {"id": id_}}


if __name__ == "__main__":
    uvicorn.run(FhirPartner(), port=int(sys.argv[1]), access_log=False, log_level="warning", lifespan="off")
