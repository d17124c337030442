"""Call and Reply: the HTTP of a partner as values, so that a connector runs without a network in tests."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from gateway.errors import InvalidInput, PartnerRejected, Unparsable
from gateway.fhir import json
from gateway.fhir.issue import Issue
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage

T = TypeVar("T")

OVERLAP = timedelta(seconds=30)
"""How far before the last look the next one starts: systems date a change when its transaction begins, and many list it
some seconds after it was stored. What was met before costs its reading only."""

KEYED = "KEYED"
"""The method of a call that never leaves (see `keyed`)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` is relative to the connector's endpoint, or an absolute address elsewhere, which is called
    without our credentials. The body is one of `json` (encoded by the sender), `form` (urlencoded) and `content` (bytes
    as they are, their media type in `headers`). `auth` False = without our credentials.

    `safe` = may be repeated without effect (GET); a call that is not safe and times out is *unknown*.
    """

    method: str
    path: str
    json: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    params: tuple[tuple[str, str], ...] = ()
    content: bytes | None = None
    form: tuple[tuple[str, str], ...] | None = None
    auth: bool = True

    @property
    def safe(self) -> bool:
        return self.method in ("GET", "HEAD", KEYED)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; header names in lower case. `url`: what was asked, against which its links are read."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    url: str = ""

    @property
    def json(self) -> Any:
        """Raises Unparsable when the body is not JSON."""
        return json.decode(self.body)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def at(self) -> datetime | None:
        """When they answered, by their own clock; None where they do not say."""
        try:
            return parsedate_to_datetime(self.headers.get("date", ""))
        except (ValueError, TypeError):
            return None

    def find(self, shape: type[T]) -> T | None:
        """The body as `shape` (a msgspec type); None when it is HTML, empty, or anything else a partner may answer."""
        try:
            return msgspec.convert(self.json, shape)
        except (Unparsable, msgspec.ValidationError):
            return None

    def find_object(self) -> dict[str, Any] | None:
        """The body when it is a JSON object."""
        return self.find(dict[str, Any])


@dataclass(frozen=True, slots=True)
class Seen:
    """Their copy as read, translated to FHIR. `body` None = they do not hold it. `at` = their own last-updated time
    as ISO text, when they tell. `version` = what a conditional write names (ETag). `coverage` = what this very
    answer speaks about, None = what the connector's form says. `raw` = what a write there has to repeat of it, `issues`
    = what in it could not be translated. `lost` = how they said that there is none under the id that was asked for;
    `ours` = our id of it, where their copy carries that."""

    remote_id: str | None
    body: Resource | None
    at: str | None = None
    version: str | None = None
    coverage: Coverage | None = None
    raw: Resource | None = None
    issues: tuple[Issue, ...] = ()
    lost: Literal["missing", "deleted"] | None = None
    ours: str | None = None


NOT_THERE = Seen(None, None, lost="missing")
"""There is none under this id: it may have been deleted, and as well the address may be wrong."""


def absent(reply: Reply) -> Seen | None:
    """What a read by id says that finds nothing; only 410 says that it was there and was deleted (FHIR R4 §3.1.0.7)."""
    if reply.status == 410:
        return replace(NOT_THERE, lost="deleted")
    return NOT_THERE if reply.status == 404 else None


@dataclass(frozen=True, slots=True)
class Found:
    """One of their resources as FHIR, met while looking through what they hold. `body` None = they deleted it; the
    rest as in Seen. References in it to others of theirs are `Type/{their id}`, or as from `theirs`. `doubt` = why a
    person must look before it is taken. `dated`: it shows how things stood at `at`, not now, so that it never undoes
    what is newer. `ours`: our id of it, where their copy carries that. `joins`: makes one of it and of what is known of
    it, where no answer of theirs says everything."""

    type: str
    remote_id: str
    body: Resource | None
    at: str | None = None
    version: str | None = None
    coverage: Coverage | None = None
    issues: tuple[Issue, ...] = ()
    doubt: str | None = None
    dated: bool = False
    ours: str | None = None
    joins: Callable[[Resource, Resource], Resource] | None = None

    @property
    def name(self) -> str:
        return f"{self.type}/{self.remote_id}"

    @property
    def urn(self) -> str:
        """By which others found with it may speak of it where no reference can stand (Attachment.url)."""
        return uuid.uuid5(uuid.NAMESPACE_URL, self.name).urn


def theirs(type_: str, remote_id: str, system: str) -> Resource:
    """A Reference to another of theirs, surely never to one of ours: where nothing here is linked to it, its
    identifier stays as a logical reference (FHIR R4 §2.3.0.2). `system` = the identifier system of their ids."""
    name = f"{type_}/{remote_id}"
    return {"reference": name, "type": type_, "identifier": {"system": system, "value": name}}


@dataclass(frozen=True, slots=True)
class Page:
    """A part of what they hold. `cursor` = where the next page starts or, when there is no `more`, the next look;
    opaque text of the connector's own, None = from the beginning."""

    found: tuple[Found, ...]
    cursor: str | None = None
    more: bool = False


AWAY = (404, 410)
"""How what is to be taken off may be away already."""

LOST_PLACE = (400, 404, 410)
"""How servers answer for a page of a search that they no longer keep."""


class Trail:
    """Where a look has been: pages that lead in a circle are not followed for ever."""

    def __init__(self) -> None:
        self._been: set[str | None] = set()

    def after(self, page: Page) -> str | None:
        """Where the look goes on. Raises PartnerRejected where it has been already."""
        if page.more and page.cursor in self._been:
            raise PartnerRejected("their pages lead to where the look has been already")
        self._been.add(page.cursor)
        return page.cursor


@dataclass(frozen=True, slots=True)
class Accepted:
    """They took it. `body` = what they now display, as FHIR, None when they did not say; `coverage` as in Seen.
    `untold`: what of it their form has no words for, by the field and never the value."""

    remote_id: str
    body: Resource | None = None
    at: str | None = None
    version: str | None = None
    coverage: Coverage | None = None
    untold: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """They refused it. `where` is their FHIRPath when they gave one, `code` theirs too (OperationOutcome.issue.code).

    `alone` False: it was refused together with others and nobody named it, so sending it alone may still help.
    """

    status: int
    code: str
    where: str | None = None
    alone: bool = True


Read = Generator[Call, Reply, Seen]
Push = Generator[Call, Reply, Accepted]
PushGroup = Generator[Call, Reply, list[Accepted | Rejected]]
Scan = Generator[Call, Reply, Page]
Gather = Generator[Call, Reply, list[Found]]


def keyed(value: str) -> Generator[Call, Reply, str]:
    """The value hashed with the connector's identifier key (hex HMAC-SHA256). Whoever makes the calls answers this one
    itself, so that a connector holds no secret."""
    reply = yield Call(KEYED, value)
    return reply.body.decode()


def segment(value: str) -> str:
    """A remote id as one path segment. Raises InvalidInput for what would be read as another path."""
    if not value.strip("."):
        raise InvalidInput("an id of dots only, or an empty one, cannot be part of an address")
    return quote(value, safe="")


def refused(call: str, reply: Reply) -> PartnerRejected:
    """The error for an answer that the connector has no use for; names the call's kind and the status only."""
    return PartnerRejected(f"{call} was answered with status {reply.status}")
