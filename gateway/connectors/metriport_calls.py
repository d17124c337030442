"""What a user or an operator can have Metriport do: one row per call (metriport.md, the tables of every section)."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import msgspec

from gateway.connectors.call import Call, Reply, segment
from gateway.connectors.protocol import Side
from gateway.errors import InvalidInput, Missing, PartnerRejected, Unparsable

ROOT = "/medical/v1"
PATIENTS = f"{ROOT}/patient"

Arguments = Mapping[str, Any]
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`options` of the connector file. `facilityId` = the facility that our patients are seen at; `filters` narrow what
    a look through their patients meets; `sandbox`: at most 50 resources in one contribution; `documents`: whether the
    files that a webhook names are fetched."""

    facility_id: str | None = msgspec.field(default=None, name="facilityId")
    filters: str | None = None
    sandbox: bool = False
    documents: bool = True


class Operation(NamedTuple):
    """One call. `path` names arguments in braces, `query` and `body` list those that go there (`*` = the whole body),
    `headers` those that go into a header; `needs` = what must be given. `gives`: what becomes of the answer;
    `media`: of the file that is sent, where they take one kind only."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    about: str
    query: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    headers: Mapping[str, str] = _NOTHING
    needs: tuple[str, ...] = ()
    facility: bool = False
    gives: Literal["json", "file", "upload", "settings", "consolidated", "match", "contribute", "identities"] = "json"
    media: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """Everything that may be given, `patient` = our id of one."""
        named = (*_PLACES.findall(self.path), *self.query, *(name for name in self.body if name != "*"), *self.headers)
        renamed = ("patient" if name == "patientId" else name for name in named)
        return tuple(dict.fromkeys((*renamed, *self.needs, *(("body",) if "*" in self.body else ()))))

    @property
    def required(self) -> tuple[str, ...]:
        """What must be given."""
        return tuple(dict.fromkeys((*_PLACES.findall(self.path), *self.needs)))


_PLACES = re.compile(r"\{(\w+)\}")
_PAGED = ("count", "fromItem", "toItem")
_LIMITS = ("resources", "dateFrom", "dateTo")
_ONE = f"{PATIENTS}/{{patient}}"
_P = ("patientId",)

OPERATIONS: Mapping[str, Operation] = {
    "patients": Operation("GET", PATIENTS, "their patients", ("facilityId", "filters", *_PAGED)),
    "match": Operation(
        "POST", f"{PATIENTS}/match", "whom they hold for our patient", needs=("patient",), gives="match"
    ),
    "patient-facilities": Operation("GET", f"{_ONE}/facility", "where she is seen"),
    "set-patient-facilities": Operation(
        "POST", f"{_ONE}/facility", "set it", body=("facilityIds",), needs=("facilityIds",)
    ),
    "delete-patient": Operation("DELETE", _ONE, "their copy ends, ours stays", facility=True),
    "opt-out": Operation("PUT", f"{_ONE}/hie-opt-out", "share her data or not", ("hieOptOut",), needs=("hieOptOut",)),
    "external-sync": Operation("POST", f"{_ONE}/external/sync", "link her in their EHR", ("source",)),
    "bulk-create": Operation(
        "POST",
        f"{PATIENTS}/bulk",
        "create patients from a CSV file",
        ("dryRun",),
        facility=True,
        gives="upload",
        media="text/csv",
    ),
    "bulk-status": Operation("GET", f"{PATIENTS}/bulk/{{request}}", "what became of it"),
    "network-query": Operation(
        "POST",
        f"{ROOT}/network/query",
        "ask the networks; the data come by webhook",
        ("patientId", "purposeOfUse"),
        ("sources", "metadata", "proofedIdentityId"),
        {"aal2Session": "x-aal2-session"},
        needs=("patient",),
    ),
    "network-status": Operation("GET", f"{ROOT}/network/query/{{request}}", "what became of it"),
    "network-entries": Operation("GET", f"{ROOT}/network-entry", "who is in the networks", ("filter", *_PAGED)),
    "consolidated-query": Operation(
        "POST",
        f"{_ONE}/consolidated/query",
        "have her data put together; they come by webhook",
        ("conversionType", *_LIMITS),
        ("metadata",),
    ),
    "consolidated-queries": Operation("GET", f"{_ONE}/consolidated/query", "her queries"),
    "consolidated-status": Operation("GET", f"{_ONE}/consolidated/query/{{request}}", "one of them"),
    "consolidated-count": Operation("GET", f"{_ONE}/consolidated/count", "how much there is", _LIMITS),
    "consolidated": Operation("GET", f"{_ONE}/consolidated", "take her data in now", _LIMITS, gives="consolidated"),
    "consolidated-search": Operation(
        "GET", f"{_ONE}/consolidated/search", "what of it has these words", ("query", *_LIMITS)
    ),
    "contribute": Operation("PUT", f"{_ONE}/consolidated", "send them what we know of her", gives="contribute"),
    "summary": Operation(
        "GET", f"{_ONE}/medical-record", "her summary", ("conversionType",), needs=("conversionType",), gives="file"
    ),
    "summary-status": Operation("GET", f"{_ONE}/medical-record-status", "when it was made"),
    "document-query": Operation(
        "POST",
        f"{ROOT}/document/query",
        "fetch her documents",
        ("patientId", "facilityId"),
        ("metadata",),
        needs=("patient",),
    ),
    "document-progress": Operation("GET", f"{ROOT}/document/query", "how far that is", _P, needs=("patient",)),
    "documents": Operation(
        "GET", f"{ROOT}/document", "her documents", ("patientId", "dateFrom", "dateTo", "content"), needs=("patient",)
    ),
    "document": Operation(
        "GET",
        f"{ROOT}/document/download-url",
        "one of them",
        ("fileName", "conversionType"),
        needs=("fileName",),
        gives="file",
    ),
    "document-bulk": Operation(
        "POST", f"{ROOT}/document/download-url/bulk", "all of them, by webhook", _P, ("metadata",), needs=("patient",)
    ),
    "document-upload": Operation(
        "POST",
        f"{ROOT}/document/upload",
        "give them a document",
        _P,
        ("type", "description", "context"),
        needs=("patient",),
        gives="upload",
    ),
    "messages": Operation("GET", f"{ROOT}/message", "secure messages", ("direction", "patientId", *_PAGED)),
    "message": Operation("GET", f"{ROOT}/message/{{message}}", "one of them"),
    "send-message": Operation(
        "POST",
        f"{ROOT}/message",
        "write to somebody about her",
        _P,
        ("destination", "subject", "body", "attachments", "intendedRecipientNpi"),
        needs=("patient", "destination", "subject"),
    ),
    "destinations": Operation(
        "GET", f"{ROOT}/message/destination", "whom one can write to", ("name", "npi", "state", "filter")
    ),
    "identity-session": Operation(
        "POST",
        f"{ROOT}/identity/session",
        "have her show who she is",
        body=("patientId", "redirectUrl", "metadata"),
        needs=("patient", "redirectUrl"),
    ),
    "identities": Operation("GET", "", "who has shown it", gives="identities"),
    "aal2-challenge": Operation(
        "POST",
        f"{ROOT}/identity/aal2/challenge",
        "ask for her second factor",
        body=("proofedIdentityId", "redirectUrl"),
        needs=("proofedIdentityId", "redirectUrl"),
    ),
    "embed-token": Operation("POST", f"{ROOT}/token/embed", "a token for their pages", body=("expirationInSeconds",)),
    "organization": Operation("GET", f"{ROOT}/organization", "our organization there"),
    "set-organization": Operation("POST", f"{ROOT}/organization", "say who we are", body=("*",), needs=("body",)),
    "facilities": Operation("GET", f"{ROOT}/facility", "our facilities there"),
    "facility": Operation("GET", f"{ROOT}/facility/{{facility}}", "one of them"),
    "create-facility": Operation("POST", f"{ROOT}/facility", "add one", body=("*",), needs=("body",)),
    "update-facility": Operation("PUT", f"{ROOT}/facility/{{facility}}", "change one", body=("*",), needs=("body",)),
    "delete-facility": Operation("DELETE", f"{ROOT}/facility/{{facility}}", "remove one"),
    "settings": Operation("GET", "/settings", "where their webhooks go"),
    "set-webhook": Operation(
        "POST", "/settings", "have their webhooks sent here", body=("webhookUrl",), gives="settings"
    ),
    "webhook-status": Operation("GET", "/settings/webhook", "whether they arrive"),
    "webhook-retry": Operation("POST", "/settings/webhook/retry", "send the failed ones again"),
}

_WHERE = re.compile(r"on \[([A-Za-z0-9_., ]{1,80})\]")


def options_of(side: Side) -> Options:
    """The connector's options; the usual ones where it has none."""
    return side.options if isinstance(side.options, Options) else Options()


