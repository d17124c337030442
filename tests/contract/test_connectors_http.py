"""The outbound client over real sockets: what is known of a call that has no answer, and what is never done."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.connectors import config_file
from gateway.connectors.call import Call, Reply
from gateway.delivery.guard import networks
from gateway.delivery.http import Outbound, Peer
from gateway.delivery.peers import Peers
from gateway.errors import PartnerRejected, PartnerUnavailable, PartnerUnknown, Unparsable

pytestmark = pytest.mark.anyio

LOOPBACK = networks(["127.0.0.0/8"])
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GET, POST = Call("GET", "/x"), Call("POST", "/x", {"a": 1})
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

Script = Callable[[socket.socket], None]


@contextmanager
def scripted(*scripts: Script) -> Iterator[tuple[int, list[bytes]]]:
    """A server that does exactly this, one script per connection; yields its port and what it was sent."""
    received: list[bytes] = []

    def serve() -> None:
        for script in scripts:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                received.append(connection.recv(65536))
                script(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], received
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def says(data: bytes) -> Script:
    return lambda connection: connection.sendall(data)


def status(code: int, headers: str = "", body: bytes = b"") -> Script:
    head = f"HTTP/1.1 {code} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{headers}\r\n"
    return says(head.encode() + body)


def to(port: int, **more: object) -> Peer:
    return Peer("partner", f"http://127.0.0.1:{port}/base", networks=LOOPBACK, timeout=2.0, **more)  # type: ignore[arg-type]


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound(clock=lambda: NOW) as client:
        yield client


async def test_a_call_as_it_is_sent(outbound: Outbound) -> None:
    call = Call("POST", "/patients/a%2Fb", {"n": 1}, {"Prefer": "return=representation"}, (("q", "a|b"),))
    with scripted(says(OK)) as (port, received):
        reply = await outbound.send(call, to(port, headers={"X-API-Key": "secret"}))
    assert (reply.status, reply.json) == (200, {})
    head, _, body = received[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "post /base/patients/a%2fb?q=a%7cb http/1.1"
    assert f"host: 127.0.0.1:{port}" in lines
    assert "x-api-key: secret" in lines and "prefer: return=representation" in lines
    assert "content-type: application/json" in lines
    assert body == b'{"n":1}'


async def test_an_address_that_is_signed_as_it_stands_is_called_so(outbound: Outbound) -> None:
    """`%2F` and `/` in a query are two addresses (RFC 3986 §2.2); what no address may hold is encoded."""
    path = "/f%3A1/a%40b?X-Amz-Credential=K%2F2026%2Fs3&X-Amz-Security-Token=a%2Bb%3D%3D&x=%7E&y=a+b%25&z="
    with scripted(says(OK)) as (port, received):
        await outbound.send(Call("GET", f"http://127.0.0.1:{port}{path}{{|é}}", auth=False), to(port))
    assert received[0].partition(b"\r\n")[0].decode() == f"GET {path}%7B%7C%C3%A9%7D HTTP/1.1"


async def test_the_name_is_resolved_once_and_stays_in_the_host_header(outbound: Outbound) -> None:
    with scripted(says(OK)) as (port, received):
        named = Peer("partner", f"http://localhost:{port}", networks=LOOPBACK, timeout=2.0)
        assert (await outbound.send(GET, named)).status == 200
    assert f"host: localhost:{port}".encode() in received[0].lower()


async def test_a_name_that_means_another_address_a_moment_later_is_called_at_the_checked_one(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: the name is harmless when it is checked, and is asked for no second time."""
    asked: list[str] = []

    async def lookup(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.255.255.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    with scripted(says(OK)) as (port, received):
        named = Peer("partner", f"http://rebound.example:{port}", networks=LOOPBACK, timeout=2.0)
        assert (await outbound.send(GET, named)).status == 200
    assert asked == ["rebound.example"] and len(received) == 1


async def test_what_one_address_was_sent_the_next_one_is_not(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have taken effect there; who cannot be connected to at all is left for the next address."""
    addresses = ["127.0.0.1", "127.0.0.2"]

    async def lookup(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lookup)
    with scripted(lambda _: None) as (port, received), socket.create_server(("127.0.0.2", port)) as second:
        second.setblocking(False)
        named = Peer("partner", f"http://twice.example:{port}", networks=LOOPBACK, timeout=2.0)
        with pytest.raises(PartnerUnknown):
            await outbound.send(POST, named)
        with pytest.raises(BlockingIOError):
            second.accept()
    assert len(received) == 1
    addresses.reverse()
    with scripted(says(OK)) as (port, _):
        named = Peer("partner", f"http://twice.example:{port}", networks=LOOPBACK, timeout=2.0)
        assert (await outbound.send(POST, named)).status == 200


async def test_nobody_listens(outbound: Outbound) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(PartnerUnavailable, match="cannot be reached"):
        await outbound.send(POST, to(port))


@pytest.mark.parametrize(
    "script",
    [
        lambda connection: None,
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\n"),
        says(b"220 smtp.example ready\r\n"),
        says(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"),
        says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
    ],
    ids=["closed", "body cut", "head cut", "not HTTP", "not gzip", "bad chunk"],
)
async def test_a_broken_answer_is_unknown_when_it_wrote_and_harmless_when_it_read(
    outbound: Outbound, script: Script
) -> None:
    with scripted(script, script) as (port, _), pytest.raises(PartnerUnknown):
        await outbound.send(POST, to(port))
    with scripted(script, script, script) as (port, _), pytest.raises(PartnerUnavailable):
        await outbound.send(GET, to(port))


async def test_an_answer_that_trickles_in_for_ever_is_cut(outbound: Outbound) -> None:
    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(20):
            try:
                connection.sendall(b" ")
            except OSError:
                return
            threading.Event().wait(0.05)

    with scripted(trickle) as (port, _), pytest.raises(PartnerUnknown, match="in time"):
        await outbound.send(POST, Peer("partner", f"http://127.0.0.1:{port}", networks=LOOPBACK, timeout=0.3))


async def test_interim_answers_without_end_are_not_piled_up(outbound: Outbound) -> None:
    """RFC 9110 §15.2 allows any number of them before the answer."""
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    with scripted(says(3 * interim + OK)) as (port, _):
        assert (await outbound.send(POST, to(port))).status == 200
    with scripted(says(40_000 * interim + OK)) as (port, _), pytest.raises(PartnerUnknown, match="broke"):
        await outbound.send(POST, to(port))


@pytest.mark.parametrize(("code", "header", "seconds"), [(429, "7", 7.0), (503, "", None), (503, "soon", None)])
async def test_asked_to_wait(outbound: Outbound, code: int, header: str, seconds: float | None) -> None:
    asked = f"retry-after: {header}\r\n" if header else ""
    with scripted(status(code, asked)) as (port, _), pytest.raises(PartnerUnavailable) as waiting:
        await outbound.send(POST, to(port))
    assert waiting.value.retry_after == seconds


@pytest.mark.parametrize("code", [500, 502, 504])
async def test_their_failure_leaves_a_write_unknown(outbound: Outbound, code: int) -> None:
    with scripted(status(code)) as (port, _), pytest.raises(PartnerUnknown):
        await outbound.send(POST, to(port))
    with scripted(status(code)) as (port, _), pytest.raises(PartnerUnavailable):
        await outbound.send(GET, to(port))


@pytest.mark.parametrize("code", [200, 201, 304, 400, 404, 409, 412, 422])
async def test_every_other_answer_is_the_connectors(outbound: Outbound, code: int) -> None:
    with scripted(status(code)) as (port, _):
        assert (await outbound.send(POST, to(port))).status == code


async def test_a_redirect_is_not_followed(outbound: Outbound) -> None:
    with scripted(status(307, "location: http://169.254.169.254/latest\r\n"), says(OK)) as (port, received):
        assert (await outbound.send(POST, to(port))).status == 307
    assert len(received) == 1


@pytest.mark.parametrize("path", ["http://[::1/x", "https://a.example:port/x", ":port/x"])
async def test_what_is_no_address_is_refused(outbound: Outbound, path: str) -> None:
    """What a system names as its next page may be anything."""
    with pytest.raises(PartnerRejected, match="address"):
        await outbound.run(one(Call("GET", path)), Peer("partner", "https://a.example"))


async def test_cookies_are_not_kept(outbound: Outbound) -> None:
    with scripted(status(200, "set-cookie: session=1; Path=/\r\n"), says(OK)) as (port, received):
        await outbound.send(GET, to(port))
        await outbound.send(GET, to(port))
    assert b"cookie" not in received[1].lower()


async def test_an_answer_may_not_be_larger_than_we_read(outbound: Outbound) -> None:
    bomb = gzip.compress(b" " * 3_000_000)
    packed = status(200, "content-encoding: gzip\r\n", bomb)
    for script in (status(200, body=b" " * 3_000_000), packed):
        with scripted(script) as (port, _), pytest.raises(PartnerUnavailable, match="more than we read"):
            await outbound.send(GET, to(port, largest_answer=1_000_000))
    with scripted(packed) as (port, _):
        assert len((await outbound.send(GET, to(port))).body) == 3_000_000


@pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate, gzip", "br", "zstd", "x-none"])
async def test_an_answer_in_an_encoding_that_was_not_asked_for_is_not_unpacked(
    outbound: Outbound, encoding: str
) -> None:
    """Packed twice, a few kilobytes become gigabytes at once, whatever the limit of an answer is."""
    body = gzip.compress(gzip.compress(b"{}" * 100))
    script = status(200, f"content-encoding: {encoding}\r\n", body)
    with scripted(script) as (port, _), pytest.raises(PartnerUnavailable, match="encoding"):
        await outbound.send(GET, to(port))


async def test_private_addresses_are_not_called(outbound: Outbound) -> None:
    with scripted(says(OK)) as (port, received):
        for endpoint in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", f"http://[::ffff:127.0.0.1]:{port}"):
            with pytest.raises(PartnerRejected, match="allow_networks"):
                await outbound.send(GET, Peer("partner", endpoint))
    assert received == []


async def test_a_certificate_nobody_vouches_for_is_not_trusted(outbound: Outbound, tmp_path: Path) -> None:
    with tls_server(tmp_path) as (port, received), pytest.raises(PartnerUnavailable, match="cannot be reached"):
        await outbound.send(POST, Peer("partner", f"https://127.0.0.1:{port}", networks=LOOPBACK, timeout=2.0))
    assert received == [], "nothing was sent"


async def test_a_certificate_is_asked_for_by_name_though_an_address_is_connected_to(
    outbound: Outbound, tmp_path: Path
) -> None:
    """By that name it is checked (RFC 6066 §3, RFC 9110 §4.3.4); by the address every certificate would be wrong."""
    asked: list[str | None] = []
    with tls_server(tmp_path, asked) as (port, _), pytest.raises(PartnerUnavailable):
        await outbound.send(POST, Peer("partner", f"https://localhost:{port}", networks=LOOPBACK, timeout=2.0))
    assert asked == ["localhost"]


async def test_a_generator_is_driven_and_closed(outbound: Outbound) -> None:
    closed = []

    def calls() -> Generator[Call, Reply, int]:
        try:
            first = yield GET
            second = yield POST
            return first.status + second.status
        finally:
            closed.append(True)

    with scripted(status(200), status(404)) as (port, _):
        assert await outbound.run(calls(), to(port)) == 604
    with scripted(status(503)) as (port, _), pytest.raises(PartnerUnavailable):
        await outbound.run(calls(), to(port))
    assert closed == [True, True]


async def test_all_calls_of_a_generator_share_one_timeout(outbound: Outbound) -> None:
    def late(connection: socket.socket) -> None:
        threading.Event().wait(0.3)
        status(200)(connection)

    def calls() -> Generator[Call, Reply, None]:
        while True:
            yield GET

    began = asyncio.get_running_loop().time()
    with scripted(late, late, late, late) as (port, _), pytest.raises(PartnerUnavailable):
        slow = Peer("partner", f"http://127.0.0.1:{port}", networks=LOOPBACK, timeout=0.5)
        await outbound.run(calls(), slow)
    assert 0.4 < asyncio.get_running_loop().time() - began < 1.5


async def test_what_is_only_asked_has_a_timeout_for_each_call(outbound: Outbound) -> None:
    """A webhook may name hundreds of documents."""

    def late(connection: socket.socket) -> None:
        threading.Event().wait(0.2)
        status(200)(connection)

    def calls() -> Generator[Call, Reply, int]:
        total = 0
        for _ in range(4):
            reply = yield GET
            total += reply.status
        return total

    with scripted(late, late, late, late) as (port, _):
        slow = Peer("partner", f"http://127.0.0.1:{port}", networks=LOOPBACK, timeout=0.5)
        assert await outbound.ask(calls(), slow) == 800


async def test_what_fails_after_an_accepted_write_is_unknown(outbound: Outbound) -> None:
    def calls(first: Call) -> Generator[Call, Reply, Reply]:
        yield first
        return (yield GET)

    with scripted(status(201), status(503)) as (port, _), pytest.raises(PartnerUnknown):
        await outbound.run(calls(POST), to(port))
    with scripted(status(409), status(503)) as (port, _), pytest.raises(PartnerUnavailable):
        await outbound.run(calls(POST), to(port))


async def test_what_a_generator_raises_comes_out(outbound: Outbound) -> None:
    def calls() -> Generator[Call, Reply, object]:
        reply = yield GET
        return reply.json

    with scripted(status(200, body=b"<html>")) as (port, _), pytest.raises(Unparsable):
        await outbound.run(calls(), to(port))


async def test_no_secret_and_no_payload_in_any_message(outbound: Outbound) -> None:
    secret = Call("POST", "/patients/Jane-Doe", {"name": "Jane Doe"})
    reached = to(1, headers={"X-API-Key": "the-secret"})
    assert "the-secret" not in repr(reached)
    messages = []
    for script in (status(500, body=b"Jane Doe"), status(503, body=b"Jane Doe"), says(b"Jane Doe\r\n")):
        with scripted(script) as (port, _), pytest.raises((PartnerUnknown, PartnerUnavailable)) as failed:
            await outbound.send(secret, to(port, headers={"X-API-Key": "the-secret"}))
        messages.append(str(failed.value))
        assert failed.value.__context__ is None or failed.value.__suppress_context__, "a traceback shows no cause"
    assert all("Jane" not in message and "the-secret" not in message for message in messages)


async def test_the_peer_of_a_connector() -> None:
    body = {"name": "a", "profile": "canvas", "endpoint": "https://x.example", "allow_networks": ["10.0.0.0/8"]}
    [(parsed, secrets)] = config_file.parse({**body, "auth": {"scheme": "apiKey", "header": "X-Key", "key": "k"}})

    async def kept(_: str) -> dict[str, str]:
        return secrets

    made = await Peers(kept, timeout=3.0).get(parsed)
    assert (made.name, made.endpoint, made.timeout) == ("a", "https://x.example", 3.0)
    assert made.headers == {"X-Key": "k"}
    assert made.networks == networks(["10.0.0.0/8"])
    [(intake, _)] = config_file.parse({"name": "b", "profile": "intake"})
    with pytest.raises(PartnerRejected, match="no endpoint"):
        await Peers(kept).get(intake)


async def test_credentials_go_to_the_endpoints_own_origin_only(outbound: Outbound) -> None:
    own, elsewhere = (status(200), status(200))
    with scripted(own) as (port, received), scripted(elsewhere) as (other, received_there):
        peer = to(port, headers={"X-API-Key": "the-secret"})
        await outbound.send(Call("GET", f"{peer.endpoint}/files/1"), peer)
        await outbound.send(Call("GET", f"http://127.0.0.1:{other}/files/1"), peer)
    assert b"the-secret" in received[0]
    assert b"the-secret" not in received_there[0]


@pytest.mark.parametrize(
    "path", ["http://a.example:8443/x", "https://b.example:8443/x", "https://a.example/x", "@b.example/x"]
)
def test_another_origin_is_not_the_endpoints_own(path: str) -> None:
    """RFC 6454 §4: scheme, host and port."""
    assert Peer("partner", "https://a.example:8443").is_own("/x")
    assert not Peer("partner", "https://a.example:8443").is_own(path)


async def test_what_turns_our_endpoint_into_a_user_of_another_host_gets_no_credentials(outbound: Outbound) -> None:
    with scripted(status(200)) as (there, received):
        peer = Peer("partner", "http://127.0.0.1:9", {"X-API-Key": "the-secret"}, LOOPBACK, 2.0)
        await outbound.send(Call("GET", f"@127.0.0.1:{there}/Patient?page=2"), peer)
    assert b"the-secret" not in received[0]


async def test_a_form_and_bytes_are_sent_as_they_are(outbound: Outbound) -> None:
    with scripted(status(200), status(200)) as (port, received):
        await outbound.send(Call("POST", "/token", form=(("grant_type", "refresh_token"), ("q", "a b&c"))), to(port))
        await outbound.send(Call("PUT", "/file", content=b"\x00\xff", headers={"content-type": "text/csv"}), to(port))
    assert b"application/x-www-form-urlencoded" in received[0] and received[0].endswith(
        b"grant_type=refresh_token&q=a+b%26c"
    )
    assert b"text/csv" in received[1] and received[1].endswith(b"\x00\xff")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_what_has_no_body_has_no_media_type(outbound: Outbound, method: str) -> None:
    """RFC 9110 §8.3: a strict server answers 415 to a type that it does not know, though nothing is sent."""
    with scripted(status(200)) as (port, received):
        await outbound.send(Call(method, "/sso/mona"), to(port))
    assert b"content-type" not in received[0].lower()
    assert received[0].endswith(b"\r\n\r\n")


def one(call: Call) -> Generator[Call, Reply, Reply]:
    return (yield call)


@contextmanager
def tls_server(folder: Path, asked: list[str | None] | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Over TLS with a certificate of its own making; `asked`: gets the names that are asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _, name, __: asked.append(name) if asked is not None else None
    context.load_cert_chain(self_signed(folder))
    received: list[bytes] = []

    def serve() -> None:
        try:
            connection, _ = listener.accept()
            with connection, context.wrap_socket(connection, server_side=True) as secured:
                received.append(secured.recv(65536))
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1], received
    thread.join(5)


def self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(datetime(2020, 1, 1)).not_valid_after(datetime(2100, 1, 1))
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(pem + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path
