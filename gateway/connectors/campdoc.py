"""CampDoc (DocNetwork API v2): profiles are read and written by id or by our identifier; changes are found by looking.

Source: docnetwork/api, v2/chapters. A profile's `identifier` is ours: our Patient id on those that we make.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Literal

import msgspec

from gateway.connectors import campdoc_details
from gateway.connectors.call import (
    NOT_THERE,
    Accepted,
    Call,
    Found,
    Page,
    Push,
    Read,
    Reply,
    Scan,
    Seen,
    refused,
    segment,
)
from gateway.connectors.campdoc_wire import BY_IDENTIFIER, Refuse, id_of, member, one, place, rows, systems
from gateway.connectors.event import Event
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import Conflict, InvalidInput, PartnerRejected, PartnerUnknown
from gateway.fhir.form import ONE_NAME, Form
from gateway.fhir.record import Coverage
from gateway.translators.json import campdoc as model
from gateway.translators.json.campdoc import Systems

PROFILE = "campdoc"
SCOPE = "groups:read profiles:read profiles:write registrations:read registrations:write users:write sso:generate"
"""What our calls need; all:write does not include sso:generate."""
_ENDPOINT = f"{model.HOST}/public/v2"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`orgID`: the organization's id, which CampDoc gives at onboarding. `include` = what is asked for profile by
    profile besides: a call each, so poll seldom."""

    org_id: int | str = msgspec.field(name="orgID")
    include: tuple[Literal["users", "reviews"], ...] = ()


form = Form(reads=Coverage(model.CARRIED), writes=model.CARRIED, fields=(ONE_NAME,), parts={"name": model.NAME_PARTS})


