"""Functional, mental, nutritional and physical status, assessments -> Observation (C-CDA R2.1 §2.26, §2.46, §3;
US Core Screening Assessments and Clinical Result; the categories are US Core's).
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Element, Node
from gateway.translators.ccda.observation import CATEGORY, effective, member, observers
from gateway.translators.ccda.people import fits
from gateway.translators.ccda.registry import entry, named, one_more, others, reader_of
from gateway.translators.ccda.sections.problems import condition
from gateway.translators.ccda.statement import (
    ROOT,
    components,
    denied,
    is_nullified,
    mapped,
    notes,
    referenced,
    related,
    withdrawn,
)
from gateway.translators.ccda.values import Value, absent_concept, codeable, concept, identifiers, kept

CORE = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
_SECTIONS = {
    "47420-5": [concept("functional-status", CORE, "Functional Status")],
    "10190-7": [concept("cognitive-status", CORE, "Cognitive Status")],
    "29762-2": [concept("social-history", CATEGORY, "Social History")],
    "30954-2": [concept("laboratory", CATEGORY, "Laboratory")],
    "8716-3": [concept("vital-signs", CATEGORY, "Vital Signs")],
    "29545-1": [concept("exam", CATEGORY, "Exam")],
    "8709-8": [concept("exam", CATEGORY, "Exam")],
}
_SURVEY = [concept("survey", CATEGORY, "Survey")]
_DISABILITY = [concept("disability-status", CORE, "Disability Status"), *_SURVEY]


UDI_PARTS = tuple(str(part) for part in (301, 302, 303, 304, 305, 308, 309, 314, 315, 316, 317, 318, 319))
"""Of a device, where no device is told with them."""


@entry(
    *(ROOT + one for one in ("67", "74", "128", "127", "124", "138", "5", "109", "72", "114")),
    *(ROOT + one for one in ("31", "145", "47", "8", "53", "500.2", "500.3", *UDI_PARTS)),
    "2.16.840.1.113883.10.20.24.3.166",
    "2.16.840.1.113883.10.20.15.3.1",
    *(ROOT + one for one in ("76", "77", "133", "134", "110", "113", "125", "508", "143", "9")),
    codes=("11778-8", "8661-1", "10154-3"),
    sections=("47420-5", "10190-7", "61144-2", "11383-7", "75310-3", "29545-1", "8709-8", "59776-5", "62387-6"),
    element="observation",
)
def status_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Functional and Mental Status, Self-Care, Nutrition, Wounds, Health Status, Outcome, Prognosis, Chief Complaint;
    and parts of other statements where they stand alone."""
    yield observed(observation, ctx)


@entry(ROOT + "144")
def outcome(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Outcome Observation; the goals that it evaluates refer to it."""
    made = observed(observation, ctx)
    yield made
    if made:
        ctx.outcomes += [(one, made) for one in referenced(related(observation), ctx, "Goal", only="GEVL")]


@entry(ROOT + "68", ROOT + "73")
def status_problem(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Functional and Cognitive Status Problem Observation (R1.1): a problem like any other."""
    yield condition(observation, ctx)


@entry(sections=("47420-5", "10190-7"), element="act")
def status_act(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """An act of older documents: a wrapper, what it holds carries the content."""
    if not (denied(act, ctx) or withdrawn(act, ctx)):
        yield from others(related(act), ctx)


@entry(ROOT + "66", ROOT + "75", ROOT + "311", sections=("47420-5", "10190-7"), element="organizer")
def status_organizer(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    yield panel(organizer, ctx)


@entry(ROOT + "69", codes=("75492-9",), element="observation")
def assessment_scale(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Assessment Scale Observation: its supporting observations are its members."""
    yield member(observation, ctx, categories=[*_here(ctx), *_SURVEY])


@entry(ROOT + "86", ROOT + "515")
def supporting(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    yield member(observation, ctx, categories=_SURVEY)


@entry(ROOT + "505")
def disability(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    yield member(observation, ctx, categories=_DISABILITY)


@entry(ROOT + "201", codes=("82607-3",), element="observation")
def section_time_range(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Section Time Range: which time the section tells of, which is no finding of its kind."""
    yield member(observation, ctx, categories=None)


def observed(observation: Node, ctx: Context) -> Reference | None:
    """An Observation in the category of its section."""
    return member(observation, ctx, categories=_here(ctx) or None)


def _here(ctx: Context) -> list[Value]:
    return _SECTIONS.get(ctx.section.kind or "", [])


def panel(organizer: Node, ctx: Context) -> Reference | None:
    """An organizer -> Observation whose members are what it holds; None when it holds nothing."""
    time = organizer.get("effectiveTime")
    gone = is_nullified(organizer)
    made = [reference for one in components(organizer) for reference in _held(one, time, ctx, is_withdrawn=gone)]
    members = [one for one in made if fits(one, "Observation")]
    ctx.beside += [one for one in made if not fits(one, "Observation")]
    others(related(organizer), ctx)
    if not members:
        return None
    status = mapped("report-status", organizer.attribute("statusCode", "code"))
    body = {
        "identifier": identifiers(organizer.all("id")),
        "status": status.code if status else "unknown",
        "category": _here(ctx),
        "code": codeable(organizer.get("code"), ctx) or absent_concept(organizer.get("code")),
        "subject": ctx.patient,
        **effective(time, None, ctx),
        "performer": observers(organizer, ctx),
        "note": notes([*related(organizer), *((None, one) for one in components(organizer))], ctx),
        "hasMember": members,
    }
    return ctx.add("Observation", kept(body), organizer)


def _held(statement: Node, time: Element | None, ctx: Context, *, is_withdrawn: bool) -> list[Reference]:
    """What a statement of an organizer becomes; an observation without a time of its own has the organizer's."""
    handler, known = reader_of(statement, ctx.section.kind)
    happened = statement.element.get("moodCode") in (None, "EVN") and statement.element.tag.endswith("}observation")
    if not happened or (known and handler is not status_observation):
        return one_more(statement, ctx)
    made = member(statement, ctx, categories=_here(ctx) or None, time=time, is_withdrawn=is_withdrawn)
    if made and not known:
        named(statement, ctx.section)
    return [made] if made else []
