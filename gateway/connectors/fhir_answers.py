"""What a FHIR server answers, as far as we look into it: whatever does not have these shapes is no answer to us."""

from __future__ import annotations

import msgspec

from gateway.fhir.json import Resource


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
    location: str = ""
    etag: str | None = None
    last_modified: str | None = None


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


class Complaint(msgspec.Struct):
    """OperationOutcome.issue."""

    severity: str = "error"
    code: str = "processing"
    expression: list[str] = []
    location: list[str] = []


class Outcome(msgspec.Struct, tag_field="resourceType", tag="OperationOutcome"):
    issue: list[Complaint] = []
