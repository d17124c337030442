"""What CampDoc's stand-in holds: groups, profiles, registrations, users and reviews of one organization."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

Row = dict[str, Any]

ORGANIZATION = 12345
SSO_LIFE = timedelta(minutes=60)
LONGEST_INVITE = timedelta(days=184)
_SEXES = ("Male", "Female", None)
_TYPES = ("patient", "provider")
_WRITABLE = ("givenName", "middleName", "familyName", "dob", "sex", "identifier")
_REQUIRED = ("givenName", "familyName")
_TRUNCATED = ("id", "name", "parentID", "parents", "groupIdentifier")
_USER = ("email", "givenName", "familyName")


class CampError(Exception):
    """Answered as `{"error","message"}`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error": code, "message": message}


def invalid(message: str) -> CampError:
    return CampError(400, "validation", message)


def missing(what: str) -> CampError:
    return CampError(404, "not_found", f"no such {what}")


def _group(number: int, parents: tuple[int, ...], name: str, identifier: str | None = None) -> Row:
    return {
        "id": number,
        "groupIdentifier": identifier,
        "name": name,
        "description": f"{name} by the lake",
        "tuition": 45_000,
        "capacity": {"female": "24", "male": ""},
        "parentID": parents[-1] if parents else None,
        "parents": [*parents, number],
        "start": "2026-07-05",
        "finish": "2026-07-18",
        "registrationOpen": "2026-02-01",
        "registrationClose": "2026-06-01",
        "phase": "future",
        "created": "2025-10-01T09:00:00.000Z",
        "updated": "2025-10-02T09:00:00.000Z",
    }


GROUPS = (
    _group(ORGANIZATION, (), "Lakeside"),
    _group(501, (ORGANIZATION,), "Summer"),
    _group(502, (ORGANIZATION, 501), "Otters", "otters-1"),
    _group(503, (ORGANIZATION, 501), "Herons", "herons-1"),
    _group(504, (ORGANIZATION,), "Staff"),
)
PROFILES: tuple[Row, ...] = (
    {"givenName": "Nora", "middleName": None, "familyName": "Winterfeld", "dob": "2014-03-09", "sex": "Female"},
    {"givenName": "Teo", "middleName": "Jan", "familyName": "Marrow", "dob": "2013-11-30", "sex": "Male"},
)


