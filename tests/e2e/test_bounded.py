"""What a connection may send before anybody knows who it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from gateway.commands import bounded
from gateway.commands.bounded import BoundedProtocol

pytestmark = pytest.mark.anyio


GET = b"GET /x HTTP/1.1\r\nhost: gateway.test\r\n"


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(bounded, "HEAD_SECONDS", 0.3)
    config = uvicorn.Config(PlainTextResponse("hello"), log_config=None, lifespan="off", ws="none")
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BoundedProtocol(config, ServerState(), {}), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def answers(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """All that is answered to these pieces until the connection ends or is quiet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        while part := await asyncio.wait_for(reader.read(65_536), 1.0):
            said += part
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return said


async def test_heads_within_the_limit_are_answered_one_after_the_other(port: int) -> None:
    whole = GET + b"x: " + b"a" * 60_000 + b"\r\n\r\n"
    assert (await answers(port, *[whole] * 5, pause=0.02)).count(b"200 OK") == 5
    assert (await answers(port, whole * 5)).count(b"200 OK") == 5, "in one piece, too"


@pytest.mark.parametrize(
    "pieces",
    [
        [GET, *[b"x: " + b"a" * 30_000 + b"\r\n"] * 5],
        [GET, b"x: ", *[b"a" * 30_000] * 5],
        [GET, *[b"".join(b"x%d: b\r\n" % number for number in range(3_000))] * 5],
        [b"GET /", *[b"a" * 30_000] * 5],
    ],
    ids=["many headers", "one long header", "many short headers", "a long address"],
)
async def test_a_head_without_end_is_refused(port: int, pieces: list[bytes]) -> None:
    end = b"\r\n\r\n" if pieces[0] == GET else b" HTTP/1.1\r\nhost: gateway.test\r\n\r\n"
    assert b"200 OK" not in await answers(port, *pieces, end, pause=0.01)


@pytest.mark.parametrize("pieces", [[], [GET], [GET + b"\r\n", GET]], ids=["nothing", "half", "half of the second"])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, pieces: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        while await reader.read(65_536):
            pass
    writer.close()


async def test_a_body_may_take_longer_than_a_head(port: int) -> None:
    head = b"POST /x HTTP/1.1\r\nhost: gateway.test\r\ncontent-length: 4\r\n\r\n"
    assert b"200 OK" in await answers(port, head, b"ab", b"cd", pause=0.4)
