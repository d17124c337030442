"""Dose, route and timing of a substance administration -> Dosage (C-CDA on FHIR, CF-medications)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from .context import Context
from .node import V3, XSI_TYPE, Element, Node, child_of, children
from .statement import FREE_TEXT_SIG, INSTRUCTION, Relations, instruction, of_kind
from .values import Value, bounds, codeable, kept, number, period, quantity, quantity_range, resolved

EXACT = "http://hl7.org/fhir/StructureDefinition/timing-exact"
_PERIOD, _EVENT, _OFFSET, _PHASE = V3 + "period", V3 + "event", V3 + "offset", V3 + "phase"
_COMPONENT, _WIDTH = V3 + "comp", V3 + "width"
_IHE_ACTS = "1.3.6.1.4.1.19376.1.5.3.2"
_UNITS = frozenset(["s", "min", "h", "d", "wk", "mo", "a"])
_WHEN = frozenset(["HS", "WAKE", "C", "CM", "CD", "CV", "AC", "ACM", "ACD", "ACV", "PC", "PCM", "PCD", "PCV"])
_MINUTES = {"s": Decimal(1) / 60, "min": Decimal(1), "h": Decimal(60)}


def dosage(activity: Node, relations: Relations, ctx: Context) -> Value | None:
    """Everything about how to take it; None when nothing is said."""
    needed = activity.node("precondition")
    found = kept(
        {
            "text": _sig(relations, ctx),
            "additionalInstruction": _additional(relations, ctx),
            "patientInstruction": instruction(relations, ctx),
            "timing": _timing(activity.all("effectiveTime"), ctx),
            **(_as_needed(needed, ctx) if needed is not None and not needed.untold else {}),
            "site": codeable(activity.get("approachSiteCode"), ctx),
            "route": codeable(activity.get("routeCode"), ctx),
            "doseAndRate": _dose_and_rate(activity),
            "maxDosePerPeriod": _most(activity.get("maxDoseQuantity")),
        }
    )
    return found or None


def _additional(relations: Relations, ctx: Context) -> list[Value]:
    """Instruction Activities that are coded; IHE's codes say no more than that they are instructions."""
    acts = [act for act in of_kind(INSTRUCTION, relations) if act.attribute("code", "codeSystem") != _IHE_ACTS]
    return [one for act in acts if (one := codeable(act.get("code"), ctx)) and "coding" in one]


def _sig(relations: Relations, ctx: Context) -> str | None:
    """Medication Free Text Sig; else nothing: the activity's own text is the whole row of the narrative."""
    return _first_text(of_kind(FREE_TEXT_SIG, relations), ctx)


def _first_text(statements: list[Node], ctx: Context) -> str | None:
    return resolved(statements[0].get("text"), ctx) if statements else None


def _as_needed(needed: Node, ctx: Context) -> Value:
    """Precondition: as needed, for the reason it names."""
    criterion = needed.node("criterion")
    text = resolved(criterion.get("text"), ctx) if criterion else None
    reason = (codeable(criterion.get("value"), ctx) if criterion else None) or ({"text": text} if text else None)
    return {"asNeededCodeableConcept": reason} if reason else {"asNeededBoolean": True}


def _dose_and_rate(activity: Node) -> list[Value] | None:
    found: Value = {}
    for name, part in (("dose", activity.get("doseQuantity")), ("rate", activity.get("rateQuantity"))):
        if part is None:
            continue
        low, high = quantity_range(part)
        if low or high:
            found[f"{name}Range"] = kept({"low": low, "high": high})
        elif amount := quantity(part):
            found[f"{name}Quantity"] = amount
    return [found] if found else None


def _most(ratio: Element | None) -> Value | None:
    """maxDoseQuantity; FHIR has a Ratio of both or none (rat-1)."""
    if ratio is None:
        return None
    node = Node(ratio)
    numerator, denominator = quantity(node.get("numerator")), quantity(node.get("denominator"))
    return {"numerator": numerator, "denominator": denominator} if numerator and denominator else None


