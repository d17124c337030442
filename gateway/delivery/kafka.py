"""Kafka as a queue (extra `kafka`): offsets of our group are committed by hand, after the messages are stored.

Partitions are assigned by us, not by the group: one gateway process at a time reads a connector's topic, in order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from ssl import create_default_context
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from gateway.connectors.config import Config
from gateway.delivery.queues import Letter, lost

_BATCH = 500
_LOOK_MS = 1_000
"""How long to wait for messages before the topic's partitions are looked at again."""

_NAMES = (("webhook-id",), ("ce_source", "ce_id"))
"""Headers that name an event once and for all (Standard Webhooks; CloudEvents 1.0, Kafka binding §3.2: source and id
together). What another header may mean is not known: an `id` may as well be the patient's, and what follows would be
taken for what came before."""


class Topic:
    """One topic, all its partitions."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._stored: dict[TopicPartition, int] = {}

    async def batches(self) -> AsyncIterator[Sequence[Letter]]:
        try:
            while True:
                await self._assign()
                got = await self._consumer.getmany(timeout_ms=_LOOK_MS, max_records=_BATCH)
                self._stored = {partition: records[-1].offset + 1 for partition, records in got.items() if records}
                if self._stored:
                    yield [_letter(record) for records in got.values() for record in records]
        except KafkaError as error:
            raise lost(error) from None

    async def acknowledge(self) -> None:
        try:
            await self._consumer.commit(self._stored)
        except KafkaError as error:
            raise lost(error) from None

    async def _assign(self) -> None:
        """A topic may be made, or grow, while we look at it."""
        wanted = {TopicPartition(self._topic, number) for number in self._partitions()}
        if wanted != self._consumer.assignment():
            self._consumer.assign(sorted(wanted))

    def _partitions(self) -> Sequence[int]:
        return sorted(self._consumer.partitions_for_topic(self._topic) or ())


def _letter(record: ConsumerRecord[bytes, bytes]) -> Letter:
    headers = {name.lower(): value.decode("utf-8", "replace") for name, value in record.headers if value}
    # The time is part of the name: a topic that is made anew counts its offsets from 0 again.
    place = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}"
    return Letter(record.value or b"", headers.get("content-type", "application/json"), _named(headers) or place)


def _named(headers: Mapping[str, str]) -> str | None:
    return next((" ".join(headers[one] for one in names) for names in _NAMES if headers.keys() >= {*names}), None)


@asynccontextmanager
async def opened(config: Config, password: str | None) -> AsyncIterator[Topic]:
    """Raises PartnerUnavailable while the brokers cannot be reached."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=config.sync.address,
        group_id=config.sync.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=30_000,
        **_security(config, password),
    )
    try:
        await consumer.start()
        await consumer._client.add_topic(config.sync.topic)
        yield Topic(consumer, config.sync.topic or "")
    except KafkaError as error:
        raise lost(error) from None
    finally:
        await consumer.stop()


def _security(config: Config, password: str | None) -> dict[str, Any]:
    """TLS and SASL PLAIN, as far as they are configured."""
    known = config.sync.username is not None
    protocol = ("SASL_" if known else "") + ("SSL" if config.sync.tls else "PLAINTEXT")
    chosen: dict[str, Any] = {"security_protocol": protocol}
    if config.sync.tls:
        chosen["ssl_context"] = create_default_context()
    if known:
        chosen |= {"sasl_mechanism": "PLAIN", "sasl_plain_username": config.sync.username}
        chosen["sasl_plain_password"] = password
    return chosen
