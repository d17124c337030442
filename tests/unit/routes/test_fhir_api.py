"""The FHIR API as an application: a defect of ours is answered and then raised."""

from __future__ import annotations

import pytest
from starlette.types import Message

from gateway.routes import fhir_api

pytestmark = pytest.mark.anyio


async def test_a_defect_is_answered_and_then_raised() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/fhir/Patient/1", "query_string": b"", "headers": []}
    with pytest.raises(KeyError):  # no application around it
        await fhir_api.application(scope, receive, send)
    assert sent[0]["status"] == 500 and b"OperationOutcome" in sent[1]["body"]