def _timing(times: list[Element], ctx: Context) -> Value | None:
    """One effectiveTime says during which time or for how long, the others how often; a single point is an event."""
    events: list[str] = []
    repeat: Value = {}
    for time in _each(times):
        kind = (time.get(XSI_TYPE) or "").rpartition(":")[2]
        if kind == "PIVL_TS" or child_of(time, _PERIOD) is not None:
            repeat.update(_frequency(time))
        elif kind == "EIVL_TS" or child_of(time, _EVENT) is not None:
            _add_event(repeat, _at_event(time))
        elif point := ctx.moment(time):
            events.append(point)
        elif not any(name.startswith("bounds") for name in repeat):
            repeat.update(_bounds(time, ctx))
    found = kept({"event": events, "repeat": repeat})
    return found or None


def _each(times: list[Element]) -> Iterator[Element]:
    """The times, and those that a parenthetic one (SXPR_TS) holds."""
    for time in times:
        inner = [child for child in children(time) if child.tag == _COMPONENT]
        yield from _each(inner) if inner else (time,)


def _bounds(time: Element, ctx: Context) -> Value:
    """From when to when; for how long where nobody said from when."""
    if during := period(time, ctx):
        return {"boundsPeriod": during}
    lasting = _time_span(child_of(time, _WIDTH))
    return {"boundsDuration": quantity(child_of(time, _WIDTH))} if lasting else {}


def _time_span(element: Element | None) -> tuple[Decimal, str] | None:
    """A number and a unit of time, as FHIR wants them (tim-1, tim-2, drt-1)."""
    amount, unit = (None, None) if element is None else (number(element.get("value")), element.get("unit"))
    return (amount, unit) if amount is not None and amount > 0 and unit in _UNITS else None


def _frequency(time: Element) -> Value:
    """PIVL: every `period`, each time as long as its phase."""
    every = child_of(time, _PERIOD)
    if every is None:
        return {}
    low, high = bounds(every)
    said = _time_span(every if low is None else low)
    if said is None:
        return {}
    found: Value = {**_exact(time), "frequency": 1, "period": said[0], "periodUnit": said[1], **_each_time(time)}
    most = number(high.get("value")) if high is not None else None
    return {**found, "periodMax": most} if most else found


def _each_time(time: Element) -> Value:
    phase = child_of(time, _PHASE)
    lasting = _time_span(None if phase is None else child_of(phase, _WIDTH))
    return {"duration": lasting[0], "durationUnit": lasting[1]} if lasting else {}


def _exact(time: Element) -> Value:
    """`institutionSpecified`: "three times a day", at whichever hours are usual there, is not "every 8 hours" (FHIR R4,
    timing-exact)."""
    if time.get("institutionSpecified") != "true":
        return {}
    return {"extension": [{"url": EXACT, "valueBoolean": False}]}


def _add_event(repeat: Value, event: Value) -> None:
    """At breakfast and at dinner: one repetition has several events, but the same offset from each."""
    if "when" in repeat and event and repeat.get("offset") == event.get("offset"):
        repeat["when"] += [one for one in event["when"] if one not in repeat["when"]]
    else:
        repeat.update(event)


def _at_event(time: Element) -> Value:
    """EIVL: at a meal or bedtime, with an offset in minutes."""
    found: Value = {}
    for child in children(time):
        if child.tag == _EVENT and child.get("code") in _WHEN:
            found["when"] = [child.get("code")]
        elif child.tag == _OFFSET:
            found.update(_minutes(child))
    return found if "when" in found else {}


def _minutes(offset: Element) -> Value:
    low, _ = bounds(offset)
    said = offset if low is None else low
    amount, unit = number(said.get("value")), said.get("unit") or ""
    if amount is None or amount < 0 or unit not in _MINUTES:
        return {}
    minutes = amount * _MINUTES[unit]
    return {"offset": int(minutes)} if minutes == int(minutes) and 0 < minutes < 2**31 else {}
