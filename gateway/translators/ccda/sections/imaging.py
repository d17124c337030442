"""Diagnostic imaging reports and pictures in other sections -> Observation, Procedure, Media (C-CDA R2.1 §1.1.7, §3.13,
§3.101, §3.106; CDA R2 §4.3.6.4)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import CATEGORY, member
from gateway.translators.ccda.people import recording
from gateway.translators.ccda.registry import entry, others, otherwise
from gateway.translators.ccda.sections.procedures import procedure
from gateway.translators.ccda.statement import mapped, notes, related
from gateway.translators.ccda.unstructured import attachment
from gateway.translators.ccda.values import concept, identifiers, kept, timed

_DIR = "2.16.840.1.113883.10.20.6.2."
_IMAGING = [concept("imaging", CATEGORY, "Imaging")]


@entry(*(_DIR + one for one in ("12", "13", "14")))
def finding(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Text, Code and Quantity Measurement Observation."""
    yield member(observation, ctx, categories=_IMAGING)


@entry(_DIR + "5")
def procedure_context(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Procedure Context: the procedure that the document reports."""
    yield procedure(act, ctx)


@otherwise("observationMedia")
def media(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    """A picture in the document, or one that it names."""
    value = statement.get("value")
    content = attachment(value, ctx) if value is not None else None
    if content is None:
        return
    status = mapped("procedure-status", statement.attribute("statusCode", "code"))
    author, _ = recording(statement, ctx)
    body = {
        "identifier": identifiers(statement.all("id")),
        "status": status.code if status else "unknown",
        "subject": ctx.patient,
        **timed("created", statement.get("effectiveTime"), ctx),
        "operator": author,
        "content": content,
        "note": notes(related(statement), ctx),
    }
    yield ctx.add("Media", kept(body), statement)


@otherwise("regionOfInterest")
def region(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    """A part of a picture: R4 has no element for where it is, but has the picture."""
    yield from others(related(statement), ctx)