@dataclass
class Camp:
    """One organization's data; ids of every kind come from one counter."""

    groups: dict[int, Row] = field(default_factory=lambda: {row["id"]: dict(row) for row in GROUPS})
    profiles: dict[int, Row] = field(default_factory=dict)
    registrations: dict[int, Row] = field(default_factory=dict)
    reviews: dict[int, list[Row]] = field(default_factory=dict)
    users: dict[str, Row] = field(default_factory=dict)
    linked: dict[int, list[str]] = field(default_factory=dict)
    links: dict[str, datetime] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(10_813))

    def group(self, asked: str, *, by_identifier: bool) -> Row:
        return _find(self.groups, asked, "groupIdentifier", "group", by_identifier=by_identifier)

    def profile(self, asked: str, *, by_identifier: bool) -> Row:
        return _find(self.profiles, asked, "identifier", "profile", by_identifier=by_identifier)

    def listed(self) -> list[Row]:
        """Deactivated ones are not listed."""
        return [_shown(row) for row in self.profiles.values() if row["deactivated"] is None]

    def create_profile(self, asked: Mapping[str, Any]) -> Row:
        for name in _REQUIRED:
            if name not in asked:
                raise invalid(f"{name} is required")
        self._check_profile(asked, None)
        number = next(self.numbers)
        fresh = dict.fromkeys(_WRITABLE) | {"id": number, "phase": "present", "completeness": 0, "deactivated": None}
        self.profiles[number] = fresh | {name: asked[name] for name in _WRITABLE if name in asked}
        return _shown(self.profiles[number])

    def update_profile(self, row: Row, asked: Mapping[str, Any]) -> Row:
        """Partial; what is read-only or unknown changes nothing. `deactivated` may only be taken back."""
        self._check_profile(asked, row["id"])
        if asked.get("deactivated") is not None:
            raise invalid("deactivated can only be set to null")
        writable = (*_WRITABLE, "deactivated")
        row.update({name: asked[name] for name in writable if name in asked})
        return _shown(row)

    def registrations_of(self, profile: Row, *, active: bool) -> list[Row]:
        mine = [row for row in self.registrations.values() if row["profileID"] == profile["id"]]
        return [row for row in mine if not active or row["deactivated"] is None]

    def registrations_in(self, group: Row) -> list[Row]:
        """Those of its subgroups too."""
        inside = {number for number, row in self.groups.items() if group["id"] in row["parents"]}
        return [row for row in self.registrations.values() if row["groupID"] in inside]

    def register(self, profile: Row, asked: Mapping[str, Any]) -> Row:
        """groupIdentifier wins over groupID."""
        if asked.get("type") not in _TYPES:
            raise invalid("type must be patient or provider")
        by_identifier = asked.get("groupIdentifier") is not None
        named = asked["groupIdentifier"] if by_identifier else asked.get("groupID")
        if named is None or isinstance(named, bool):
            raise invalid("groupID or groupIdentifier is required")
        group = self.group(str(named), by_identifier=by_identifier)
        number, now = next(self.numbers), zoneless(datetime.now(UTC))
        named_group = {"groupID": group["id"], "groupName": group["name"], "groupIdentifier": group["groupIdentifier"]}
        row = {"id": number, "profileID": profile["id"], **named_group, "type": asked["type"], "waitlisted": False}
        self.registrations[number] = {**row, "created": now, "updated": now, "deactivated": None}
        return self.registrations[number]

    def registration(self, profile: Row, asked: str) -> Row:
        row = self.registrations.get(int(asked) if asked.isdigit() else -1)
        if row is None or row["profileID"] != profile["id"]:
            raise missing("registration")
        return row

    def set_deactivated(self, row: Row, *, deactivated: bool) -> Row:
        now = zoneless(datetime.now(UTC))
        row.update(deactivated=now if deactivated else None, updated=now)
        return row

    def link_user(self, profile: Row, asked: Mapping[str, Any]) -> Row:
        """A user who exists already is linked as she is."""
        for name in _USER:
            if not isinstance(asked.get(name), str) or not asked[name].strip():
                raise invalid(f"{name} is required")
        if "@" not in asked["email"]:
            raise invalid("email must be an address")
        email = asked["email"].lower()
        user = self.users.setdefault(email, {name: asked[name] for name in _USER})
        linked = self.linked.setdefault(profile["id"], [])
        if email not in linked:
            linked.append(email)
        return user

    def users_of(self, profile: Row) -> list[Row]:
        return [self.users[email] for email in self.linked.get(profile["id"], [])]

    def unlink_user(self, profile: Row, email: Any) -> None:
        linked = self.linked.get(profile["id"], [])
        if not isinstance(email, str) or email.lower() not in linked:
            raise missing("user of this profile")
        linked.remove(email.lower())

    def sso(self, email: str, base: str) -> Row:
        user = self.users.get(email.lower())
        if user is None:
            raise missing("user")
        token, expires = str(uuid.uuid4()), datetime.now(UTC) + SSO_LIFE
        self.links[token] = expires
        return {"url": f"{base}/sso/{token}", "user": user, "expires": instant(expires)}

    def use_link(self, token: str) -> bool:
        """Single use."""
        expires = self.links.pop(token, None)
        return expires is not None and expires > datetime.now(UTC)

    def _check_profile(self, asked: Mapping[str, Any], own: int | None) -> None:
        for name in (one for one in _REQUIRED if one in asked):
            if not isinstance(asked[name], str) or not asked[name].strip():
                raise invalid(f"{name} must not be null or blank")
        for name in ("middleName", "identifier"):
            if not isinstance(asked.get(name), str | None):
                raise invalid(f"{name} must be text or null")
        if asked.get("sex") not in _SEXES:
            raise invalid("sex must be Male, Female or null")
        if asked.get("dob") is not None and not _is_date(asked["dob"]):
            raise invalid("dob must be YYYY-MM-DD")
        taken = asked.get("identifier")
        if taken and any(row["identifier"] == taken and row["id"] != own for row in self.profiles.values()):
            raise CampError(409, "duplicate", "another profile has this identifier")


def seeded(profiles: Iterable[Mapping[str, Any]] = PROFILES) -> Camp:
    """A camp with its groups and these profiles."""
    camp = Camp()
    for one in profiles:
        camp.create_profile(one)
    return camp


def shown(row: Row) -> Row:
    """A profile read by id says when it was deactivated."""
    return _shown(row) | ({"deactivated": row["deactivated"]} if row["deactivated"] else {})


def truncated(group: Row) -> Row:
    """As the list of groups shows one."""
    return {name: group[name] for name in _TRUNCATED}


def check_invite(text: str | None) -> None:
    """`inviteLinkExpiration=YYYY-MM-DD[ HH:mm:ss]` in UTC, six months ahead at most."""
    if text is None:
        return
    try:
        until = datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise invalid("inviteLinkExpiration must be YYYY-MM-DD or YYYY-MM-DD HH:mm:ss") from None
    if "T" in text or until > datetime.now(UTC) + LONGEST_INVITE:
        raise invalid("inviteLinkExpiration must be within six months")


def zoneless(moment: datetime) -> str:
    """As registrations write times: a space, milliseconds, no zone."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def instant(moment: datetime) -> str:
    return f"{zoneless(moment).replace(' ', 'T')}Z"


def _shown(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "deactivated"}


def _find(rows: Mapping[int, Row], asked: str, key: str, what: str, *, by_identifier: bool) -> Row:
    """The caller says how the path is to be read; its shape never does."""
    if by_identifier:
        found = next((row for row in rows.values() if row[key] == asked), None)
    else:
        found = rows.get(int(asked)) if asked.isascii() and asked.isdigit() else None
    if found is None:
        raise missing(what)
    return found


def _is_date(text: Any) -> bool:
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
