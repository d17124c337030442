"""A post box: what a stand-in sends to our webhooks waits there until a test hands it over to the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox

from .desk import Desk
from .waiting import until

Letter = tuple[dict[str, str], bytes]
_CARRIED = ("content-type", "webhook-", "impilo-", "x-")


@dataclass
class PostBox:
    """`url`: what the stand-in is told. `letters`: headers and body, as they came."""

    url: str = ""
    letters: list[Letter] = field(default_factory=list)

    async def arrived(self, count: int = 1) -> None:
        """Wait until so many are there."""

        async def there() -> bool:
            return len(self.letters) >= count

        await until(there)

    async def hand_over(self, desk: Desk, path: str) -> list[int]:
        """Everything that waits, in its order; the statuses."""
        waiting, self.letters[:] = list(self.letters), []
        return [await deliver(desk, path, letter) for letter in waiting]


async def deliver(desk: Desk, path: str, letter: Letter) -> int:
    headers, body = letter
    sent = {name: value for name, value in headers.items() if name.startswith(_CARRIED)}
    kind = sent.pop("content-type", "application/json")
    return (await desk.call("POST", path, body, key="", kind=kind, headers=sent)).status_code


@contextmanager
def opened() -> Iterator[PostBox]:
    box = PostBox()

    async def keep(request: Request) -> Response:
        box.letters.append((dict(request.headers), await request.body()))
        return Response(status_code=200)

    with serve.running(Sandbox(Starlette(routes=[Route("/hook", keep, methods=["POST"])]))) as url:
        box.url = f"{url}/hook"
        yield box


async def settled(desk: Desk) -> None:
    """Nothing waits in the gateway: every message worked off, every delivery made or refused."""

    async def nothing_waits() -> Any:
        due = desk.ask(lambda reader: reader.deliveries(["due", "unknown"], limit=10))
        return not due and not desk.messages("received")

    await until(nothing_waits)
