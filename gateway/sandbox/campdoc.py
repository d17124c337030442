"""CampDoc (DocNetwork API v2) in memory: OAuth, scopes per table, rate limit, soft deletes, `?identifier=true`.

`/_profiles` and `/_edit/{id}` are for whoever plays the camp's user, `/_oauth` and `/_limit` turn its knobs.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from gateway.errors import Unparsable
from gateway.fhir import json
from gateway.sandbox import campdoc_tags
from gateway.sandbox.campdoc_camp import (
    ORGANIZATION,
    PROFILES,
    Camp,
    CampError,
    Row,
    check_invite,
    invalid,
    seeded,
    shown,
    truncated,
    zoneless,
)
from gateway.sandbox.faults import Sandbox
from gateway.sandbox.oauth import Client, Knobs, OAuthServer

PREFIX = "/public/v2"
CLIENT_ID = "campdoc-client"
CLIENT_SECRET = "campdoc-client-secret"  # noqa: S105 (of the stand-in)
REDIRECTS = ("http://127.0.0.1:8000/oauth/callback", "https://gateway.test/oauth/callback")
_TABLES = ("all", "answers", "group_tags", "groups", "profiles", "registrations", "users", "profile_tags")
SCOPES = frozenset([f"{table}:{verb}" for table in _TABLES for verb in ("read", "write")] + ["sso:generate"])

LIMIT = 2500
WINDOW = 900.0


@dataclass
class Limiter:
    """So many requests in each window of so many seconds, whoever asks."""

    requests: int = LIMIT
    seconds: float = WINDOW
    used: int = 0
    began: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        if time.monotonic() - self.began >= self.seconds:
            self.used, self.began = 0, time.monotonic()
        self.used += 1
        return self.used <= self.requests

    @property
    def headers(self) -> dict[str, str]:
        left = max(self.requests - self.used, 0)
        return {"X-RateLimit-Limit": str(self.requests), "X-RateLimit-Remaining": str(left)}

    @property
    def wait(self) -> str:
        return str(max(1, round(self.began + self.seconds - time.monotonic())))


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read: the parts of its path, its query and its body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any
    base: str

    @property
    def by_identifier(self) -> bool:
        return self.query.get("identifier") == "true"

    @property
    def object(self) -> Row:
        if not isinstance(self.body, dict):
            raise invalid("the body must be a JSON object")
        return self.body


Answer = tuple[int, Any]


class Api:
    """Every call of the contract; each returns its status and body."""

    def __init__(self, camp: Camp) -> None:
        self.camp = camp
        self.group_tags, self.profile_tags = campdoc_tags.group_tags(), campdoc_tags.profile_tags()
        self.questions = campdoc_tags.Questions()

    def _profile(self, asked: Asked) -> Row:
        return self.camp.profile(asked.path["profile"], by_identifier=asked.by_identifier)

    def _group(self, asked: Asked) -> Row:
        return self.camp.group(asked.path["group"], by_identifier=asked.by_identifier)

    def list_groups(self, _: Asked) -> Answer:
        return 200, {"groups": [truncated(row) for row in self.camp.groups.values()]}

    def get_group(self, asked: Asked) -> Answer:
        return 200, {"group": self._group(asked)}

    def group_registrations(self, asked: Asked) -> Answer:
        return 200, {"registrations": self.camp.registrations_in(self._group(asked))}

    def list_profiles(self, _: Asked) -> Answer:
        return 200, {"profiles": self.camp.listed()}

    def create_profile(self, asked: Asked) -> Answer:
        return 201, {"profile": self.camp.create_profile(asked.object)}

    def get_profile(self, asked: Asked) -> Answer:
        return 200, {"profile": shown(self._profile(asked))}

    def put_profile(self, asked: Asked) -> Answer:
        return 200, {"profile": self.camp.update_profile(self._profile(asked), asked.object)}

    def delete_profile(self, asked: Asked) -> Answer:
        self._profile(asked)["deactivated"] = zoneless(datetime.now(UTC))
        return 204, None

    def reviews(self, asked: Asked) -> Answer:
        row = self._profile(asked)
        return 200, {"profile": shown(row), "reviews": self.camp.reviews.get(row["id"], [])}

    def list_registrations(self, asked: Asked) -> Answer:
        active = asked.query.get("excludeDeactivated") == "true"
        return 200, {"registrations": self.camp.registrations_of(self._profile(asked), active=active)}

    def register(self, asked: Asked) -> Answer:
        return 201, {"registration": self.camp.register(self._profile(asked), asked.object)}

    def _registration(self, asked: Asked) -> Row:
        return self.camp.registration(self._profile(asked), asked.path["registration"])

    def get_registration(self, asked: Asked) -> Answer:
        return 200, {"registration": self._registration(asked)}

    def put_registration(self, asked: Asked) -> Answer:
        row = self._registration(asked)
        if asked.object.get("deactivated", "absent") is not None:
            raise invalid("only deactivated can be set, and only to null")
        return 200, {"registration": self.camp.set_deactivated(row, deactivated=False)}

    def delete_registration(self, asked: Asked) -> Answer:
        self.camp.set_deactivated(self._registration(asked), deactivated=True)
        return 204, None

    def list_users(self, asked: Asked) -> Answer:
        return 200, {"users": self.camp.users_of(self._profile(asked))}

    def create_user(self, asked: Asked) -> Answer:
        check_invite(asked.query.get("inviteLinkExpiration"))
        return 201, {"user": self.camp.link_user(self._profile(asked), asked.object)}

    def delete_user(self, asked: Asked) -> Answer:
        self.camp.unlink_user(self._profile(asked), asked.object.get("email"))
        return 204, None

    def sso(self, asked: Asked) -> Answer:
        return 201, {"sso": self.camp.sso(asked.path["email"], asked.base)}

    def list_questions(self, _: Asked) -> Answer:
        return 200, {"questions": self.questions.listed()}

    def list_answers(self, asked: Asked) -> Answer:
        return 200, {"answers": self.questions.answers_to(asked.path["question"], asked.query.get("updated"))}

    def _tags(self, asked: Asked) -> tuple[campdoc_tags.Tags, int, str]:
        if "profile" in asked.path:
            return self.profile_tags, self._profile(asked)["id"], "profileTag"
        return self.group_tags, ORGANIZATION, "groupTag"

    def list_tags(self, asked: Asked) -> Answer:
        tags, owner, name = self._tags(asked)
        return 200, {f"{name}s": tags.of(owner)}

    def add_tags(self, asked: Asked) -> Answer:
        tags, owner, name = self._tags(asked)
        made, failed = tags.add(owner, asked.body)
        return 201, {f"{name}s": made, "failed": failed}

    def get_tag(self, asked: Asked) -> Answer:
        tags, owner, name = self._tags(asked)
        return 200, {name: tags.get(owner, asked.path["tag"])}

    def put_tag(self, asked: Asked) -> Answer:
        tags, owner, name = self._tags(asked)
        return 200, {name: tags.update(tags.get(owner, asked.path["tag"]), asked.object)}

    def delete_tag(self, asked: Asked) -> Answer:
        tags, owner, name = self._tags(asked)
        return 200, {name: tags.deactivate(tags.get(owner, asked.path["tag"]))}


_CALLS: tuple[tuple[str, str, str, Callable[[Api, Asked], Answer]], ...] = (
    ("GET", "/groups", "groups:read", Api.list_groups),
    ("GET", "/groups/{group}", "groups:read", Api.get_group),
    ("GET", "/groups/{group}/registrations", "registrations:read", Api.group_registrations),
    ("GET", "/profiles", "profiles:read", Api.list_profiles),
    ("POST", "/profiles", "profiles:write", Api.create_profile),
    ("GET", "/profiles/{profile}", "profiles:read", Api.get_profile),
    ("PUT", "/profiles/{profile}", "profiles:write", Api.put_profile),
    ("DELETE", "/profiles/{profile}", "profiles:write", Api.delete_profile),
    ("GET", "/profiles/{profile}/reviews", "profiles:read", Api.reviews),
    ("GET", "/profiles/{profile}/registrations", "registrations:read", Api.list_registrations),
    ("POST", "/profiles/{profile}/registrations", "registrations:write", Api.register),
    ("GET", "/profiles/{profile}/registrations/{registration}", "registrations:read", Api.get_registration),
    ("PUT", "/profiles/{profile}/registrations/{registration}", "registrations:write", Api.put_registration),
    ("DELETE", "/profiles/{profile}/registrations/{registration}", "registrations:write", Api.delete_registration),
    ("GET", "/profiles/{profile}/users", "users:read", Api.list_users),
    ("POST", "/profiles/{profile}/users", "users:write", Api.create_user),
    ("DELETE", "/profiles/{profile}/users", "users:write", Api.delete_user),
    ("POST", "/sso/{email}", "sso:generate", Api.sso),
    ("GET", "/questions", "answers:read", Api.list_questions),
    ("GET", "/questions/{question}/answers", "answers:read", Api.list_answers),
    ("GET", "/tags", "group_tags:read", Api.list_tags),
    ("POST", "/tags", "group_tags:write", Api.add_tags),
    ("GET", "/tags/{tag}", "group_tags:read", Api.get_tag),
    ("PUT", "/tags/{tag}", "group_tags:write", Api.put_tag),
    ("DELETE", "/tags/{tag}", "group_tags:write", Api.delete_tag),
    ("GET", "/profiles/{profile}/tags", "profile_tags:read", Api.list_tags),
    ("POST", "/profiles/{profile}/tags", "profile_tags:write", Api.add_tags),
    ("GET", "/profiles/{profile}/tags/{tag}", "profile_tags:read", Api.get_tag),
    ("PUT", "/profiles/{profile}/tags/{tag}", "profile_tags:write", Api.put_tag),
    ("DELETE", "/profiles/{profile}/tags/{tag}", "profile_tags:write", Api.delete_tag),
)
"""Method, path below the organization, the scope it needs, what it does."""


class Door:
    """What every call passes: rate limit, token, scope, organization, body; and how its errors are answered."""

    def __init__(self, api: Api, oauth: OAuthServer, limiter: Limiter) -> None:
        self.api, self.oauth, self.limiter = api, oauth, limiter

    def routes(self) -> Iterable[Route]:
        """An identifier may hold a slash, so the longer paths are tried first."""
        for method, path, scope, call in sorted(_CALLS, key=lambda one: -one[1].count("/")):
            named = path.replace("{profile}", "{profile:path}").replace("{group}", "{group:path}")
            whole = f"{PREFIX}/organizations/{{organization}}{named}"
            yield Route(whole, self._guarded(scope, call), methods=[method])

    def _guarded(self, scope: str, call: Callable[[Api, Asked], Answer]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            headers = {"X-Request-Identifier": str(uuid.uuid4())}
            try:
                self._admit(request, scope, headers)
                status, body = call(self.api, await _asked(request))
            except CampError as error:
                status, body = error.status, error.body
            return JSONResponse(body, status, headers) if body is not None else Response(None, status, headers)

        return endpoint

    def _admit(self, request: Request, scope: str, headers: dict[str, str]) -> None:
        admitted = self.limiter.take()
        headers.update(self.limiter.headers)
        if not admitted:
            headers["Retry-After"] = self.limiter.wait
            raise CampError(429, "rate_limit", "too many requests")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        granted = self.oauth.scopes_of(token.strip()) if kind.lower() == "bearer" else None
        if granted is None:
            raise CampError(401, "unauthorized", "the access token is missing or expired")
        # all:read and all:write stand for every table, but never for sso:generate
        if not granted & {scope, f"all:{scope.partition(':')[2]}"}:
            raise CampError(403, "forbidden", f"the scope {scope} is needed")
        if request.path_params["organization"] != str(ORGANIZATION):
            raise CampError(404, "not_found", "no such organization")


async def _asked(request: Request) -> Asked:
    raw = await request.body()
    if raw and not request.headers.get("content-type", "").startswith("application/json"):
        raise invalid("Content-Type must be application/json")
    try:
        body = json.decode(raw) if raw else None
    except Unparsable:
        raise invalid("the body is not JSON") from None
    return Asked(request.path_params, dict(request.query_params), body, str(request.base_url).rstrip("/"))


class Control:
    """For whoever plays the camp's user."""

    def __init__(self, camp: Camp, limiter: Limiter) -> None:
        self.camp, self.limiter = camp, limiter

    async def profiles(self, _: Request) -> Response:
        return Response(json.encode(list(self.camp.profiles.values())), media_type="application/json")

    async def edit(self, request: Request) -> Response:
        """Any field of a profile, read-only ones too."""
        row = self.camp.profiles.get(request.path_params["id"])
        if row is None:
            return JSONResponse({"error": "no such profile"}, 404)
        row.update(json.decode(await request.body()))
        return JSONResponse(row)

    async def limit(self, request: Request) -> Response:
        """`{"requests","seconds"}`: another rate limit, counted afresh."""
        asked = json.decode(await request.body())
        self.limiter.requests, self.limiter.seconds = int(asked["requests"]), float(asked["seconds"])
        self.limiter.used, self.limiter.began = 0, time.monotonic()
        return Response(status_code=204)

    async def sso(self, request: Request) -> Response:
        """Where an SSO link leads: in once, then never again."""
        used = self.camp.use_link(request.path_params["token"])
        return HTMLResponse("<h1>Signed in</h1>") if used else HTMLResponse("<h1>This link is used up</h1>", 410)


