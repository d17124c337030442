"""Vital Signs (LOINC 8716-3) -> a panel Observation and its members (C-CDA on FHIR, CF-vitals)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import V3, Element, Node
from gateway.translators.ccda.observation import category, member, observers, span
from gateway.translators.ccda.pressure import pair_of, pressure
from gateway.translators.ccda.registry import entry, others
from gateway.translators.ccda.statement import (
    Relations,
    components,
    encounter,
    happened,
    is_nullified,
    mapped,
    notes,
    related,
)
from gateway.translators.ccda.values import LOINC, Value, absent, codeable, concept, identifiers, kept, timed

OBSERVATION = V3 + "observation"
_AVERAGE = "96607-7"
"""LOINC, Blood pressure panel mean systolic and mean diastolic (US Core Average Blood Pressure)."""

PANEL = "Vital signs, weight, height, head circumference, oxygen saturation and BMI panel"


@entry(
    "2.16.840.1.113883.10.20.22.4.26",
    "2.16.840.1.113883.10.20.1.35",
    "1.3.6.1.4.1.19376.1.5.3.1.4.13.1",
    sections=("8716-3",),
    element="organizer",
)
def vital_signs_organizer(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Vital Signs Organizer -> the panel 85353-1, its observations as they come; systolic and diastolic of one
    measurement are one."""
    time = organizer.get("effectiveTime")
    vital = category("vital-signs", "Vital Signs")
    held = components(organizer)
    observations = [one for one in held if one.element.tag == OBSERVATION and happened(one)]
    rest: Relations = [(None, one) for one in held if one not in observations]
    members, observed = _members(observations, ctx, vital, time, is_withdrawn=is_nullified(organizer))
    others([*rest, *related(organizer)], ctx)
    if not members:
        return
    status = mapped("report-status", organizer.attribute("statusCode", "code"))
    body: Value = {
        "identifier": identifiers(organizer.all("id")),
        "status": status.code if status else "final",
        "category": vital,
        "code": _code(organizer, ctx),
        "subject": ctx.patient,
        "encounter": encounter(rest, ctx),
        **(timed("effective", time, ctx) or span(observed, ctx) or {"_effectiveDateTime": absent()}),
        "performer": observers(organizer, ctx),
        "note": notes([*rest, *related(organizer)], ctx),
        "hasMember": members,
    }
    yield ctx.add("Observation", kept(body), organizer)


def _code(organizer: Node, ctx: Context) -> Value:
    """That of the panel, whatever the document's is (CF-vitals); an average of several measurements is none."""
    said = codeable(organizer.get("code"), ctx)
    if said and any(one["code"] == _AVERAGE for one in said.get("coding", ())):
        return said
    return concept("85353-1", LOINC, PANEL)


def _members(
    observations: list[Node], ctx: Context, vital: list[Value], time: Element | None, *, is_withdrawn: bool
) -> tuple[list[Reference], list[Node]]:
    """The members, and the observations that became some."""
    pair = pair_of(observations)
    members: list[Reference] = []
    observed: list[Node] = []
    for one in observations:
        if pair and one is pair[0]:
            made = pressure(pair, ctx, categories=vital, time=time, is_withdrawn=is_withdrawn)
        elif pair and one is pair[1]:
            continue
        else:
            alone = member(one, ctx, categories=vital, time=time, is_withdrawn=is_withdrawn)
            made = [alone] if alone else []
        members += made
        observed += [one] if made else []
    return members, observed


@entry(
    "2.16.840.1.113883.10.20.22.4.27",
    "1.3.6.1.4.1.19376.1.5.3.1.4.13.2",
    sections=("8716-3",),
    element="observation",
)
def vital_sign(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """A Vital Sign Observation outside of an organizer."""
    yield member(observation, ctx, categories=category("vital-signs", "Vital Signs"))
