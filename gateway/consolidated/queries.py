"""Consolidated queries: asked for now, answered by webhook with short-lived addresses (Metriport, "Consolidated Data").

The webhook is queued with the request itself, so that one is never without the other.
"""

from __future__ import annotations

import gzip
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

import msgspec

from gateway import reading
from gateway.errors import InvalidInput, Missing
from gateway.fhir import gate, json, times
from gateway.fhir.json import Resource
from gateway.store import Reader, Tx
from gateway.store.requests import Request, find_request, put_request, requests_of
from gateway.store.subscribers import NewOutgoing, Subscriber, find_event, tell

from . import gather, page, rows
from .gather import Allowed, Filter
from .tickets import Tickets

KIND = "consolidated"
Form = Literal["json", "html", "pdf"]
MEDIA: Mapping[str, str] = {
    "json": "application/json",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "pdf": "application/pdf",
    "adt": "application/fhir+json",
}
_TYPE = "medical.consolidated-data"
_DAY = re.compile(r"\d{4}(-\d\d){0,2}", re.ASCII)
"""What FHIR's dates are compared with; Python takes 20240501 as well."""


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """One query as it was asked; `may` = the scopes of the key that asked, `event` = its webhook's id, if any."""

    form: Form | None = None
    types: tuple[str, ...] = ()
    date_from: str | None = None
    date_to: str | None = None
    metadata: dict[str, str] = {}
    may: tuple[str, ...] = ()
    event: str | None = None

    @property
    def filter(self) -> Filter:
        return Filter(self.types, self.date_from, self.date_to)

    def same(self, other: Asked) -> bool:
        """Whether both ask for the same."""
        return self._compared() == other._compared()

    def _compared(self) -> Asked:
        return msgspec.structs.replace(self, event=None, types=tuple(sorted(self.types)))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: its connector, what it may read, and the subscriber that is told of the result, if it has one."""

    connector: str
    scopes: frozenset[str]
    subscriber: Subscriber | None = None


def parse(params: Mapping[str, str], body: Any, scopes: frozenset[str]) -> Asked:
    """`conversionType`, `resources`, `dateFrom`, `dateTo` and the body's `metadata`. Raises InvalidInput naming the
    parameter."""
    if body is not None and not isinstance(body, dict):
        raise InvalidInput("Expected an object, on [body]")
    form = form_of(params.get("conversionType"))
    types = tuple(dict.fromkeys(part.strip() for part in params.get("resources", "").split(",") if part.strip()))
    if bad := [one for one in types if one not in gate.TYPES]:
        raise InvalidInput(f"Invalid resource type at place {types.index(bad[0]) + 1}, on [resources]")
    date_from, date_to = (_date(params.get(name), name) for name in ("dateFrom", "dateTo"))
    return Asked(form, types, date_from, date_to, metadata(body), tuple(sorted(scopes)))


def summary_form(text: str | None) -> Form:
    """Of a summary, which is there to be read by people. Raises InvalidInput."""
    form = form_of(text or "pdf")
    if form in ("html", "pdf"):
        return form
    raise InvalidInput("Invalid conversion type: html or pdf, on [conversionType]")


def form_of(text: str | None) -> Form | None:
    """A `conversionType`. Raises InvalidInput."""
    if text is None or text in get_args(Form):
        return text  # type: ignore[return-value]
    raise InvalidInput("Invalid conversion type: json, html or pdf, on [conversionType]")


def _date(text: str | None, name: str) -> str | None:
    """A whole or partial day as asked."""
    if not text:
        return None
    try:
        if not _DAY.fullmatch(text):
            raise ValueError(name)
        date.fromisoformat(text + "-01-01"[len(text) - 4 :])
    except ValueError:
        raise InvalidInput(f"Invalid date: YYYY-MM-DD, on [{name}]") from None
    return text


def metadata(body: Any) -> dict[str, str]:
    """At most 50 pairs, keys of 40 and values of 500 characters."""
    given = body.get("metadata") if isinstance(body, dict) else None
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > 50:
        raise InvalidInput("metadata must be an object of at most 50 pairs, on [metadata]")
    for key, value in given.items():
        if not isinstance(value, str) or len(key) > 40 or len(value) > 500:
            raise InvalidInput("metadata holds keys of 40 and text values of 500 characters, on [metadata]")
    return given


def start(tx: Tx, caller: Caller, patient_id: str, asked: Asked, tickets: Tickets) -> Resource:
    """Ask, and queue its webhook; the running one when the same is asked already. Raises Missing."""
    rid = gather.patient_rid(tx, patient_id)
    for row in requests_of(tx, KIND, caller.connector, patient_id, limit=20):
        if _asked(row).same(asked) and _status(tx, caller, row) == "processing":
            return described(row, "processing")
    event_id = str(uuid.uuid4()) if caller.subscriber else None
    request_id = str(uuid.uuid4())
    asked = msgspec.structs.replace(asked, event=event_id)
    text = json.encode(msgspec.to_builtins(asked)).decode()
    row = Request(request_id, KIND, caller.connector, patient_id, "asked", text, None, tx.now)
    put_request(tx, row)
    if caller.subscriber and event_id:
        said = _message(tx, caller, row, asked, rid, tickets)
        tell(tx, caller.subscriber, [NewOutgoing(event_id, _TYPE, json.encode(said), rid)])
    return described(row, "processing")


def listed(reader: Reader, caller: Caller, patient_id: str) -> list[Resource]:
    """Newest first. Raises Missing."""
    gather.patient_rid(reader, patient_id)
    found = requests_of(reader, KIND, caller.connector, patient_id)
    return [described(row, _status(reader, caller, row)) for row in found]


def get(reader: Reader, caller: Caller, patient_id: str, request_id: str) -> Resource:
    """Raises Missing."""
    row = find_request(reader, request_id)
    if row is None or (row.kind, row.principal, row.subject) != (KIND, caller.connector, patient_id):
        raise Missing("Could not find the query")
    return described(row, _status(reader, caller, row))


def newest(
    reader: Reader, caller: Caller, patient_id: str, form: str, open_to: Callable[[Request], bool]
) -> Request | None:
    """The last query that made a summary of that form, of those whose whole result is open to the caller."""
    found = requests_of(reader, KIND, caller.connector, patient_id)
    return next((row for row in found if _asked(row).form == form and open_to(row)), None)


def described(row: Request, status: str) -> Resource:
    """As Metriport shows a query."""
    asked = _asked(row)
    said: Resource = {"requestId": row.request_id, "status": status, "startedAt": times.to_millis(row.at)}
    said |= {"dateFrom": asked.date_from} if asked.date_from else {}
    said |= {"dateTo": asked.date_to} if asked.date_to else {}
    said |= {"resources": list(asked.types)} if asked.types else {}
    return said | ({"conversionType": asked.form} if asked.form else {})


def content(
    reader: Reader, directory: reading.Known, row: Request, form: str, base: str, allowed: Allowed
) -> bytes | rows.Summary:
    """What a ticket stands for, as it is now; of a PDF what is to be printed, which takes long. `base` = that of our
    FHIR API."""
    asked = _asked(row)
    record = gather.record(reader, directory, row.subject or "", asked.filter, allowed)
    if form in ("html", "pdf"):
        summary = rows.summary(record.found, record.named, asked.filter.limits(allowed))
        return page.html(summary) if form == "html" else summary
    data = json.encode(gather.bundle(record, base))
    return gzip.compress(data, mtime=0) if form == "gz" else data


def scopes_of(row: Request) -> frozenset[str]:
    """What the key that asked might read."""
    return frozenset(_asked(row).may)


def _asked(row: Request) -> Asked:
    return msgspec.convert(json.decode(row.asked.encode()), Asked)


def _status(reader: Reader, caller: Caller, row: Request) -> str:
    """Processing until its webhook was told, or could not be."""
    event_id = _asked(row).event
    event = find_event(reader, caller.subscriber, event_id) if caller.subscriber and event_id else None
    return "processing" if event is not None and event.state in ("due", "unknown") else "completed"


def _message(tx: Tx, caller: Caller, row: Request, asked: Asked, rid: int, tickets: Tickets) -> Resource:
    forms = (asked.form,) if asked.form in ("html", "pdf") else ("json", "gz")
    attachments = [
        {"attachment": {"contentType": MEDIA[form].partition(";")[0], "url": tickets.url(row.request_id, form, tx.now)}}
        for form in forms
    ]
    reference = {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": {"reference": f"Patient/{row.subject}"},
        "content": attachments,
    }
    bundle = {"resourceType": "Bundle", "type": "collection", "total": 1, "entry": [{"resource": reference}]}
    filters: Resource = {"resources": ",".join(asked.types)} if asked.types else {}
    filters |= {name: value for name, value in (("dateFrom", asked.date_from), ("dateTo", asked.date_to)) if value}
    patient = {**whom(tx, caller.connector, rid, row.subject or ""), "status": "completed", "filters": filters}
    meta: Resource = {
        "messageId": asked.event,
        "requestId": row.request_id,
        "when": times.to_millis(tx.now),
        "type": _TYPE,
    }
    meta |= {"data": asked.metadata} if asked.metadata else {}
    return {"meta": meta, "patients": [{**patient, "bundle": bundle}]}


def whom(reader: Reader, connector: str, rid: int, patient_id: str) -> Resource:
    """The patient by our id and by theirs, where they have one."""
    links = [
        one for one in reader.links([rid]).get(rid, ()) if one.connector == connector and one.remote_id != patient_id
    ]
    return {"patientId": patient_id, **({"externalId": links[0].remote_id} if links else {})}