def check(operation: Operation, arguments: Arguments) -> None:
    """Raises InvalidInput naming the argument that is unknown or missing."""
    for name in arguments:
        if name not in operation.arguments:
            raise InvalidInput(f"{name!r} is none of: {', '.join(operation.arguments)}", expression=name)
    for name in operation.required:
        if arguments.get(name) in (None, ""):
            raise InvalidInput(f"{name} is required", expression=name)
    if arguments.get("purposeOfUse") == "ias" and not (
        arguments.get("aal2Session") and arguments.get("proofedIdentityId")
    ):
        raise InvalidInput("purposeOfUse ias needs proofedIdentityId and aal2Session", expression="purposeOfUse")


def call(operation: Operation, arguments: Arguments, side: Side, body: Any = None) -> Call:
    """The call of an operation; in the arguments `patient` is their id of the patient. `body` replaces the table's."""
    given = dict(arguments) | ({"patientId": arguments["patient"]} if arguments.get("patient") else {})
    path = _PLACES.sub(lambda place: segment(str(given[place[1]])), operation.path)
    params = [(name, _text(given[name])) for name in operation.query if given.get(name) is not None]
    if operation.facility:
        params.append(("facilityId", facility_of(side)))
    headers = {header: str(given[name]) for name, header in operation.headers.items() if given.get(name)}
    return Call(operation.method, path, _body(operation, given) if body is None else body, headers, tuple(params))


