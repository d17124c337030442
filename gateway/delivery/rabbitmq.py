"""RabbitMQ as a queue (extra `rabbitmq`): messages are acknowledged one batch at a time, after they are stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError

from gateway.connectors.config import Config
from gateway.delivery.queues import Letter, hosts, lost
from gateway.errors import PartnerUnavailable

_BATCH = 500


class Inbound:
    """One queue; `_come` holds what was delivered and is not acknowledged."""

    def __init__(self, queue: AbstractQueue) -> None:
        self._queue = queue
        self._come: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._last: AbstractIncomingMessage | None = None

    async def start(self) -> None:
        self._queue.channel.close_callbacks.add(lambda *_: self._come.put_nowait(None))
        await self._queue.consume(self._come.put)

    async def batches(self) -> AsyncIterator[Sequence[Letter]]:
        while True:
            messages = [await self._come.get()]
            while len(messages) < _BATCH and not self._come.empty():
                messages.append(self._come.get_nowait())
            whole = [message for message in messages if message is not None]
            if len(whole) < len(messages):
                raise PartnerUnavailable("the broker closed the channel")
            self._last = whole[-1]
            yield [_letter(message) for message in whole]

    async def acknowledge(self) -> None:
        assert self._last is not None
        await self._last.ack(multiple=True)


def _letter(message: AbstractIncomingMessage) -> Letter:
    return Letter(message.body, message.content_type or "application/json", message.message_id)


@asynccontextmanager
async def opened(config: Config, password: str | None) -> AsyncIterator[Inbound]:
    """Raises PartnerUnavailable while the broker cannot be reached, or the queue is not there."""
    [(host, port), *_] = hosts(config.sync.address or "")
    try:
        connection = await aio_pika.connect(
            host=host,
            port=port,
            login=config.sync.username or "guest",
            password=password or "guest",
            virtualhost=config.sync.vhost,
            ssl=config.sync.tls,
        )
    except (AMQPError, OSError) as error:
        raise lost(error) from None
    try:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_BATCH)
        inbound = Inbound(await channel.get_queue(config.sync.topic or "", ensure=True))
        await inbound.start()
        yield inbound
    except (AMQPError, OSError) as error:
        raise lost(error) from None
    finally:
        with suppress(AMQPError, OSError):
            await connection.close()
