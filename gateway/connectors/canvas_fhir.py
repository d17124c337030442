"""Canvas' FHIR API as a target: search, then POST or read-merge-PUT; creates through its plugin where configured.

Source: canvas-medical/documentation `_api/*.md`, canvas-medical/canvas-plugins example_patient_sync. Canvas answers
writes with `null`, so what it made of them is read back. Its plugin takes a patient now and creates her later, without
telling as whom: she shows up in a search by our identifier, or when Canvas calls our partner API.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec

from gateway.connectors import event as events
from gateway.connectors.call import Accepted, Call, Found, Page, Push, Read, Reply, Scan, Seen, absent, refused, segment
from gateway.connectors.event import Event
from gateway.connectors.fhir_answers import Answers
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import (
    AmbiguousMatch,
    NotConformant,
    PartnerLoginExpired,
    PartnerPending,
    PartnerRejected,
    PartnerUnknown,
    VersionConflict,
)
from gateway.fhir import times
from gateway.fhir.form import Field, Form
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage
from gateway.translators.json import canvas as plugin_model
from gateway.translators.json import canvas_fhir as model
from gateway.translators.json.canvas_entries import displays
from gateway.translators.json.canvas_fhir import Systems

PROFILE = "canvas_fhir"
PATIENTS = "/Patient"
LARGEST_PAGE = "100"
SCOPE = "user/Patient.read user/Patient.write"
REFRESH_WITH_REDIRECT: bool = True
"""As documented: `grant_type=refresh_token` with `redirect_uri`."""

form = Form(
    reads=Coverage(model.ELEMENTS | model.EXTENSIONS | {"deceased"}),
    writes=model.ELEMENTS | model.EXTENSIONS,
    never=frozenset({f"identifier[{model.MRN}]", "identifier[-]"}),
    fields=(Field("name[official]", ("name[official]", "name[usual]"), apart=frozenset({"name[nickname]"})),),
    parts={"name": plugin_model.NAME_PARTS},
    displays=displays,
    silent=model.SILENT,
)

_LOCATION = re.compile(r"(?:^|/)Patient/([A-Za-z0-9\-.]{1,64})(?:/_history/[^/]+)?$")


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`create`: by FHIR, or through the plugin at `pluginUrl`. `partnerSystem`: the identifier system under which
    Canvas keeps our ids (PARTNER_URL_BASE of its plugin), `{our base}/Patient` by default. `settleSeconds`: after
    which a patient whose creation was not confirmed has shown up, or never will."""

    create: Literal["fhir", "plugin"] = "fhir"
    plugin_url: str | None = msgspec.field(default=None, name="pluginUrl")
    partner_system: str | None = msgspec.field(default=None, name="partnerSystem")
    settle_seconds: float = msgspec.field(default=600.0, name="settleSeconds")

    def __post_init__(self) -> None:
        """Raises ValueError, which msgspec reports with the field's place."""
        if self.create == "plugin" and not (self.plugin_url or "").startswith(("https://", "http://")):
            raise ValueError("pluginUrl must be an http or https address where create is plugin")
        if not self.settle_seconds > 0:
            raise ValueError("settleSeconds must be more than 0")