def run(operation: Operation, arguments: Arguments, side: Side, body: Any = None) -> Generator[Call, Reply, Any]:
    """One call and its answer; None when there is none. Raises PartnerRejected or Missing."""
    return answered((yield call(operation, arguments, side, body)))


def answered(reply: Reply) -> Any:
    """The JSON of an answer; None where there is none, or a word (`OK`). Raises Missing for a 404, PartnerRejected for
    what they refuse: the fields, no values; and for what cannot be read."""
    if reply.status == 404:
        raise Missing("they do not have what was asked for")
    if not reply.ok:
        raise PartnerRejected(f"they answered with status {reply.status}{complaint(reply)}")
    try:
        return reply.json if reply.body else None
    except Unparsable:
        if reply.headers.get("content-type", "").startswith("text/plain"):
            return None
        raise PartnerRejected("they answered with what is no JSON") from None


def complaint(reply: Reply) -> str:
    """The fields that they complain about, as they name them; never a value."""
    problem = reply.find_object() or {}
    fields = ", ".join(_WHERE.findall(str(problem.get("detail", ""))))
    return f" about {fields}" if fields else ""


def facility_of(side: Side) -> str:
    """Raises PartnerRejected when the connector does not say which facility is meant."""
    facility = options_of(side).facility_id
    if facility is None:
        raise PartnerRejected("options.facilityId is missing: they require a facility for every patient")
    return facility


def _body(operation: Operation, given: Arguments) -> Any:
    if "*" in operation.body:
        return given["body"]
    body = {name: _typed(name, given[name]) for name in operation.body if given.get(name) is not None}
    return body or ({} if operation.body else None)


_LISTS = ("sources", "attachments", "intendedRecipientNpi", "facilityIds")
_NUMBERS = ("expirationInSeconds",)


def _typed(name: str, value: Any) -> Any:
    """Text where they want a list (parted by commas) or a number: a command line has only text."""
    if not isinstance(value, str):
        return value
    if name in _LISTS:
        return [part.strip() for part in value.split(",") if part.strip()]
    return int(value) if name in _NUMBERS and value.isascii() and value.isdigit() else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
