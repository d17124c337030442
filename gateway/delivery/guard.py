"""Where we may send: names are resolved once, checked, and the checked address is the one that is connected to.

Private, loopback and link-local ranges are refused unless the connector's `allow_networks` names them; the addresses
where clouds serve machine credentials are never allowed (OWASP, Server Side Request Forgery Prevention).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from gateway.errors import PartnerRejected, PartnerUnavailable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

CLOUD_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "169.254.0.23",
        "169.254.42.42",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:42::42",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
"""AWS, Azure, Google and others; AWS ECS and EKS; Tencent; Scaleway; Alibaba; Azure's wire server; Oracle's first
cloud; the IPv6 forms of Scaleway, AWS and Google."""

LOOKUP_TIMEOUT = 10.0
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""What IANA gives out of IPv6 for public hosts; site-local, IPv4-compatible and a site's own NAT64 lie outside."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """`allow_networks` of a connector, parsed."""
    return _networks(tuple(texts))


@lru_cache(maxsize=256)  # asked for with every delivery
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


async def resolve(host: str, port: int, *, allowed: Sequence[Network], encrypted: bool) -> list[Address]:
    """The addresses that may be connected to, in the order to try them.

    Raises PartnerUnavailable when the name has no address, PartnerRejected when all are refused.
    """
    addresses = await _lookup(host, port)
    refusals = {address: refusal(address, allowed=allowed, encrypted=encrypted) for address in addresses}
    permitted = [address for address, reason in refusals.items() if reason is None]
    if not permitted:
        raise PartnerRejected(next(reason for reason in refusals.values() if reason))
    return permitted


def refusal(address: Address, *, allowed: Sequence[Network], encrypted: bool) -> str | None:
    """Why an address is not called and what to configure, None when it may be. Unencrypted http is for networks that
    are named only."""
    inner = _inner(address)
    if inner in CLOUD_METADATA or _last(address) in CLOUD_METADATA:
        return "this address serves cloud credentials and is never called"
    if any(one in network for one in (address, inner) for network in allowed):
        return None
    if not _is_public(inner):
        return "this address is in a private range: name its network in the connector's allow_networks"
    return None if encrypted else "http without TLS is for networks in the connector's allow_networks only: use https"


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast and (address.version == 4 or address in _UNICAST)


async def _lookup(host: str, port: int) -> list[Address]:
    try:
        return [ipaddress.ip_address(host)]
    except ValueError:
        pass
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        message = "the name in the connector's endpoint has no address at present"
        raise PartnerUnavailable(message, reached=False) from None
    return [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for: mapped, 6to4, Teredo or NAT64; without its zone, which makes no
    other host of it."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return _last(address)
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    return inner or IPv6Address(int(address))


def _last(address: Address) -> IPv4Address:
    """The last 32 bits, where every prefix of 96 bits has the IPv4 address behind it (RFC 6052 §2.2): which ones a
    network translates by itself cannot be known."""
    return IPv4Address(int(address) & 0xFFFFFFFF)
