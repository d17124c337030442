"""CampDoc's operations by API (Z.MIS), below the connector they are for. Every call is audited.

`by` says how a profile is named: `id` (theirs, the default), `identifier` (the organization's own), `patient` (our
Patient id). Groups have the first two. An identifier may hold a slash (`2026%2F17`), which a server does not tell from
one that parts a path: so what is below a profile stands before the profile itself.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_args

from fastapi import APIRouter, Request, Response

from gateway.errors import InvalidInput
from gateway.routes.context import context_of
from gateway.routes.http import plain_json, read_json
from gateway.routes.oauth import operated
from gateway.systems.campdoc import By, CampDoc, Profile, Registration, User, read

T = TypeVar("T")

router = APIRouter(prefix="/api/external-connectors/{connector}/campdoc")

_LIMIT = 100_000


@router.get("/profiles")
async def list_profiles(request: Request, connector: str) -> Response:
    camp = await _camp(request, connector, "list-profiles")
    return plain_json({"profiles": await camp.list_profiles()})


@router.get("/profiles/{profile:path}/registrations")
async def list_registrations(request: Request, connector: str, profile: str) -> Response:
    camp = await _camp(request, connector, "list-registrations", profile)
    active = request.query_params.get("excludeDeactivated") == "true"
    return plain_json({"registrations": await camp.list_registrations(profile, _by(request), active=active)})


@router.post("/profiles/{profile:path}/registrations")
async def create_registration(request: Request, connector: str, profile: str) -> Response:
    camp = await _camp(request, connector, "create-registration", profile)
    made = await camp.create_registration(profile, _by(request), await _body(request, Registration))
    return plain_json({"registration": made}, 201)


@router.delete("/profiles/{profile:path}/registrations/{registration}")
async def deactivate_registration(request: Request, connector: str, profile: str, registration: str) -> Response:
    camp = await _camp(request, connector, "deactivate-registration", profile)
    await camp.deactivate_registration(profile, _by(request), registration)
    return Response(status_code=204)


@router.get("/profiles/{profile:path}/reviews")
async def list_reviews(request: Request, connector: str, profile: str) -> Response:
    camp = await _camp(request, connector, "list-reviews", profile)
    return plain_json({"reviews": await camp.list_reviews(profile, _by(request))})


@router.post("/profiles/{profile:path}/users")
async def create_user(request: Request, connector: str, profile: str) -> Response:
    """`?notify=true` sends the invitation, `&inviteLinkExpiration=` says until when it stands."""
    camp = await _camp(request, connector, "create-user", profile)
    asked = request.query_params
    made = await camp.create_user(
        profile,
        _by(request),
        await _body(request, User),
        notify=asked.get("notify") == "true",
        expires=asked.get("inviteLinkExpiration"),
    )
    return plain_json({"user": made}, 201)


@router.get("/profiles/{profile:path}")
async def get_profile(request: Request, connector: str, profile: str) -> Response:
    camp = await _camp(request, connector, "get-profile", profile)
    return plain_json({"profile": await camp.get_profile(profile, _by(request))})


@router.put("/profiles/{identifier:path}")
async def put_profile(request: Request, connector: str, identifier: str) -> Response:
    """create_or_update_profile: the profile under this identifier, made where there is none."""
    camp = await _camp(request, connector, "put-profile", identifier)
    return plain_json({"profile": await camp.put_profile(identifier, await _body(request, Profile))})


@router.get("/groups")
async def list_groups(request: Request, connector: str) -> Response:
    camp = await _camp(request, connector, "list-groups")
    return plain_json({"groups": await camp.list_groups()})


@router.get("/groups/{group:path}")
async def get_group(request: Request, connector: str, group: str) -> Response:
    camp = await _camp(request, connector, "get-group")
    if (by := _by(request)) == "patient":
        raise InvalidInput("by must be id or identifier: a group is no patient")
    return plain_json({"group": await camp.get_group(group, by)})


@router.post("/sso")
async def create_sso_link(request: Request, connector: str) -> Response:
    """`{"email"}`: an address is no part of a URL of ours."""
    camp = await _camp(request, connector, "sso-link")
    asked = await _body(request, dict[str, str])
    if asked.keys() != {"email"}:
        raise InvalidInput("send the user's email and nothing else")
    return plain_json({"sso": await camp.create_sso_link(asked["email"])}, 201, {"cache-control": "no-store"})


async def _camp(request: Request, connector: str, action: str, subject: str | None = None) -> CampDoc:
    context = context_of(request)
    principal, config = await operated(request, connector)
    kind = "Patient" if subject is not None else "Organization"
    await context.audit_read(principal, f"campdoc {action}", kind, subject, 200)
    return CampDoc(context.flow, config, context.ask)


def _by(request: Request) -> By:
    asked: Any = request.query_params.get("by", "id")
    if asked not in get_args(By):
        raise InvalidInput(f"by must be one of {', '.join(get_args(By))}")
    found: By = asked
    return found


async def _body(request: Request, shape: type[T]) -> T:
    _, body = await read_json(request, _LIMIT, untyped=True)
    return read(body, shape)
