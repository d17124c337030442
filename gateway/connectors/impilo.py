"""Impilo, API v3: API key; one name, phone, e-mail and address; linked by the external identifier; readings by event.

Source: docs.impiloplatform.com (patients, webhooks). There is no locking: what is not ours to say is read right before
a write and put back. docs/how-to/connect-impilo.md says what was decided where the documentation is silent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Mapping
from typing import Any, Literal

import msgspec

from gateway.connectors import event as events
from gateway.connectors.call import (
    Accepted,
    Call,
    Found,
    Gather,
    Page,
    Push,
    Read,
    Reply,
    Scan,
    Seen,
    absent,
    keyed,
    refused,
    segment,
)
from gateway.connectors.event import Event
from gateway.connectors.impilo_webhooks import EVENTS, LARGEST_PAGE, content, event, event_id, register, unregister
from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import AmbiguousMatch, Conflict, InvalidInput, PartnerUnknown, VersionConflict
from gateway.fhir.form import ONE_ADDRESS, ONE_EMAIL, ONE_NAME, ONE_PHONE, Form, narrow, render
from gateway.fhir.json import Resource
from gateway.fhir.record import Coverage, Record
from gateway.identity.agree import agrees, may_be_relatives
from gateway.translators.json import impilo as model
from gateway.translators.json import impilo_readings as readings

__all__ = ["EVENTS", "event", "event_id", "register", "unregister"]

PROFILE = "impilo"
ID_SYSTEM = model.ID_SYSTEM
PATIENTS = "/patient"
KEEPS_SECRET = True

form = Form(
    reads=Coverage(
        model.CARRIED
        | {f"extension[{model.ENROLLED}]", f"extension[{model.ADDRESS_NOTE}]", "managingOrganization", "identifier"}
    ),
    writes=model.CARRIED,
    fields=(ONE_NAME, ONE_PHONE, ONE_EMAIL, ONE_ADDRESS),
    parts={"name": model.NAME_PARTS, "address": model.ADDRESS_PARTS},
    partial=True,
)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`identifier_strategy`: what we give as external identifier. `external_system`: the identifier system of those
    that are not our ids. `units`: kind of reading -> UCUM unit, as the operator knows it of their account."""

    identifier_strategy: Literal["verbatim", "md5-email-phone", "hmac-sha256"] = "verbatim"
    external_system: str = model.EXTERNAL_SYSTEM
    units: dict[str, str] = {}

    def __post_init__(self) -> None:
        for kind, unit in self.units.items():
            if unit not in readings.UNITS.get(kind, {}):
                allowed = "; ".join(f"{name}: {', '.join(units)}" for name, units in readings.UNITS.items())
                raise ValueError(f"units.{kind} must be one of {allowed}")


