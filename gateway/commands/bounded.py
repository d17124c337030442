"""The head of a request within limits: uvicorn takes headers without end from anybody, and waits for them without end.

What comes after the head is bounded where it is read (`routes.http.read_body`), once it is known who sends it.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 65_536
HEAD_SECONDS = 20.0
"""From the connection, or the first byte of the next request, to the end of its head."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `_ended` counts the heads that came to their end; `_size` is what came of the one now open."""

    _timer: asyncio.TimerHandle | None = None
    _ended = _size = 0
    _open = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        ended = self._ended
        super().data_received(data)
        self._size = self._size + len(data) if self._open and ended == self._ended else 0
        if self._size > LARGEST_HEAD:
            self.send_400_response("The head of the request is too large.")
        elif self._open and self._timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        self._open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._open = False
        self._ended += 1
        self._await_nothing()
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _await_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
