"""aiohttp beneath httpx: how the client is made, and which of its errors mean that nothing was sent."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import quote

import aiohttp
import httpx
from aiohttp.client_proto import ResponseHandler
from httpx_aiohttp import AiohttpTransport
from yarl import URL

ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError)

_CONNECTIONS = 100
_KEEPALIVE = 4.0
"""Seconds; less than the 5 that many servers keep a connection, so that a write does not meet one being closed."""
_LEGAL = "%:/?#[]@!$&'()*+,;=~"
_UNREAD = 16
"""Heads of answers that may wait to be looked at; one is asked for, and few come before it (RFC 9110 §15.2)."""
_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.LocalProtocolError,
)


def create() -> httpx.AsyncBaseTransport:
    """A transport without cookies; TLS verified against the system's and certifi's authorities.

    aiohttp's own session is made at the first request, inside the running loop.
    """
    context = httpx.create_ssl_context(verify=True, trust_env=False)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(ssl=context, limit=_CONNECTIONS, keepalive_timeout=_KEEPALIVE)
        handler: type[ResponseHandler] = _Handler
        connector._factory = partial(handler, asyncio.get_running_loop())
        # What has no body has no media type: aiohttp would call it application/octet-stream (RFC 9110 §8.3).
        unsaid = ("Content-Type",)
        made = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=unsaid)
        made._build_url = _as_written  # type: ignore[method-assign,assignment]
        return made

    transport: httpx.AsyncBaseTransport = AiohttpTransport(verify=context, client=session)
    return transport


def _as_written(url: str) -> URL:
    """Only what no address may hold is encoded; aiohttp would decode `%2F` and `%3A` in a query, which makes another
    address (RFC 3986 §2.2) and breaks one that is signed as it stands."""
    return URL(quote(url, safe=_LEGAL), encoded=True)


class _Handler(ResponseHandler):
    """aiohttp keeps every interim answer (100 Continue) until it is looked at: of a flood, gigabytes in seconds."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if len(self) > _UNREAD:
            self.abort()


def never_sent(error: Exception) -> bool:
    """Whether no byte of the request left: no connection, a TLS handshake refused, an address we cannot use.

    Decided by aiohttp's own error: the transport reports a connection that broke *after* sending as a failed connect.
    """
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    return isinstance(cause, _BEFORE_SENDING)
