"""Logs: JSON lines on standard error, one per event, never with payload text, secrets or exception messages."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import Processor

_LONGEST = 300
_SCALARS = (bool, int, float, type(None))
_FRAMES = 8
_QUOTE = re.compile(r"\n|<|\((?!\))")


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Everything that logs in this process, libraries included, goes through here; `stream` defaults to stderr."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                ProcessorFormatter.remove_processors_meta,
                *(_where, _unquoted, _plain),
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("gateway", "uvicorn.error"):
        logging.getLogger(name).setLevel(level.upper())


def logger(name: str) -> BoundLogger:
    """`name` = the module that logs, `gateway.delivery`."""
    bound: BoundLogger = structlog.get_logger(name)
    return bound


def _where(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception as its type and its frames: its message may quote what was being read or written."""
    error = _exception(event.pop("exc_info", None))
    if error is not None:
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        event["error"] = type(error).__name__
        event["where"] = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return event


def _unquoted(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What asyncio says of an error that nobody caught goes on with the task, its message and the arguments."""
    if event.get("logger") == "asyncio":
        event["event"] = _QUOTE.split(str(event["event"]), maxsplit=1)[0].strip()
    return event


def _exception(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    found = exc_info if isinstance(exc_info, tuple) else sys.exc_info() if exc_info else (None, None, None)
    return found[1] if isinstance(found[1], BaseException) else None


def _plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Only scalars and short text are written: a resource or a body given by mistake shows as its type."""
    return {key: value if isinstance(value, _SCALARS) else _text(key, value) for key, value in event.items()}


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        return f"<{type(value).__name__}>"
    return value if len(value) <= _LONGEST or key == "where" else f"{value[:_LONGEST]}..."
