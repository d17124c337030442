"""Real brokers for the tests: Kafka's protocol by librdkafka's mock cluster, RabbitMQ by Debian's own server."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
from aio_pika.abc import AbstractConnection
from confluent_kafka import Producer

_START = 60.0
_PAUSE = 0.25


class Kafka:
    """A broker with one topic; it lives as long as this object."""

    broker = "kafka"

    def __init__(self, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
        [one, *_] = self._producer.list_topics(timeout=10).brokers.values()
        self.address, self.topic = f"{one.host}:{one.port}", topic

    async def send(self, body: bytes, message_id: str | None = None, **more: str) -> None:
        headers = {**({"webhook-id": message_id} if message_id else {}), **more}
        self._producer.produce(self.topic, body, key=b"one", headers=list(headers.items()))
        await asyncio.to_thread(self._producer.flush, 10)


class Rabbit:
    """A queue of a server that runs already."""

    broker = "rabbitmq"

    def __init__(self, connection: AbstractConnection, address: str, topic: str) -> None:
        self._connection, self.address, self.topic = connection, address, topic

    async def send(self, body: bytes, message_id: str | None = None) -> None:
        async with self._connection.channel() as channel:
            message = aio_pika.Message(body, message_id=message_id, content_type="application/json")
            await channel.default_exchange.publish(message, self.topic)

    async def waiting(self) -> int:
        async with self._connection.channel() as channel:
            queue = await channel.declare_queue(self.topic, durable=True, passive=True)
            return int(queue.declaration_result.message_count or 0)


@asynccontextmanager
async def rabbitmq(folder: Path, topic: str) -> AsyncIterator[Rabbit]:
    """Debian's rabbitmq-server on ports of its own, as whoever runs the tests."""
    port, distribution = _free_port(), _free_port()
    folder.mkdir()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([_server()], env=_environment(folder, port, distribution), **quiet)  # type: ignore[call-overload]
    try:
        connection = await _connected(port, process)
        try:
            async with connection.channel() as channel:
                await channel.declare_queue(topic, durable=True)
            yield Rabbit(connection, f"127.0.0.1:{port}", topic)
        finally:
            await connection.close()
    finally:
        process.terminate()
        process.wait(30)


def _server() -> str:
    """The script behind Debian's wrapper, which would change to a user of its own."""
    found = next(iter(sorted(Path("/usr/lib/rabbitmq").glob("lib/rabbitmq_server-*/sbin/rabbitmq-server"))), None)
    assert found is not None or shutil.which("rabbitmq-server"), "make test-system installs rabbitmq-server"
    return str(found)


def _environment(folder: Path, port: int, distribution: int) -> dict[str, str]:
    own = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"gateway{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_CRASH_DUMP": str(folder / "crash.dump"),
    }
    return {**os.environ, **own}


async def _connected(port: int, process: subprocess.Popen[bytes]) -> AbstractConnection:
    deadline = asyncio.get_running_loop().time() + _START
    while True:
        try:
            return await aio_pika.connect(host="127.0.0.1", port=port)
        except (OSError, aio_pika.exceptions.AMQPError):
            assert process.poll() is None, "rabbitmq-server did not start"
            assert asyncio.get_running_loop().time() < deadline, "rabbitmq-server did not start in time"
            await asyncio.sleep(_PAUSE)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
