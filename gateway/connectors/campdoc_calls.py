"""CampDoc's calls that people and programs ask for by name: the operations of Z.MIS (DocNetwork API v2).

What is refused is told by their status and their X-Request-Identifier, which their support asks for; never by the body.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.connectors.call import Call, Reply, segment
from gateway.connectors.campdoc_wire import BY_IDENTIFIER, place
from gateway.connectors.protocol import Side
from gateway.errors import Conflict, GatewayError, InvalidInput, Missing, PartnerRejected

Row = dict[str, Any]
One = Generator[Call, Reply, Row]
Many = Generator[Call, Reply, list[Row]]

_LONGEST_REQUEST_ID = 64


@dataclass(frozen=True, slots=True)
class Named:
    """A profile or a group: by their id or, where the caller says so, by its identifier."""

    value: str
    by_identifier: bool = False

    @property
    def path(self) -> str:
        return segment(self.value)

    @property
    def params(self) -> tuple[tuple[str, str], ...]:
        return BY_IDENTIFIER if self.by_identifier else ()


def list_profiles(side: Side) -> Many:
    return (yield from _many(Call("GET", place(side, "/profiles")), "profiles"))


def get_profile(side: Side, profile: Named) -> One:
    call = Call("GET", place(side, f"/profiles/{profile.path}"), params=profile.params)
    return (yield from _one(call, "profile"))


def list_groups(side: Side) -> Many:
    return (yield from _many(Call("GET", place(side, "/groups")), "groups"))


def get_group(side: Side, group: Named) -> One:
    return (yield from _one(Call("GET", place(side, f"/groups/{group.path}"), params=group.params), "group"))


def list_registrations(side: Side, profile: Named, *, active: bool = False) -> Many:
    """`active`: without those that were deactivated."""
    params = (*profile.params, *((("excludeDeactivated", "true"),) if active else ()))
    path = place(side, f"/profiles/{profile.path}/registrations")
    return (yield from _many(Call("GET", path, params=params), "registrations"))


def create_registration(side: Side, profile: Named, group: Named, kind: str = "patient") -> One:
    """`kind`: patient or provider."""
    path = place(side, f"/profiles/{profile.path}/registrations")
    body = {"groupIdentifier": group.value} if group.by_identifier else {"groupID": _number(group.value)}
    return (yield from _one(Call("POST", path, {**body, "type": kind}, params=profile.params), "registration"))


def deactivate_registration(side: Side, profile: Named, registration: str) -> Generator[Call, Reply, None]:
    path = place(side, f"/profiles/{profile.path}/registrations/{segment(registration)}")
    reply = yield Call("DELETE", path, params=profile.params)
    if not reply.ok:
        raise refusal("this registration", reply)


def list_reviews(side: Side, profile: Named) -> Many:
    path = place(side, f"/profiles/{profile.path}/reviews")
    return (yield from _many(Call("GET", path, params=profile.params), "reviews"))


def create_user(
    side: Side, profile: Named, user: Mapping[str, Any], *, notify: bool = False, expires: str | None = None
) -> One:
    """A user of a profile: email, givenName, familyName; one with that email is linked as she is. `expires` = until
    when the invitation stands, `YYYY-MM-DD[ HH:mm:ss]` in UTC."""
    params = (
        *profile.params,
        *((("notify", "true"),) if notify else ()),
        *((("inviteLinkExpiration", expires),) if expires else ()),
    )
    reply = yield Call("POST", place(side, f"/profiles/{profile.path}/users"), dict(user), params=params)
    if not reply.ok:
        raise refusal("this user", reply)
    answered = (reply.find_object() or {}).get("user")
    return answered if isinstance(answered, dict) else {name: user.get(name) for name in _USER}


def create_sso_link(side: Side, email: str) -> One:
    """A link that signs this user in: single use, 60 minutes."""
    return (yield from _one(Call("POST", place(side, f"/sso/{segment(email)}")), "sso"))


_USER = ("email", "givenName", "familyName")


def refusal(what: str, reply: Reply) -> GatewayError:
    """The error for an answer that is no success."""
    request = reply.headers.get("x-request-identifier", "")
    asked = f", their request {request}" if request.isprintable() and 0 < len(request) <= _LONGEST_REQUEST_ID else ""
    kinds: dict[int, type[GatewayError]] = {400: InvalidInput, 404: Missing, 409: Conflict}
    kind = kinds.get(reply.status, PartnerRejected)
    return kind(f"CampDoc answered with status {reply.status} about {what}{asked}")


def _one(call: Call, name: str) -> One:
    reply = yield call
    found = (reply.find_object() or {}).get(name) if reply.ok else None
    if not isinstance(found, dict):
        raise refusal(f"this {name}", reply)
    return found


def _many(call: Call, name: str) -> Many:
    reply = yield call
    found = (reply.find_object() or {}).get(name) if reply.ok else None
    if not isinstance(found, list):
        raise refusal(f"the {name}", reply)
    return [row for row in found if isinstance(row, dict)]


def _number(text: str) -> int | str:
    """Their ids are numbers in bodies."""
    return int(text) if text.isascii() and text.isdigit() else text