def create(
    *,
    profiles: Iterable[Mapping[str, Any]] = PROFILES,
    knobs: Knobs | None = None,
    redirects: tuple[str, ...] = REDIRECTS,
    scopes: frozenset[str] = SCOPES,
) -> Sandbox:
    """The camp with the profiles it holds from the start, and one registered application."""
    client = Client(CLIENT_ID, CLIENT_SECRET, redirects, scopes)
    oauth = OAuthServer([client], knobs=knobs or Knobs(), scope_list=True)
    camp, limiter = seeded(profiles), Limiter()
    api, control = Api(camp), Control(camp, limiter)
    routes = [
        *oauth.routes(authorize="/!/oauth", token=f"{PREFIX}/oauth/access_token"),
        *Door(api, oauth, limiter).routes(),
        Route("/sso/{token}", control.sso, methods=["GET"]),
        Route("/_profiles", control.profiles, methods=["GET"]),
        Route("/_edit/{id:int}", control.edit, methods=["POST"]),
        Route("/_limit", control.limit, methods=["POST"]),
    ]
    return CampSandbox(Starlette(routes=routes), api, oauth)


class CampSandbox(Sandbox):
    """With what tests look into."""

    def __init__(self, app: Starlette, api: Api, oauth: OAuthServer) -> None:
        super().__init__(app)
        self.api = api
        self.camp = api.camp
        self.oauth = oauth
