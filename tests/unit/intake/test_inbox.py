"""The inbox: order, tries, and what becomes of messages that cannot be worked on."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from gateway.errors import HeldBack, InvalidInput, PartnerUnavailable, StoreBusy
from gateway.flow import Flow, Received
from gateway.intake.inbox import Inbox
from gateway.store import MessageRow

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 1, tzinfo=UTC)


class Log:
    """The flow as far as an inbox knows it: it marks messages, and has those of an earlier run."""

    def __init__(self, stored: int = 0) -> None:
        self.finished: dict[str, tuple[str, str | None]] = {}
        self.store = self
        self._stored = [f"{number:06}" for number in range(stored)]

    async def finish(self, received: Received, state: str, error: str | None = None) -> None:
        self.finished[received.message_id] = (state, error)

    async def query_aside(self, ask: Any) -> Any:
        return ask(self)

    def messages(self, state: str, connector: str | None, *, limit: int, after: str) -> list[MessageRow]:
        assert state == "received"
        kinds = ("webhook", "fhir-bundle")
        rows = [
            MessageRow(name, "a", None, kinds[int(name) % 2], "", NOW, None, state, b"")
            for name in self._stored
            if name > after
        ]
        return rows[:limit]


def message(name: str, connector: str = "a") -> Received:
    return Received(connector, None, "webhook", "", b"", message_id=name)


class Work:
    """What is done with messages: `fails` says how often each fails and how."""

    def __init__(self, **fails: list[Exception]) -> None:
        self.fails = defaultdict(list, fails)
        self.done: list[str] = []
        self.tried: list[str] = []

    async def __call__(self, received: Received) -> None:
        self.tried.append(received.message_id)
        await asyncio.sleep(0)
        if self.fails[received.message_id]:
            raise self.fails[received.message_id].pop(0)
        self.done.append(received.message_id)


async def worked_off(log: Log, work: Work, *messages: Received, waits: tuple[float, ...] = (0.0, 0.02, 0.02)) -> None:
    inbox = Inbox(cast(Flow, log), work, waits=waits)
    for one in messages:
        inbox.put(one)
    await asyncio.sleep(0.15)
    await inbox.stop()


async def test_messages_of_one_system_are_worked_off_in_order() -> None:
    work = Work()
    await worked_off(Log(), work, *[message(str(n)) for n in range(20)])
    assert work.done == [str(n) for n in range(20)]


async def test_one_that_has_to_wait_holds_up_nobody() -> None:
    work = Work(first=[PartnerUnavailable("down")])
    await worked_off(Log(), work, message("first"), message("second"), message("other", "b"))
    assert work.done[-1] == "first" and set(work.done) == {"first", "second", "other"}


async def test_it_is_tried_as_often_as_the_schedule_says() -> None:
    log, work = Log(), Work(first=[PartnerUnavailable("down")] * 9)
    await worked_off(log, work, message("first"))
    assert work.tried == ["first"] * 3
    assert log.finished["first"][0] == "failed"


async def test_while_they_are_left_alone_no_try_is_used_up_and_what_they_ask_for_is_kept_to() -> None:
    log, work = (
        Log(),
        Work(first=[HeldBack("not now", retry_after=0.01)] * 9, asked=[PartnerUnavailable("429", retry_after=9)]),
    )
    await worked_off(log, work, message("first"), message("asked"), waits=(0.0, 0.0, 0.0))
    assert work.done == ["first"] and work.tried.count("first") == 10 and work.tried.count("asked") == 1


async def test_what_trying_again_does_not_help_is_tried_once() -> None:
    log, work = Log(), Work(bad=[InvalidInput("no")], broken=[ZeroDivisionError("secret")])
    await worked_off(log, work, message("bad"), message("broken"), message("good"))
    assert work.tried == ["bad", "broken", "good"] and work.done == ["good"]
    assert log.finished == {"broken": ("failed", "ZeroDivisionError")}, "what was refused was marked where it was"


async def test_a_mark_that_cannot_be_made_stops_nothing_and_is_made_later() -> None:
    class Broken(Log):
        away = True

        async def finish(self, received: Received, state: str, error: str | None = None) -> None:
            if self.away:
                raise StoreBusy("the database is away")
            await super().finish(received, state, error)

    log, work = Broken(stored=1), Work(**{"000000": [ZeroDivisionError(), ZeroDivisionError()]})
    inbox = Inbox(cast(Flow, log), work, waits=(0.0,))
    inbox.put(message("000000"))
    inbox.put(message("good"))
    await asyncio.sleep(0.05)
    assert work.done == ["good"] and not log.finished
    log.away = False
    assert await inbox.recover() == 1, "as a look for what is left does from time to time"
    await asyncio.sleep(0.05)
    await inbox.stop()
    assert log.finished == {"000000": ("failed", "ZeroDivisionError")}


async def test_what_an_earlier_run_left_is_found_page_by_page() -> None:
    work = Work()
    inbox = Inbox(cast(Flow, Log(stored=1_201)), work, waits=(0.0,))
    assert await inbox.recover() == 601
    await asyncio.sleep(0.2)
    await inbox.stop()
    assert len(work.done) == 601 and work.done == sorted(work.done)
