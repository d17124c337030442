"""What a FHIR server answers, as far as we look into it: whatever does not have these shapes is no answer to us."""

from __future__ import annotations

import re

import msgspec

from gateway.connectors.call import Reply
from gateway.fhir.json import Resource

FHIR_JSON = "application/fhir+json"

LOCATION = re.compile(r"(?:^|/)([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([^/]+))?$")
"""Type, id and version of a Location (FHIR R4 §3.1.0.8)."""

_CODE = re.compile(r"[a-z]+(?:-[a-z]+)*", re.ASCII)
"""As those of IssueType are (FHIR R4, OperationOutcome.issue.code)."""
_ELEMENT = re.compile(
    r"[A-Z][A-Za-z]*(?:\.[a-z][A-Za-z]*(?:\[(?:\d+|x)\]|\([A-Za-z]*\))?)+(?=$|/\*|\.[a-z]+\()", re.ASCII
)
"""The simple subset of FHIRPath, up to a comment (HAPI FHIR has some) or a function, which may hold a value."""


_REFUSED = re.compile(r"[45][0-9]{2}(?![0-9])", re.ASCII)


class Meta(msgspec.Struct, rename="camel"):
    version_id: str | None = None
    last_updated: str | None = None


class Identifier(msgspec.Struct):
    system: str | None = None
    value: str | None = None


class Held(msgspec.Struct, rename="camel"):
    """A resource of theirs, as far as we look into it ourselves."""

    resource_type: str
    id: str | None = None
    meta: Meta = msgspec.field(default_factory=Meta)
    identifier: list[Identifier] = []


class Response(msgspec.Struct, rename="camel"):
    status: str = ""
    location: str = ""
    etag: str | None = None
    last_modified: str | None = None

    @property
    def refused(self) -> int | None:
        """The status of an entry that was refused while others were not: there are servers that take a transaction for
        a batch."""
        return int(self.status[:3]) if _REFUSED.match(self.status) else None


class Search(msgspec.Struct):
    mode: str = "match"


class Answer(msgspec.Struct):
    """Bundle.entry of a transaction-response or a searchset."""

    resource: Resource | None = None
    response: Response = msgspec.field(default_factory=Response)
    search: Search = msgspec.field(default_factory=Search)


class Answers(msgspec.Struct, tag_field="resourceType", tag="Bundle"):
    entry: list[Answer] = []

    def matches(self) -> list[Resource]:
        """What a search found, without what it included or notes."""
        return [one.resource for one in self.entry if one.resource and one.search.mode == "match"]


class Link(msgspec.Struct):
    relation: str = ""
    url: str = ""


class Searchset(Answers, tag_field="resourceType", tag="Bundle"):
    """A page of a search."""

    meta: Meta = msgspec.field(default_factory=Meta)
    link: list[Link] = []

    def next_page(self) -> str | None:
        """The address of the next page (FHIR R4 §3.1.1.4)."""
        return next((one.url for one in self.link if one.relation == "next" and one.url), None)


class Complaint(msgspec.Struct):
    """OperationOutcome.issue."""

    severity: str = "error"
    code: str = "processing"
    expression: list[str] = []
    location: list[str] = []


class Outcome(msgspec.Struct, tag_field="resourceType", tag="OperationOutcome"):
    issue: list[Complaint] = []


def complaint(reply: Reply) -> Complaint:
    """Their first error, of whatever else they note: its code, and the elements that it names. What is neither may
    quote what was sent."""
    issues = (reply.find(Outcome) or Outcome()).issue
    errors = [issue for issue in issues if issue.severity in ("error", "fatal")]
    said = next(iter(errors or issues), Complaint())
    code = said.code if _CODE.fullmatch(said.code) else Complaint().code
    return Complaint(said.severity, code, _elements(said.expression), _elements(said.location))


def _elements(paths: list[str]) -> list[str]:
    return [found[0] for path in paths if (found := _ELEMENT.match(path))]