def defaults(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """2,500 requests in 15 minutes is what an application has; changes are polled for, as nothing is sent."""
    options: Any = body.get("options")
    options = options if isinstance(options, dict) else {}
    organization, include = options.get("orgID"), options.get("include")
    more = " users:read" if isinstance(include, list) and "users" in include else ""
    return {
        "endpoint": _ENDPOINT,
        "idSystem": Systems(str(organization), "").of("profile"),
        "rateLimit": {"requests": 2500, "seconds": 900},
        "sync": {"mode": "polling"},
        "auth": {
            "grant": "authorization_code",
            "tokenUrl": "/public/v2/oauth/access_token",
            "authorizeUrl": "/!/oauth",
            "scope": SCOPE + more,
        },
    }


def accepts(resource_type: str) -> bool:
    return resource_type == "Patient"


def read(target: Target, side: Side) -> Read:
    """By their id, before a link by ours."""
    found = yield from find_profile(side, target.remote_id or target.id, by_identifier=target.remote_id is None)
    return NOT_THERE if found is None else _seen(found, side)


def push(item: Item, side: Side) -> Push:
    """Update what differs of the profile it knows, create the one it does not under our id."""
    profile = model.to_profile(item.body)
    if item.remote_id is None:
        made = yield from put_profile(side, item.id, profile)
    else:
        made = yield from _change(side, item, item.remote_id, profile)
    if item.body.get("active") is False:
        made = yield from _deactivate(side, made)
    translated = model.from_answer(made, item.body, systems(side))
    return Accepted(id_of(made), translated.patient, coverage=translated.coverage)


def scan(cursor: str | None, side: Side) -> Scan:
    """Everything in three calls: there is no filter by time, so what changed is told by comparing contents. What has
    to be asked for profile by profile comes after that, a few profiles a page."""
    if cursor is not None:
        return (yield from campdoc_details.scan(int(cursor), side))
    groups = sorted((yield from rows(side, "/groups", "groups")), key=_depth)
    profiles = yield from rows(side, "/profiles", "profiles")
    registrations: list[dict[str, Any]] = []
    for root in (group for group in groups if group.get("parentID") is None):
        registrations += yield from rows(side, f"/groups/{segment(id_of(root))}/registrations", "registrations")
    found = tuple(_found(side, groups, profiles, registrations))
    return Page(found, "0", more=True) if side.options.include else Page(found)


def probe(side: Side) -> Generator[Call, Reply, None]:
    yield from rows(side, "/groups", "groups")


def event(_payload: Any) -> Event:
    raise InvalidInput("CampDoc sends no webhooks: its changes are polled for (sync.mode polling)")


def translate(data: Mapping[str, Any], _target: Target, side: Side) -> Seen:
    """A profile as it is."""
    return _seen(dict(data), side)


def find_profile(
    side: Side, asked: str, *, by_identifier: bool, refuse: Refuse = refused
) -> Generator[Call, Reply, dict[str, Any] | None]:
    """By their id, or by `identifier`; None when they hold none. Its shape never decides how it is meant."""
    path = place(side, f"/profiles/{segment(asked)}")
    reply = yield Call("GET", path, params=BY_IDENTIFIER if by_identifier else ())
    if reply.status in (404, 410):
        return None
    return one(reply, "profile", "reading a profile", refuse)


def put_profile(
    side: Side, identifier: str, fields: Mapping[str, Any], refuse: Refuse = refused
) -> Generator[Call, Reply, dict[str, Any]]:
    """Z.MIS create_or_update_profile: what stands under the identifier is changed, what does not is made.

    Somebody may make it between our look and our create: then that is the one to change.
    """
    held = yield from find_profile(side, identifier, by_identifier=True, refuse=refuse)
    if held is None:
        created = {name: value for name, value in fields.items() if value is not None}
        reply = yield Call("POST", place(side, "/profiles"), {**created, "identifier": identifier})
        if reply.status != 409:
            return (yield from _created(side, identifier, reply, refuse))
        held = yield from find_profile(side, identifier, by_identifier=True, refuse=refuse)
        if held is None:
            raise Conflict("they hold a profile with this identifier already, but do not find it by it")
    return (yield from _update(side, id_of(held), fields, refuse))


def _change(
    side: Side, item: Item, remote_id: str, profile: Mapping[str, Any]
) -> Generator[Call, Reply, dict[str, Any]]:
    """A key that nobody gave becomes ours, so that she is found by it; where the camp gave one and nothing else
    differs, there is nothing to write. Who was deactivated and should not be is taken back, though nothing here says
    `active`: that is what silence means (FHIR R4, Patient.active)."""
    names = model.fields_of(item.due) if item.due else profile.keys()
    fields = {name: value for name, value in profile.items() if name in names}
    if "active" in item.due and item.body.get("active") is not False:
        fields["deactivated"] = None
    if item.raw is not None and item.raw.get("identifier") is None:
        fields["identifier"] = item.id
    if fields:
        return (yield from _update(side, remote_id, fields))
    held = yield from find_profile(side, remote_id, by_identifier=False)
    if held is None:
        raise PartnerRejected("they do not hold this profile any more")
    return held


def _created(side: Side, identifier: str, reply: Reply, refuse: Refuse) -> Generator[Call, Reply, dict[str, Any]]:
    if not reply.ok:
        raise refuse("creating a profile", reply)
    made = member(reply, "profile") or (yield from find_profile(side, identifier, by_identifier=True))
    if made is None:
        raise PartnerUnknown("creating a profile was accepted, but it is not found by its identifier")
    return made


def _update(
    side: Side, remote_id: str, fields: Mapping[str, Any], refuse: Refuse = refused
) -> Generator[Call, Reply, dict[str, Any]]:
    reply = yield Call("PUT", place(side, f"/profiles/{segment(remote_id)}"), dict(fields))
    return one(reply, "profile", "updating a profile", refuse)


def _deactivate(side: Side, profile: dict[str, Any]) -> Generator[Call, Reply, dict[str, Any]]:
    """Their delete: the profile stays, and can be taken back."""
    remote_id = id_of(profile)
    reply = yield Call("DELETE", place(side, f"/profiles/{segment(remote_id)}"))
    if not reply.ok:
        raise refused("deactivating a profile", reply)
    return {**profile, "deactivated": True}


def _found(
    side: Side, groups: list[dict[str, Any]], profiles: list[dict[str, Any]], registrations: list[dict[str, Any]]
) -> list[Found]:
    """A registration of a profile that is not listed (a deactivated one) is left as it was."""
    there = systems(side)
    listed = {id_of(profile) for profile in profiles}
    found = [Found("Organization", id_of(group), model.from_group(group, there)) for group in groups]
    for profile in profiles:
        translated = model.from_profile(profile, there)
        patient, coverage, issues = translated.patient, translated.coverage, translated.issues
        found.append(Found("Patient", id_of(profile), patient, coverage=coverage, issues=issues))
    for row in registrations:
        if str(row.get("profileID")) in listed:
            body = model.from_registration(row, there)
            found.append(Found(body["resourceType"], id_of(row), body, at=model.to_instant(row.get("updated"))))
    return found


def _seen(profile: dict[str, Any], side: Side) -> Seen:
    translated = model.from_profile(profile, systems(side))
    key = {"identifier": profile["identifier"]} if "identifier" in profile else None
    patient, coverage, issues = translated.patient, translated.coverage, translated.issues
    return Seen(id_of(profile), patient, coverage=coverage, raw=key, issues=issues)


def _depth(group: Mapping[str, Any]) -> int:
    """Groups come after those they are part of."""
    parents = group.get("parents")
    return len(parents) if isinstance(parents, list) else 0
