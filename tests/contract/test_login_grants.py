"""The grants without a browser, and SMART's discovery, against the stand-ins' OAuth server over real sockets."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.commands import connectors
from gateway.connectors.config import from_json
from gateway.delivery.http import Outbound
from gateway.delivery.login import OAuth2
from gateway.delivery.logins import Logins
from gateway.errors import PartnerLoginExpired, PartnerUnavailable
from gateway.fhir import json
from gateway.sandbox import serve
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.oauth import Client, OAuthServer
from gateway.store import Store

pytestmark = pytest.mark.anyio

SCOPES = frozenset({"system/Patient.read", "system/Patient.write"})


@dataclass
class Server:
    """A FHIR server that says where its tokens are."""

    oauth: OAuthServer
    sandbox: Sandbox
    url: str = ""


def server(client: Client) -> Server:
    oauth = OAuthServer([client], grants=("client_credentials",))

    async def smart(request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        return JSONResponse({"token_endpoint": f"{base}/token", "authorization_endpoint": f"{base}/authorize"})

    routes = [
        *oauth.routes(authorize="/authorize", token="/token"),
        Route("/fhir/.well-known/smart-configuration", smart),
    ]
    return Server(oauth, Sandbox(Starlette(routes=routes)))


def number(value: int, size: int | None = None) -> str:
    raw = value.to_bytes(size or (value.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def rsa_key() -> tuple[dict[str, str], dict[str, str]]:
    """A private JWK and its public half."""
    key = rsa.generate_private_key(65537, 2048).private_numbers()
    public = {"kty": "RSA", "kid": "k1", "n": number(key.public_numbers.n), "e": number(key.public_numbers.e)}
    private = {name: number(getattr(key, name)) for name in ("d", "p", "q")}
    more = {"dp": number(key.dmp1), "dq": number(key.dmq1), "qi": number(key.iqmp)}
    return public | private | more, public


def ec_key() -> tuple[dict[str, str], dict[str, str]]:
    key = ec.generate_private_key(ec.SECP384R1()).private_numbers()
    point = key.public_numbers
    public = {"kty": "EC", "crv": "P-384", "kid": "k2", "x": number(point.x, 48), "y": number(point.y, 48)}
    return public | {"d": number(key.private_value, 48)}, public


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "gateway.db", key=Fernet.generate_key())
    yield opened
    opened.close()


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    async with Outbound() as client:
        yield client


def login(store: Store, outbound: Outbound, url: str, **auth: Any) -> OAuth2:
    body = {
        "name": "there",
        "type": "FHIR",
        "endpoint": f"{url}/fhir",
        "auth": {"scheme": "OAuth2", "clientId": "us", **auth},
        "allow_networks": ["127.0.0.0/8"],
    }
    connectors.apply(store, json.encode(body))
    [row] = store.query_now(lambda reader: reader.connectors())
    logins = Logins(store, outbound, callback="https://gateway.test/oauth/callback", timeout=3.0)
    found = logins.find(from_json(json.decode(row.config)))
    assert found is not None
    return found


def bearer(headers: Any) -> str:
    return str(headers["authorization"]).removeprefix("Bearer ")


@pytest.mark.parametrize("place", ["header", "form"])
async def test_client_credentials(store: Store, outbound: Outbound, place: str) -> None:
    """Id and secret go where the server wants them, as they are."""
    shows: Any = {"header": "basic", "form": "post"}[place]
    there = server(Client("us", "se:cr+et/=", scopes=SCOPES, shows=shows))
    with serve.running(there.sandbox) as url:
        auth = {"clientSecret": "se:cr+et/=", "tokenUrl": f"{url}/token", "clientIn": place}
        token = bearer(await login(store, outbound, url, **auth, scope="system/Patient.read").headers())
    assert there.oauth.scopes_of(token) == {"system/Patient.read"}


async def test_a_wrong_secret_is_a_login_for_a_person_to_mend(store: Store, outbound: Outbound) -> None:
    there = server(Client("us", "right", scopes=SCOPES))
    with serve.running(there.sandbox) as url:
        wrong = login(store, outbound, url, clientSecret="wrong", tokenUrl=f"{url}/token")
        with pytest.raises(PartnerLoginExpired, match=r"401 \(invalid_client\)"):
            await wrong.headers()
        assert [row.state for row in store.query_now(lambda reader: reader.healths()).values()] == ["needs_reauth"]
        mended = login(store, outbound, url, clientSecret="right", tokenUrl=f"{url}/token")
        assert there.oauth.scopes_of(bearer(await mended.headers()))


@pytest.mark.parametrize("make_key", [rsa_key, ec_key], ids=["RS384", "ES384"])
async def test_backend_services_where_the_server_says_where(store: Store, outbound: Outbound, make_key: Any) -> None:
    private, public = make_key()
    there = server(Client("us", scopes=SCOPES, shows="private_key_jwt", key=public))
    with serve.running(there.sandbox) as url:
        key = json.encode(private).decode()
        found = login(store, outbound, url, grant="backend_services", privateKey=key, scope="system/Patient.read")
        first = bearer(await found.headers())
        assert there.oauth.scopes_of(first) == {"system/Patient.read"}
        there.oauth.expire()
        second = bearer(await found.renew({"authorization": f"Bearer {first}"}))
        assert second != first and there.oauth.scopes_of(second), "each assertion is a new one"
        asked = [one["path"] for one in there.sandbox.log]
    assert asked == ["/fhir/.well-known/smart-configuration", "/token", "/token"]


async def test_somebody_elses_key_is_refused(store: Store, outbound: Outbound) -> None:
    private, _ = ec_key()
    _, public = ec_key()
    there = server(Client("us", scopes=SCOPES, shows="private_key_jwt", key=public))
    with serve.running(there.sandbox) as url:
        key = json.encode(private).decode()
        found = login(store, outbound, url, grant="backend_services", privateKey=key)
        with pytest.raises(PartnerLoginExpired, match="invalid_client"):
            await found.headers()


UNUSABLE = [
    "no json",
    "[]",
    '{"kty":"oct","k":"x"}',
    '{"kty":"EC","crv":"P-256","d":"x"}',
    '{"kty":"EC","crv":"P-384","d":"x"}',
    '{"kty":"RSA","d":"x"}',
    '{"kty":"RSA","d":5,"n":6,"e":7}',
]


@pytest.mark.parametrize("key", UNUSABLE)
async def test_a_key_that_cannot_sign_is_said_before_anything_is_sent(
    store: Store, outbound: Outbound, key: str
) -> None:
    there = server(Client("us", scopes=SCOPES))
    with serve.running(there.sandbox) as url:
        found = login(store, outbound, url, grant="backend_services", privateKey=key, tokenUrl=f"{url}/token")
        with pytest.raises(PartnerLoginExpired, match=r"auth\.privateKey"):
            await found.headers()
    assert there.sandbox.log == []


async def test_a_server_that_says_nothing_of_its_tokens(store: Store, outbound: Outbound) -> None:
    silent = Sandbox(Starlette())
    with serve.running(silent) as url:
        found = login(store, outbound, url, clientSecret="x")
        with pytest.raises(PartnerUnavailable, match=r"set auth\.tokenUrl"):
            await found.headers()


async def test_tokens_that_do_not_end_are_kept_until_they_are_refused(store: Store, outbound: Outbound) -> None:
    async def token(_: Request) -> Response:
        return JSONResponse({"access_token": f"t{len(given.log)}", "token_type": "Bearer", "expires_in": None})

    given = Sandbox(Starlette(routes=[Route("/token", token, methods=["POST"])]))
    with serve.running(given) as url:
        found = login(store, outbound, url, clientSecret="x", tokenUrl=f"{url}/token")
        assert [bearer(await found.headers()) for _ in range(3)] == ["t1", "t1", "t1"]
        assert await found.refresh_ahead() is None
        assert bearer(await found.renew({"authorization": "Bearer t1"})) == "t2"


@pytest.mark.parametrize(
    "answer",
    [{"access_token": 5}, {"token_type": "bearer"}, {"access_token": "t", "token_type": "mac"}, [], "text"],
)
async def test_an_answer_that_is_no_token(store: Store, outbound: Outbound, answer: Any) -> None:
    async def token(_: Request) -> Response:
        return JSONResponse(answer)

    with serve.running(Sandbox(Starlette(routes=[Route("/token", token, methods=["POST"])]))) as url:
        found = login(store, outbound, url, clientSecret="x", tokenUrl=f"{url}/token")
        with pytest.raises(PartnerUnavailable, match="without a bearer token"):
            await found.headers()
