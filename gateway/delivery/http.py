"""The only way out: one HTTP client per process, which drives the connectors' calls.

TLS is always verified, redirects are not followed, answers are bounded in size and time, cookies are not kept, and
every address is checked first (`guard`). Nothing of a payload or a credential is in messages or logs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import httpx

from gateway.connectors.call import Call, Reply
from gateway.connectors.config import API_KEY, Config
from gateway.delivery import guard, transport
from gateway.delivery.guard import Address, Network
from gateway.delivery.retry import parse_retry_after
from gateway.errors import PartnerError, PartnerRejected, PartnerUnavailable, PartnerUnknown
from gateway.fhir import json

T = TypeVar("T")

CONNECT_TIMEOUT = 10.0
LARGEST_ANSWER = 50_000_000
_WAIT = (429, 503)


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a connector's calls go. `headers` are the credentials; they are kept out of repr and so out of logs."""

    name: str
    endpoint: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    networks: tuple[Network, ...] = ()
    timeout: float = 30.0
    largest_answer: int = LARGEST_ANSWER


def peer(config: Config, secrets: Mapping[str, str], *, timeout: float = 30.0) -> Peer:
    """The peer of a connector's configuration and secrets. Raises PartnerRejected when it has no endpoint."""
    if config.endpoint is None:
        raise PartnerRejected(f"the connector {config.name} has no endpoint to call")
    headers = {config.auth.header: secrets[API_KEY]} if config.auth.scheme == "apiKey" else {}
    return Peer(config.name, config.endpoint, headers, guard.networks(config.allow_networks), timeout)


class Outbound:
    """The shared client; open once per process (`async with Outbound() as outbound`)."""

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Outbound:
        self._client = httpx.AsyncClient(
            transport=transport.create(),
            follow_redirects=False,
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def run(self, calls: Generator[Call, Reply, T], peer: Peer) -> T:
        """Feed a connector's generator with replies until it returns; all its calls share the peer's timeout, so that
        nothing is sent later than that.

        Raises what it raises, and PartnerUnavailable (nothing was done there) or PartnerUnknown (perhaps).
        """
        deadline = asyncio.get_running_loop().time() + peer.timeout
        written = False
        try:
            call = next(calls)
            while True:
                reply = await self._send(call, peer, deadline)
                written = written or (reply.ok and not call.safe)
                call = calls.send(reply)
        except StopIteration as finished:
            result: T = finished.value
            return result
        except PartnerUnavailable as error:
            if written:
                raise PartnerUnknown(f"{error.message}, after a first call had been accepted") from None
            raise
        finally:
            calls.close()

    async def send(self, call: Call, peer: Peer) -> Reply:
        """One call. 429, 5xx and everything that is no answer are raised; all other answers are the connector's."""
        return await self._send(call, peer, asyncio.get_running_loop().time() + peer.timeout)

    async def _send(self, call: Call, peer: Peer, deadline: float) -> Reply:
        url = httpx.URL(peer.endpoint + call.path)
        encrypted = url.scheme == "https"
        addresses = await guard.resolve(url.host, url.port or 443, allowed=peer.networks, encrypted=encrypted)
        if asyncio.get_running_loop().time() >= deadline:
            raise PartnerUnavailable(f"{peer.name} was too slow for another call")
        try:
            async with asyncio.timeout_at(deadline):
                reply = await self._first_answer(call, peer, url, addresses)
        except TimeoutError:
            raise _lost(call, peer, "did not answer in time") from None
        except transport.ERRORS as error:
            if transport.never_sent(error):
                raise PartnerUnavailable(f"{peer.name} cannot be reached") from None
            raise _lost(call, peer, "broke the connection") from None
        return self._judged(call, peer, reply)

    async def _first_answer(self, call: Call, peer: Peer, url: httpx.URL, addresses: list[Address]) -> Reply:
        """From the first address that takes the connection: what was sent to one is never sent to the next."""
        for address in addresses[:-1]:
            try:
                return await self._exchange(call, peer, url, address)
            except transport.ERRORS as error:
                if not transport.never_sent(error):
                    raise
        return await self._exchange(call, peer, url, addresses[-1])

    async def _exchange(self, call: Call, peer: Peer, url: httpx.URL, address: Address) -> Reply:
        if self._client is None:
            raise RuntimeError("Outbound is used outside its 'async with'")
        async with self._client.stream(**_request(call, peer, url, address)) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > peer.largest_answer:
                    raise _lost(call, peer, "answered with more than we read")
            return Reply(
                response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(body)
            )

    def _judged(self, call: Call, peer: Peer, reply: Reply) -> Reply:
        if reply.status in _WAIT:
            seconds = parse_retry_after(reply.headers.get("retry-after"), self._clock())
            raise PartnerUnavailable(f"{peer.name} asked us to wait ({reply.status})", retry_after=seconds)
        if reply.status >= 500:
            raise _lost(call, peer, f"failed with status {reply.status}")
        return reply


def _request(call: Call, peer: Peer, url: httpx.URL, address: Address) -> dict[str, Any]:
    """The checked address in the URL; the name stays in Host and in the TLS handshake."""
    body = b"" if call.json is None else json.encode(call.json)
    headers = {"accept": "application/json", "host": url.netloc.decode("ascii"), "user-agent": "fhir-gateway"}
    if call.json is not None:
        headers["content-type"] = "application/json"
    return {
        "method": call.method,
        "url": url.copy_with(host=str(address)),
        "params": call.params or None,
        "headers": headers | {name.lower(): value for name, value in {**call.headers, **peer.headers}.items()},
        "content": body,
        "timeout": httpx.Timeout(peer.timeout, connect=min(CONNECT_TIMEOUT, peer.timeout)),
        "extensions": {} if url.host == str(address) else {"sni_hostname": url.host},
    }


def _lost(call: Call, peer: Peer, what: str) -> PartnerError:
    """A call without a usable answer: harmless when it only read, of unknown outcome when it wrote."""
    message = f"{peer.name} {what}"
    return PartnerUnavailable(message) if call.safe else PartnerUnknown(message)