def defaults(body: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG001 (the protocol's signature)
    """No rate is documented: five calls a second ask for no trouble."""
    sync = {"signature": "header", "header": "Impilo-Webhook-Secret"}
    return {"idSystem": ID_SYSTEM, "rateLimit": {"requests": 5, "seconds": 1}, "sync": sync}


def accepts(resource_type: str) -> bool:
    return resource_type == "Patient"


def read(target: Target, side: Side) -> Read:
    """By their id; before a link by the external identifier that we would give, and by those that the patient has."""
    if target.remote_id is not None:
        return (yield from _get(target.remote_id, side))
    for system, value in target.identifiers:
        if system == side.id_system:
            seen = yield from _get(value, side)
            if seen.body is not None:
                return seen
    for value in (yield from _external_values(target, side)):
        found = yield from _find(value)
        if found is not None:
            listed = (_options(side).external_system, value) in target.identifiers
            return _of_hers(found, target.body or {}, side, value, listed=listed)
    return Seen(None, None)


def push(item: Item, side: Side) -> Push:
    """PATCH of what differs (PUT where the connector says so), else POST.

    Raises VersionConflict when somebody made it meanwhile: then it is read and compared first.
    """
    if item.remote_id is not None:
        return (yield from _update(item, item.remote_id, side))
    _check_names(item)
    external = yield from external_identifier(item.id, item.body, side)
    body = {"externalIdentifier": external, **_present(model.to_impilo(item.body))}
    reply = yield Call("POST", PATIENTS, body)
    if reply.status == 409:
        if (yield from _find(external)) is not None:
            raise VersionConflict("they hold a patient with this external identifier since they were last read")
        raise Conflict("they refuse the external identifier as taken, but do not find it")
    found = reply.find_object() if reply.ok else None
    if not reply.ok:
        raise refused("creating a patient", reply)
    if found and _id_of(found):
        return _accepted(found, side)
    found = yield from _find(external)
    if found is None:
        raise PartnerUnknown("creating a patient was answered without an id, and it is not found by ours")
    _of_hers(found, item.body, side, external)
    return _accepted(found, side)


def external_identifier(our_id: str, patient: Resource, side: Side) -> Generator[Call, Reply, str]:
    """The external identifier of a patient: the customer's own where she has one, else by the strategy.

    Raises Conflict where there is nothing to make it of.
    """
    if (own := _own(patient, side)) is not None:
        return own
    strategy = _options(side).identifier_strategy
    if strategy == "hmac-sha256":
        return (yield from keyed(our_id))
    return our_id if strategy == "verbatim" else md5_email_phone(patient)


def _own(patient: Resource, side: Side) -> str | None:
    """The customer's own external identifier of a patient, unless it is hers no longer."""
    system = _options(side).external_system
    own = [one for one in patient.get("identifier") or [] if one.get("system") == system and one.get("value")]
    return next((str(one["value"]) for one in own if one.get("use") not in ("old", "temp")), None)


def md5_email_phone(patient: Resource) -> str:
    """MD5 of the lower-case e-mail and the digits of the phone number, as their guide has it. Guessable, shared by
    families, and another one after each change: a link for systems that use it already, no proof of identity.

    Raises Conflict when both are missing: everybody without them would be one patient.
    """
    email = (model.telecom(patient, "email") or "").strip().lower()
    digits = re.sub(r"\D", "", model.telecom(patient, "phone") or "", flags=re.ASCII)  # as Java's, of their guide
    if not email + digits:
        raise Conflict("neither an e-mail address nor a phone number, of which an external identifier could be made")
    return hashlib.md5(f"{email}{digits}".encode(), usedforsecurity=False).hexdigest()


def translate(data: Mapping[str, Any], target: Target, side: Side) -> Seen:
    """An event's own model: only what it names is covered, and nothing by absence."""
    found = model.from_impilo(data, _systems(side), whole=False, known=target.known)
    coverage = Coverage(found.coverage.elements, absence=False)
    at = events.instant(data.get("updatedAt"))
    return Seen(target.remote_id, found.patient, at, coverage=coverage, issues=found.issues)


def gather(told: Event, side: Side) -> Gather:
    """The Observation of a reading, and the patient it belongs to as they are now."""
    reading = told.data["reading"]
    patient = reading.get("patient")
    patient_id = events.text(patient.get("id")) if isinstance(patient, dict) else None
    if patient_id is None or told.remote_id is None:
        raise InvalidInput("a reading must name its patient in payload.patient.id", expression="payload.patient.id")
    units = _options(side).units
    observation = readings.to_observation(told.data["kind"], reading, patient=patient_id, units=units)
    seen = yield from _get(patient_id, side)
    owner = Found("Patient", patient_id, seen.body, seen.at, coverage=seen.coverage, issues=seen.issues)
    left_out = readings.left_out(told.data["kind"], reading)
    return [owner, Found("Observation", told.remote_id, observation, issues=left_out)]


def scan(cursor: str | None, side: Side) -> Scan:
    """A page of the list; there is no filter by time, so every look goes through all of them."""
    page = int(cursor or 1)
    params = (("sort", "patientId"), ("page", str(page)), ("size", str(LARGEST_PAGE)))
    reply = yield Call("GET", PATIENTS, params=params)
    listed = content(reply, "listing patients")
    found = tuple(_found(one, side) for one in listed if _id_of(one))
    more = bool(listed) and (reply.find_object() or {}).get("last") is not True
    return Page(found, str(page + 1) if more else None, more)


def probe(side: Side) -> Generator[Call, Reply, None]:  # noqa: ARG001
    content((yield Call("GET", PATIENTS, params=(("page", "1"), ("size", "1")))), "listing patients")


def _update(item: Item, remote_id: str, side: Side) -> Push:
    """Both names are required in every write; an address is written as a whole, its note put back."""
    _check_names(item)
    ours = model.to_impilo(item.body)
    if f"identifier[{side.ours}/Patient]" in item.due:
        ours["externalIdentifier"] = yield from external_identifier(item.id, item.body, side)
    path = f"{PATIENTS}/{segment(remote_id)}"
    names = model.fields_of(item.due) if item.due else set(ours)
    whole = side.update == "PUT"
    held = (yield from _held(path)) if whole or names & {"address", "externalIdentifier"} else {}
    changed = {name: ours[name] for name in _WRITTEN if name in names | _ALWAYS and name in ours}
    if held and all(held.get(name) == value for name, value in changed.items()):
        return _accepted(held, side)
    reply = yield _written(path, held, changed, whole=whole)
    if reply.status == 409 and _is_shared(side) and changed.pop("externalIdentifier", None):
        reply = yield _written(path, held, changed, whole=whole)  # one of her family has it; the link is by their id
    if reply.status == 409:
        raise Conflict("they refuse the external identifier: another patient of theirs has it")
    if not reply.ok:
        raise refused("updating a patient", reply)
    answer = reply.find_object()
    return _accepted(answer, side) if answer and _id_of(answer) else Accepted(remote_id)


def _written(path: str, held: Mapping[str, Any], changed: dict[str, Any], *, whole: bool) -> Call:
    return Call("PUT", path, _replaced(held, changed)) if whole else Call("PATCH", path, _with_note(held, changed))


def _check_names(item: Item) -> None:
    """Raises Conflict for a patient whom they cannot hold."""
    name = model.one_name(item.body)
    if not (name.get("given") and name.get("family")):
        raise Conflict("Impilo requires a first and a last name, and a name is never split or made up")


def _replaced(held: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The whole of what they hold with what differs in it: a PUT clears what it leaves out."""
    kept = {name: held[name] for name in (*_WRITTEN, "site", "enrolled") if held.get(name) is not None}
    if isinstance(kept.get("dateOfBirth"), str):
        kept["dateOfBirth"] = kept["dateOfBirth"][:10]
    return _present(_with_note(held, {**kept, **ours}))


def _with_note(held: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    address = held.get("address")
    note = address.get("note") if isinstance(address, dict) else None
    return {**body, "address": {**body["address"], "note": note}} if body.get("address") and note else body


_WRITTEN = (
    "externalIdentifier", "firstName", "lastName", "dateOfBirth", "sex", "email", "phoneNumber", "address", "archived",
)  # fmt: skip


_ALWAYS = frozenset({"firstName", "lastName"})


def _present(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what there is none of."""
    return {
        name: _present(value) if isinstance(value, dict) else value for name, value in body.items() if value is not None
    }


def _held(path: str) -> Generator[Call, Reply, dict[str, Any]]:
    reply = yield Call("GET", path)
    found = reply.find_object() if reply.ok else None
    if found is None:
        raise refused("reading a patient before a write", reply)
    return found


def _get(remote_id: str, side: Side) -> Read:
    reply = yield Call("GET", f"{PATIENTS}/{segment(remote_id)}")
    if (none := absent(reply)) is not None:
        return none
    found = reply.find_object() if reply.ok else None
    if found is None or _id_of(found) is None:
        raise refused("reading a patient", reply)
    return _seen(found, side)


def _external_values(target: Target, side: Side) -> Generator[Call, Reply, list[str]]:
    """What the patient may be found by there, our own first."""
    ours: list[str] = []
    if target.id:
        try:
            ours = [(yield from external_identifier(target.id, _as_created(target.body), side))]
        except Conflict:
            ours = []  # nothing to make one of: it cannot be there under it either
    named = [value for system, value in target.identifiers if system == _options(side).external_system]
    return list(dict.fromkeys([*ours, *named]))


def _as_created(patient: Resource | None) -> Resource:
    """With the one phone and e-mail that a create would hold, of which the identifier is made."""
    if patient is None:
        return {}
    return narrow(patient, form, render(patient, form, Record("", "Patient", "")))


def _find(external: str) -> Generator[Call, Reply, dict[str, Any] | None]:
    """The one with this external identifier. Raises AmbiguousMatch when there are several."""
    reply = yield Call("GET", PATIENTS, params=(("externalIdentifier", external),))
    listed = content(reply, "finding a patient")
    found = [one for one in listed if one.get("externalIdentifier") == external and _id_of(one)]
    if len(found) > 1:
        raise AmbiguousMatch(f"they hold {len(found)} patients with one external identifier")
    return found[0] if found else None


def _seen(found: Mapping[str, Any], side: Side) -> Seen:
    read_ = model.from_impilo(found, _systems(side), whole=True)
    at = events.instant(found.get("updatedAt"))
    return Seen(_id_of(found), read_.patient, at, coverage=read_.coverage, issues=read_.issues)


def _of_hers(found: Mapping[str, Any], patient: Resource, side: Side, external: str, *, listed: bool = False) -> Seen:
    """Who was found by an external identifier. One made of e-mail and phone is a whole family's, and twins share the
    birth date as well; one of a system that is not `listed` as a key is none: both find somebody only where nothing
    speaks of two people. Raises Conflict."""
    seen = _seen(found, side)
    body, unsure = seen.body or {}, _is_shared(side) or (external == _own(patient, side) and not listed)
    if unsure and (not agrees(body, patient).full or may_be_relatives(body, patient)):
        raise Conflict("held: their patient of this external identifier has another name or birth date, or lacks one")
    return seen


def _is_shared(side: Side) -> bool:
    """Whether a family may have one external identifier."""
    return _options(side).identifier_strategy == "md5-email-phone"


def _accepted(found: Mapping[str, Any], side: Side) -> Accepted:
    seen = _seen(found, side)
    return Accepted(seen.remote_id or "", seen.body, seen.at, coverage=seen.coverage)


def _found(one: Mapping[str, Any], side: Side) -> Found:
    seen = _seen(one, side)
    return Found("Patient", seen.remote_id or "", seen.body, seen.at, coverage=seen.coverage, issues=seen.issues)


def _id_of(found: Mapping[str, Any]) -> str | None:
    return events.text(found.get("id"))


def _systems(side: Side) -> model.Systems:
    return model.Systems(f"{side.ours}/Patient", _options(side).external_system)


def _options(side: Side) -> Options:
    return side.options if isinstance(side.options, Options) else Options()
