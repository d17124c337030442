"""Which addresses are called."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest

from gateway.delivery import guard
from gateway.errors import PartnerRejected, PartnerUnavailable

pytestmark = pytest.mark.anyio

PUBLIC = ["93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"]
PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::7f00:1",
    "fec0::1",
    "64:ff9b:1::7f00:1",
    "5f00::1",
    "4000::1",
]
METADATA = [
    *("169.254.169.254", "169.254.170.2", "169.254.0.23", "169.254.42.42", "100.100.100.200", "192.0.0.192"),
    *("fd00:ec2::254", "fd00:42::42", "fd00:ec2::254%1", "::ffff:169.254.169.254", "::ffff:169.254.169.254%1"),
    *("64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2001:db8:64::a9fe:a9fe", "::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    "2001:0:1:1:1:1:5601:5601",
]


def refusal(address: str, *allowed: str, encrypted: bool = True) -> str | None:
    return guard.refusal(ipaddress.ip_address(address), allowed=guard.networks(allowed), encrypted=encrypted)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_called_over_tls_only(address: str) -> None:
    assert refusal(address) is None
    assert "https" in (refusal(address, encrypted=False) or "")
    assert refusal(address, f"{address}", encrypted=False) is None, "unless they are named"


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_are_not(address: str) -> None:
    assert "allow_networks" in (refusal(address) or "")


@pytest.mark.parametrize("address", METADATA)
def test_cloud_credentials_are_never_asked_for(address: str) -> None:
    assert "never" in (refusal(address, "0.0.0.0/0", "::/0", address) or "")


def test_a_named_network_is_called_and_no_other() -> None:
    assert refusal("10.1.2.3", "10.1.0.0/16", encrypted=False) is None
    assert refusal("10.2.2.3", "10.1.0.0/16") is not None
    assert refusal("::ffff:10.1.2.3", "10.1.0.0/16") is None
    assert refusal("fc00::1", "10.1.0.0/16") is not None


async def test_a_name_is_resolved_to_the_address_that_is_checked() -> None:
    with pytest.raises(PartnerRejected, match="allow_networks"):
        await guard.resolve("localhost", 80, allowed=(), encrypted=True)
    allowed = guard.networks(["127.0.0.0/8"])
    found = await guard.resolve("localhost", 80, allowed=allowed, encrypted=False)
    assert [str(address) for address in found] == ["127.0.0.1"], "what is not allowed is left out"


async def test_of_the_addresses_of_a_name_those_that_are_refused_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lookup(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, port)) for address in ("10.0.0.1", PUBLIC[0], "169.254.169.254", PUBLIC[1])]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    found = await guard.resolve("mixed.example", 443, allowed=(), encrypted=True)
    assert [str(address) for address in found] == PUBLIC[:2]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
async def test_odd_spellings_of_loopback_are_loopback(host: str) -> None:
    with pytest.raises((PartnerRejected, PartnerUnavailable)):
        await guard.resolve(host, 80, allowed=(), encrypted=True)


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "169.254.43518", "fd00:ec2::254%1", "::a9fe:a9fe"])
async def test_odd_spellings_of_cloud_credentials_are_never_asked_for(host: str) -> None:
    with pytest.raises(PartnerRejected, match="never"):
        await guard.resolve(host, 80, allowed=guard.networks(["0.0.0.0/0", "::/0"]), encrypted=False)


async def test_a_name_without_an_address_is_unavailable() -> None:
    for host in ("no-such-host.invalid", "a" * 70 + ".invalid"):
        with pytest.raises(PartnerUnavailable):
            await guard.resolve(host, 443, allowed=(), encrypted=True)
