"""Logs: one JSON line per event that never holds what was being processed."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import structlog
import uvloop

from gateway import telemetry
from gateway.fhir import json


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    telemetry.configure("INFO", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict]:
    return [json.decode(line) for line in log.getvalue().splitlines()]


def test_an_event_is_one_line_with_level_time_and_place(log: io.StringIO) -> None:
    telemetry.logger("gateway.delivery").info("delivered", connector="canvas", attempt=2)
    (line,) = lines(log)
    assert (line["event"], line["level"], line["logger"]) == ("delivered", "info", "gateway.delivery")
    assert (line["connector"], line["attempt"]) == ("canvas", 2)
    assert line["timestamp"].endswith("Z")


def test_below_the_level_nothing_is_written(log: io.StringIO) -> None:
    telemetry.logger("gateway").debug("detail")
    logging.getLogger("some.library").info("chatter")
    assert log.getvalue() == ""


def test_a_resource_given_by_mistake_shows_as_its_type(log: io.StringIO) -> None:
    telemetry.logger("gateway").info("oops", resource={"family": "Secretname"}, body=b"Secretname")
    assert lines(log)[0]["resource"] == "<dict>"
    assert "Secretname" not in log.getvalue()


def test_an_exception_shows_its_type_and_place_but_not_its_message(log: io.StringIO) -> None:
    try:
        raise ValueError("Secretname is no date")
    except ValueError:
        telemetry.logger("gateway").exception("failed")
        logging.getLogger("some.library").exception("failed there")
    ours, theirs = lines(log)
    assert ours["error"] == theirs["error"] == "ValueError"
    assert "test_telemetry.py" in ours["where"]
    assert "Secretname" not in log.getvalue()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_nobody_caught_shows_neither_its_message_nor_its_arguments(
    log: io.StringIO, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def fails() -> None:
        raise ValueError("Secretname is no date")

    def refuses(_: str) -> None:
        raise KeyError

    async def run() -> None:
        task = asyncio.create_task(fails())
        asyncio.get_running_loop().call_soon(refuses, "Secretname")
        asyncio.get_running_loop().call_soon(partial(refuses, "Secretname"))
        await asyncio.sleep(0.01)
        assert task.done()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())
    gc.collect()
    told = {(line["event"].split(" ")[0], line["error"]) for line in lines(log)}
    assert told == {("Task", "ValueError"), ("Exception", "KeyError")} and len(lines(log)) == 3
    assert "Secretname" not in log.getvalue()
