"""The times of a substance administration -> Timing (CDA R2 data types, GTS; C-CDA on FHIR, CF-medications).

One Timing has one frequency, one span and one offset: what the document says beyond that is told in the report, never
told as something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from .context import Context
from .node import V3, XSI_TYPE, Element, child_of, children
from .values import Value, bounds, kept, number, period, quantity

EXACT = "http://hl7.org/fhir/StructureDefinition/timing-exact"
_PERIOD, _EVENT, _OFFSET, _PHASE = V3 + "period", V3 + "event", V3 + "offset", V3 + "phase"
_COMPONENT, _WIDTH = V3 + "comp", V3 + "width"
_UNITS = frozenset(["s", "min", "h", "d", "wk", "mo", "a"])
_SPELLED = {"hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "week": "wk", "weeks": "wk"}
_SPELLED |= {"minute": "min", "minutes": "min", "month": "mo", "months": "mo", "year": "a", "years": "a"}
_MEALS = frozenset(["C", "CM", "CD", "CV"])
_WHEN = _MEALS | {"HS", "WAKE", "AC", "ACM", "ACD", "ACV", "PC", "PCM", "PCD", "PCV"}
_MINUTES = {"s": Decimal(1) / 60, "min": Decimal(1), "h": Decimal(60)}
_HOURS = {"h": Decimal(1), "d": Decimal(24), "wk": Decimal(168)}

_NO_FREQUENCY = "how often it is to be taken stays in the narrative only"
_NO_EVENT = "at which event it is to be taken stays in the narrative only"
_NO_OFFSET = "how long before or after an event it is to be taken stays in the narrative only"
_NO_SPAN = "during which other time or for how long it is to be taken stays in the narrative only"


def timing(times: list[Element], ctx: Context) -> Value | None:
    """One effectiveTime says during which time or for how long, the others how often; a single point is an event."""
    events: list[str] = []
    repeat: Value = {}
    often: list[Element] = []
    for time in _each(times):
        kind = (time.get(XSI_TYPE) or "").rpartition(":")[2]
        if kind == "PIVL_TS" or child_of(time, _PERIOD) is not None:
            often.append(time)
        elif kind == "EIVL_TS" or child_of(time, _EVENT) is not None:
            _add_event(repeat, _at_event(time, ctx), time, ctx)
        elif point := ctx.moment(time):
            events.append(point)
        elif found := _bounds(time, ctx):
            _add_span(repeat, found, time, ctx)
    if often:
        repeat |= _how_often(often, ctx)
    return kept({"event": events, "repeat": repeat}) or None


def _lost(what: str, time: Element, ctx: Context) -> Value:
    ctx.issue("warning", "not-supported", what, time)
    return {}


def _each(times: list[Element]) -> Iterator[Element]:
    """The times, and those that a parenthetic one (SXPR_TS) holds."""
    for time in times:
        inner = [child for child in children(time) if child.tag == _COMPONENT]
        yield from _each(inner) if inner else (time,)


def _bounds(time: Element, ctx: Context) -> Value:
    """From when to when; for how long where nobody said from when."""
    during = period(time, ctx)
    if during and "end" in during:
        return {"boundsPeriod": during}
    width = child_of(time, _WIDTH)
    if during:
        if _time_span(width):
            _lost(_NO_SPAN, time, ctx)
        return {"boundsPeriod": during}
    return {"boundsDuration": quantity(width)} if _is_duration(width) else {}


def _is_duration(width: Element | None) -> bool:
    """A Duration has a code of UCUM (drt-1)."""
    return width is not None and width.get("unit") in _UNITS and _time_span(width) is not None


def _add_span(repeat: Value, span: Value, time: Element, ctx: Context) -> None:
    if any(name.startswith("bounds") for name in repeat):
        _lost(_NO_SPAN, time, ctx)
    else:
        repeat.update(span)


def _time_span(element: Element | None) -> tuple[Decimal, str] | None:
    """A number and a unit of time, as FHIR wants them (tim-1, tim-2, drt-1)."""
    if element is None:
        return None
    amount, unit = number(element.get("value")), element.get("unit") or ""
    if unit not in _UNITS:
        unit = _SPELLED.get(unit.lower(), "")
    return (amount, unit) if unit and amount is not None and amount > 0 else None


def _how_often(times: list[Element], ctx: Context) -> Value:
    """Two frequencies that are not the same, or hold at different times, are no frequency that FHIR could say."""
    first = _frequency(times[0])
    if first and len(times) == 1:
        return first
    times = [time for time in times if _is_told(child_of(time, _PERIOD))]
    found = [_frequency(time) for time in times]
    if not found:
        return {}
    if not found[0] or any(one != found[0] for one in found) or len({*map(_start, times)}) > 1:
        return _lost(_NO_FREQUENCY, times[-1], ctx)
    return found[0]


def _is_told(part: Element | None) -> bool:
    return part is None or part.get("nullFlavor") is None


def _start(time: Element) -> str | None:
    phase = child_of(time, _PHASE)
    low = None if phase is None else child_of(phase, V3 + "low")
    return None if phase is None else phase.get("value") if low is None else low.get("value")


def _frequency(time: Element) -> Value:
    """PIVL: every `period`, each time as long as its phase."""
    every = child_of(time, _PERIOD)
    if every is None:
        return {}
    low, high = bounds(every)
    least, most = _time_span(every if low is None else low), _time_span(high)
    if least and most and least[1] != most[1]:
        least, most = _in_hours(least), _in_hours(most)
    if least is None or (high is not None and high.get("value") and most is None):
        return {}
    found: Value = {**_exact(time), "frequency": 1, "period": least[0], "periodUnit": least[1], **_each_time(time)}
    return {**found, "periodMax": most[0]} if most else found


def _in_hours(span: tuple[Decimal, str]) -> tuple[Decimal, str] | None:
    """Both ends of a range have one unit in FHIR."""
    return (span[0] * _HOURS[span[1]], "h") if span[1] in _HOURS else None


def _each_time(time: Element) -> Value:
    phase = child_of(time, _PHASE)
    lasting = _time_span(None if phase is None else child_of(phase, _WIDTH))
    return {"duration": lasting[0], "durationUnit": lasting[1]} if lasting else {}


def _exact(time: Element) -> Value:
    """`institutionSpecified`: "three times a day", at whichever hours are usual there, is not "every 8 hours" (FHIR R4,
    timing-exact)."""
    if time.get("institutionSpecified") not in ("true", "1"):
        return {}
    return {"extension": [{"url": EXACT, "valueBoolean": False}]}


def _add_event(repeat: Value, event: Value, time: Element, ctx: Context) -> None:
    """At breakfast and at dinner: one repetition has several events, but the same offset from each."""
    if "when" not in repeat or not event:
        repeat.update(event)
        return
    if repeat.get("offset") != event.get("offset"):
        _lost(_NO_OFFSET, time, ctx)
        repeat.pop("offset", None)
    repeat["when"] += [one for one in event["when"] if one not in repeat["when"]]


def _at_event(time: Element, ctx: Context) -> Value:
    """EIVL: at a meal or bedtime, with an offset in minutes."""
    event, offset = child_of(time, _EVENT), child_of(time, _OFFSET)
    code = None if event is None else event.get("code")
    if code not in _WHEN:
        return _lost(_NO_EVENT, time, ctx) if _is_told(event) else {}
    minutes = None if offset is None else _minutes(offset)
    told = _beside(code, minutes) if minutes else {"when": [code]}
    if told is None or (minutes is None and offset is not None):
        _lost(_NO_OFFSET, time, ctx)
    return told or {"when": [code]}


def _beside(code: str, minutes: int) -> Value | None:
    """FHIR counts from an event that is before or after (tim-9), HL7 v3 back or forth: half an hour after breakfast is
    CM and 30 there, PCM and 30 here; None for what is before waking up or before the time after a meal."""
    if code in _MEALS:
        code = f"{'PC' if minutes > 0 else 'AC'}{code[1:]}"
    elif minutes < 0 and code != "HS" and not code.startswith("AC"):
        return None
    return {"when": [code], "offset": abs(minutes)}


def _minutes(offset: Element) -> int | None:
    """None for what is no whole number of minutes."""
    low, _ = bounds(offset)
    said = offset if low is None else low
    amount, unit = number(said.get("value")), said.get("unit") or ""
    if amount is None or unit not in _MINUTES:
        return None
    minutes = amount * _MINUTES[unit]
    return int(minutes) if minutes == int(minutes) and abs(minutes) < 2**31 else None
