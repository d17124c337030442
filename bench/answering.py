"""What the partners of the benchmarks stand on: an ASGI application that reads a body and answers JSON, and no more."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

import uvicorn

from gateway.fhir import json


class Answering(ABC):
    """The ASGI application; `answer` says status and JSON."""

    @abstractmethod
    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        status, answer = self.answer(scope["method"], scope["path"], body)
        data = json.encode(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})


def serve(application: Answering) -> None:
    """On the port that the command line names."""
    uvicorn.run(application, port=int(sys.argv[1]), access_log=False, log_level="warning", lifespan="off")
