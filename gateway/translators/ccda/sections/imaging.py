"""Diagnostic imaging reports and pictures in other sections -> Observation, Procedure, ImagingStudy, Media (C-CDA R2.1
§1.1.7, §3.13, §3.101, §3.106, Study Act, Series Act; CDA R2 §4.3.6.4)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.ids import is_fhir_id
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import CATEGORY, member
from gateway.translators.ccda.people import recording
from gateway.translators.ccda.registry import entry, others, otherwise
from gateway.translators.ccda.sections.procedures import procedure
from gateway.translators.ccda.statement import denied, mapped, notes, of_kind, related
from gateway.translators.ccda.unstructured import attachment
from gateway.translators.ccda.values import Value, absent, coding, concept, identifiers, kept, resolved, timed

_DIR = "2.16.840.1.113883.10.20.6.2."
_SERIES, _IMAGE = frozenset(["113015"]), frozenset([_DIR + "8"])
"""DICOM Series; SOP Instance Observation."""

_IMAGING = [concept("imaging", CATEGORY, "Imaging")]


@entry(*(_DIR + one for one in ("12", "13", "14")))
def finding(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Text, Code and Quantity Measurement Observation."""
    yield member(observation, ctx, categories=_IMAGING)


@entry(_DIR + "5")
def procedure_context(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Procedure Context: the procedure that the document reports."""
    yield procedure(act, ctx)


@entry(_DIR + "6")
def study(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """Study Act: the study with its series and the images in them. What is told of an image stands beside it."""
    if denied(act, ctx):
        return
    parts = related(act)
    series = [one for one in of_kind(_SERIES, parts) if _uid(one)]
    others([one for one in parts if one[1] not in series], ctx)
    body = {
        "identifier": [{**one, "system": "urn:dicom:uid"} for one in identifiers(act.all("id")[:1])],
        "status": "unknown",
        "subject": ctx.patient,
        "started": ctx.moment(act.get("effectiveTime")),
        "series": [_series(one, ctx) for one in series],
        "description": resolved(act.get("text"), ctx),
    }
    yield ctx.add("ImagingStudy", kept(body), act) if _uid(act) or series else None


def _uid(statement: Node) -> str | None:
    """What DICOM names a study, a series or an image by, as FHIR has it: an OID of at most 64 characters."""
    root = statement.attribute("id", "root") or ""
    return root if is_fhir_id(root) else None


def _series(act: Node, ctx: Context) -> Value:
    """Series Act; the modality is a qualifier of its code."""
    images = related(act)
    others(images, ctx)
    code = act.node("code")
    qualifier = code.node("qualifier") if code else None
    return kept(
        {
            "uid": _uid(act),
            "modality": (coding(qualifier.get("value")) if qualifier else None) or absent(),
            "description": resolved(act.get("text"), ctx),
            "started": ctx.moment(act.get("effectiveTime")),
            "instance": [
                {"uid": named, "sopClass": coding(one.get("code")) or absent()}
                for one in of_kind(_IMAGE, images)
                if (named := _uid(one))
            ],
        }
    )


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