def defaults(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Logins stand on the instance's own host, which the FHIR host names (`fumage-{instance}.canvasmedical.com`)."""
    host = (urlsplit(str(body.get("endpoint") or "")).hostname or "").removeprefix("fumage-")
    login = {"clientIn": "form", "scope": SCOPE, "tokenUrl": "/auth/token/", "authorizeUrl": "/auth/authorize/"}
    if host.endswith(".canvasmedical.com"):
        login |= {name: f"https://{host}{path}" for name, path in login.items() if name.endswith("Url")}
    return {"auth": login}


def accepts(resource_type: str) -> bool:
    return resource_type == "Patient"


def systems(side: Side) -> Systems:
    """Under which identifier systems our ids are known here and there."""
    ours = f"{side.ours}/Patient"
    return Systems(ours, _options(side).partner_system or ours)


def read(target: Target, side: Side) -> Read:
    """By their id; before a link by our identifier, then by those of the resource."""
    if target.remote_id is None:
        return (yield from _search(target, side))
    reply = yield Call("GET", f"{PATIENTS}/{segment(target.remote_id)}")
    if (none := absent(reply)) is not None:
        return none
    body = reply.find_object() if reply.ok else None
    if body is None:
        raise refused("reading a patient", reply)
    return _seen(body, side, reply)


def push(item: Item, side: Side) -> Push:
    """Update the patient it knows; create the one it does not, as configured."""
    if item.remote_id is not None:
        return (yield from _update(item, side, item.remote_id))
    if _options(side).create == "plugin":
        return (yield from _ask_plugin(item, side))
    reply = yield Call("POST", PATIENTS, _payload(item, side))
    if not reply.ok:
        raise refused("creating a patient", reply)
    found = _LOCATION.search(reply.headers.get("location", ""))
    if found is None:
        raise PartnerUnknown("creating a patient was accepted without a location")
    return Accepted(found[1])


def scan(cursor: str | None, side: Side) -> Scan:
    """One page of all patients: Canvas documents no way to ask for the changed ones only."""
    params = tuple(parse_qsl(cursor)) if cursor else (("_count", LARGEST_PAGE), ("_offset", "0"))
    reply = yield Call("GET", PATIENTS, params=params)
    bundle = reply.find(Answers) if reply.ok else None
    if bundle is None:
        raise refused("looking through the patients", reply)
    found = tuple(_found(body, side) for body in bundle.matches())
    following = _next(reply)
    return Page(found, following, more=following is not None)


def probe(_: Side) -> Generator[Call, Reply, None]:
    reply = yield Call("GET", PATIENTS, params=(("_count", "1"),))
    if not reply.ok:
        raise refused("looking for patients", reply)


def event(payload: Any) -> Event:
    return events.from_standard(payload)


def translate(data: Mapping[str, Any], target: Target, side: Side) -> Seen:
    """An event's own Patient."""
    told = model.from_canvas(data, systems(side))
    return Seen(target.remote_id or data["id"], told.patient, coverage=told.coverage)


def settles(side: Side) -> float:
    """There is no conditional create, and the plugin makes duplicates."""
    return _options(side).settle_seconds


def created(body: Resource, side: Side) -> Resource | None:
    """What the plugin makes of a patient: one given name, a whole birth date, the sex and our identifier."""
    if _options(side).create == "fhir":
        return None
    told = plugin_model.to_seed(body, partner_id="")
    name = {"use": "official", "family": told["lastName"], "given": [told["firstName"]]}
    ours = [one for one in body.get("identifier", []) if one.get("system") == systems(side).ours]
    made = {"resourceType": "Patient", "identifier": ours, "name": [name], "birthDate": told.get("dateOfBirth")}
    sex = plugin_model.sex_of(told.get("sexAtBirth"))
    return {key: value for key, value in {**made, **sex}.items() if value}


def elsewhere(options: Any) -> tuple[str, str] | None:
    """The plugin's address takes its key raw in Authorization."""
    chosen = options if isinstance(options, Options) else Options()
    return (chosen.plugin_url, "authorization") if chosen.create == "plugin" and chosen.plugin_url else None


def _options(side: Side) -> Options:
    return side.options if isinstance(side.options, Options) else Options()


def _search(target: Target, side: Side) -> Read:
    """The documented search takes one identifier at a time; ours decides if it finds anybody."""
    known = systems(side)
    ours = list(dict.fromkeys([(known.partner, target.id), (known.ours, target.id)]))
    for tokens in (ours, list(target.identifiers)):
        found: dict[str, tuple[Resource, Reply]] = {}
        for system, value in tokens:
            reply = yield Call("GET", PATIENTS, params=(("identifier", f"{system}|{value}"),))
            found |= {str(body.get("id")): (body, reply) for body in _matches(reply)}
        if len(found) > 1:
            raise AmbiguousMatch(f"they hold {len(found)} patients with these identifiers")
        for body, reply in found.values():
            return _seen(body, side, reply)
    return Seen(None, None)


def _matches(reply: Reply) -> list[Resource]:
    bundle = reply.find(Answers) if reply.ok else None
    if bundle is None:
        raise refused("searching a patient", reply)
    return bundle.matches()


def _seen(body: Resource, side: Side, reply: Reply) -> Seen:
    told = model.from_canvas(body, systems(side))
    at = _last_updated(body)
    version = _http_date(at) if at else reply.headers.get("date")
    return Seen(str(body["id"]), told.patient, at, version, told.coverage, told.raw)


def _found(body: Resource, side: Side) -> Found:
    """One that is no Patient is handed on as it is, to be refused for itself."""
    try:
        told = model.from_canvas(body, systems(side))
    except NotConformant:
        return Found("Patient", str(body.get("id")), body)
    return Found("Patient", str(body["id"]), told.patient, _last_updated(body), coverage=told.coverage)


def _last_updated(body: Resource) -> str | None:
    """Not documented, but used where an instance tells it."""
    meta = body.get("meta")
    return events.instant(meta.get("lastUpdated")) if isinstance(meta, dict) else None


def _http_date(text: str) -> str:
    """The whole second in which, or after which, that instant lies (RFC 9110 §5.6.7 has no fractions)."""
    moment = times.from_instant(text)
    return format_datetime((moment + timedelta(microseconds=999_999)).replace(microsecond=0), usegmt=True)


def _update(item: Item, side: Side, remote_id: str) -> Push:
    """A PUT replaces whole lists: it repeats what was just read, under the ids that Canvas gave the entries."""
    raw, since = item.raw, item.version or _read_date(item.read_at)
    if raw is None:
        seen = yield from read(Target("Patient", item.id, remote_id), side)
        raw, since = seen.raw, since or seen.version
    if raw is None:
        raise PartnerRejected("updating a patient: they do not hold this patient any more")
    headers = {"if-unmodified-since": since} if since else {}
    reply = yield Call("PUT", f"{PATIENTS}/{segment(remote_id)}", _payload(item, side, raw), headers)
    if reply.status == 412:
        raise VersionConflict("they changed the patient since it was read; nothing was applied")
    if not reply.ok:
        raise refused("updating a patient", reply)
    return Accepted(remote_id)


def _read_date(at: datetime | None) -> str | None:
    """Our own clock, where an answer had neither lastUpdated nor Date."""
    return format_datetime(at.replace(microsecond=0), usegmt=True) if at else None


def _payload(item: Item, side: Side, raw: Resource | None = None) -> Resource:
    try:
        return model.to_canvas(item.body, systems(side), raw=raw)
    except NotConformant as error:
        raise PartnerRejected(error.message, expression=error.expression) from None


def _ask_plugin(item: Item, side: Side) -> Push:
    _payload(item, side)  # what FHIR would refuse is not created by another way
    partner_id = _partner_id(item, side)
    reply = yield Call("POST", str(_options(side).plugin_url), plugin_model.to_seed(item.body, partner_id=partner_id))
    if reply.status == 401:
        raise PartnerLoginExpired("the plugin does not take its key (auth.otherKey)")
    if not reply.ok:
        raise refused("creating a patient through the plugin", reply)
    raise PartnerPending("the plugin took the patient, who is linked as soon as Canvas tells its id")


def _partner_id(item: Item, side: Side) -> str:
    """The id that Canvas is to call us with: under the partner's system, else ours."""
    known = systems(side)
    listed = item.body.get("identifier", [])
    named = (str(one["value"]) for one in listed if one.get("system") == known.partner and one.get("value"))
    return next(named, item.id)


def _next(reply: Reply) -> str | None:
    """The query of `link[next]`, whose address is relative; an empty set has no links."""
    bundle = reply.find_object() or {}
    links = bundle.get("link")
    for one in links if isinstance(links, list) else ():
        if isinstance(one, dict) and one.get("relation") == "next" and isinstance(one.get("url"), str):
            return urlsplit(one["url"]).query or None
    return None
