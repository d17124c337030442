"""What every Observation has alike: code, status, time, value, interpretation, ranges (C-CDA on FHIR, CF-results)."""

from __future__ import annotations

from .context import Context, Reference
from .node import V3, Element, Node, child_of, folded
from .people import fits, performers, recording
from .registry import others
from .specimens import specimens
from .statement import PARTS, SEVERITY, Relations, concepts, encounter, mapped, notes, of_another, related
from .unstructured import inline
from .values import (
    DATA_ABSENT_CODES,
    TRUTH,
    Value,
    absent,
    absent_concept,
    bounds,
    codeable,
    concept,
    distinct,
    identifiers,
    in_words,
    kept,
    number,
    quantity,
    quantity_range,
    resolved,
    timed,
    translated,
    typed,
)

NORMAL_VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.referenceRange.normalValue"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
VALUE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"
WITHDRAWN = "entered-in-error"
_PLAIN_TEXT = "text/plain"
_PERFORMERS = ("Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson")
_RANGE, _CENTER = V3 + "observationRange", V3 + "center"
_CODED = frozenset(["CD", "CE", "CV", "CO", "CS"])


def category(code: str, display: str) -> list[Value]:
    return [concept(code, CATEGORY, display)]


def observation_body(
    observation: Node,
    ctx: Context,
    *,
    categories: list[Value] | None = None,
    time: Element | None = None,
    by_author: bool = True,
    is_denial_told: bool = False,
    is_withdrawn: bool = False,
) -> Value | None:
    """`time`: the organizer's, for an observation that has none of its own; `is_denial_told`: the caller has a value
    for what a negated one says; `is_withdrawn`: its organizer was entered in error.

    None for a placeholder, which has neither what was observed nor a value ("no data available"; what it holds stands
    beside it), and for a negated one: an Observation cannot say that something is not so, and must not say that it is.
    Of one that nobody knows the value is what is not known.
    """
    codes = codeable(observation.get("code"), ctx)
    value = {} if observation.untold else _values(observation, codes, ctx)
    if of_another(observation, ctx):
        return None
    if codes is None and not value:
        if not (observation.untold or observation.negated):
            others(related(observation), ctx)
        return None
    if observation.negated and not is_denial_told:
        ctx.issue("warning", "not-supported", "a negated observation stays in the narrative only", observation.element)
        return None
    own_time = observation.get("effectiveTime")
    relations = related(observation)
    members, grounds = _related(relations, ctx) if relations else (None, None)
    body = {
        "identifier": identifiers(observation.all("id")),
        "status": WITHDRAWN if is_withdrawn else _status(observation),
        "category": categories,
        "code": codes or absent_concept(observation.get("code")),
        "subject": ctx.patient,
        **effective(own_time, time, ctx),
        "performer": observers(observation, ctx, by_author=by_author),
        **(value or ({} if members else {"dataAbsentReason": _why_none(observation)})),
        "interpretation": concepts(observation.all("interpretationCode"), ctx),
        "encounter": encounter(relations, ctx),
        "note": notes(relations, ctx),
        "bodySite": codeable(observation.get("targetSiteCode"), ctx),
        "method": codeable(observation.get("methodCode"), ctx),
        "specimen": next(iter(specimens([observation], ctx)), None),
        "referenceRange": reference_ranges(observation, ctx) if "referenceRange" in observation else None,
        "hasMember": members,
        "derivedFrom": grounds,
    }
    return kept(body)


def _values(observation: Node, codes: Value | None, ctx: Context) -> Value:
    """Its value; R4 has room for one, so that several are components of the same code (obs-7)."""
    said = observation.all("value")
    if len(said) < 2:
        return value_of(said[0], ctx) if said else {}
    found = distinct(value_of(one, ctx) for one in said)
    if len(found) < 2:
        return found[0] if found else {}
    return {"component": [{"code": codes or absent_concept(observation.get("code")), **one} for one in found]}


def _why_none(observation: Node) -> Value:
    """The reason why there is no value."""
    return absent_concept(observation.element if observation.untold else observation.get("value"))


def observers(observation: Node, ctx: Context, *, by_author: bool = True) -> list[Reference]:
    """Who observed it; else who wrote it down (CF-vitals), which of a result says nothing (CF-results)."""
    found = [one for one in performers(observation, ctx) if fits(one, *_PERFORMERS)]
    if not found and by_author and (author := fits(recording(observation, ctx)[0], *_PERFORMERS)):
        return [author]
    return found


def _related(relations: Relations, ctx: Context) -> tuple[list[Reference], list[Reference]]:
    """The observations that it consists of, how severe a reaction was among them, and those that support it; what else
    is related stands beside it."""
    grounds: list[Reference] = []
    for one in relations:
        made = [] if _is_part(*one) else others([one], ctx)
        if one[0] == "SPRT":
            grounds += [found for found in made if fits(found, "Observation")]
    parts = [one for one in relations if _is_part(*one)]
    return [one for one in others(parts, ctx, PARTS - SEVERITY) if fits(one, "Observation")], grounds


def _is_part(kind: str | None, statement: Node) -> bool:
    return kind == "COMP" or not SEVERITY.isdisjoint(statement.kinds)


def _status(observation: Node) -> str:
    found = mapped("report-status", observation.attribute("statusCode", "code"))
    return found.code if found else "unknown"


def span(observations: list[Node], ctx: Context) -> Value:
    """Without a time of its own: from the earliest to the latest of its observations."""
    times = sorted(
        time for one in observations if (time := timed("at", one.get("effectiveTime"), ctx).get("atDateTime"))
    )
    if not times:
        return {}
    if times[0] == times[-1]:
        return {"effectiveDateTime": times[0]}
    return {"effectivePeriod": {"start": times[0], "end": times[-1]}}


def effective(own: Element | None, time: Element | None, ctx: Context) -> Value:
    """When: its own time, else that of what it is a part of, else that nobody said (US Core wants one or the other)."""
    return timed("effective", own, ctx) or timed("effective", time, ctx) or {"_effectiveDateTime": absent()}


def value_of(element: Element | None, ctx: Context) -> Value:
    """`value[x]` by xsi:type; what a type cannot hold as it is written becomes a string, never another number."""
    if element is None:
        return {}
    kind = typed(element)
    if kind in _CODED:
        found = codeable(element, ctx)
        return {"valueCodeableConcept": found} if found else {}
    return _typed_value(kind, element, ctx)


def _typed_value(kind: str, element: Element, ctx: Context) -> Value:
    if element.get("nullFlavor") not in (None, "OTH"):
        return {"valueQuantity": amount} if kind == "PQ" and (amount := translated(element, ctx)) else {}
    if kind == "PQ" and (amount := quantity(element) or translated(element, ctx)):
        return {"valueQuantity": amount}
    if kind.startswith("IVL_") and kind != "IVL_TS":
        return _range(element)
    if kind == "INT" and (whole := _integer(element.get("value"))) is not None:
        return {"valueInteger": whole}
    if kind == "REAL" and (real := number(element.get("value"))) is not None:
        return {"valueQuantity": {"value": real}}
    if kind == "TS" and (time := ctx.moment(element)):
        return {"valueDateTime": time}
    if kind == "IVL_TS":
        return timed("value", element, ctx)
    if kind == "BL" and (truth := TRUTH.get(element.get("value"))) is not None:
        return {"valueBoolean": truth}
    if kind.startswith("RTO"):
        return _ratio(element)
    if kind == "ED" and _is_encoded(element) and (picture := _attached(element)):
        return picture
    return _string(element, ctx)


def _is_encoded(element: Element) -> bool:
    return element.get("mediaType", _PLAIN_TEXT) != _PLAIN_TEXT or element.get("representation") == "B64"


def _attached(element: Element) -> Value:
    """R4 has no attachment as a value: the extension by which R5's has room in it, and that R4 itself has none."""
    content = inline(element)
    if content is None:
        return {}
    value = {"url": VALUE, "valueAttachment": content}
    return {"extension": [value], "dataAbsentReason": concept("unsupported", DATA_ABSENT_CODES)}


def _string(element: Element, ctx: Context) -> Value:
    text = _in_words(element, ctx)
    return {"valueString": text} if text and not element.get("nullFlavor") else {}


def _in_words(element: Element, ctx: Context) -> str | None:
    """Its words, or a number or an id as it is written; a unit alone is no value."""
    if words := resolved(element, ctx):
        return words
    told = element.get("value") or ""
    return folded(f"{told} {element.get('unit') or ''}" if told.strip() else element.get("extension"))


def _integer(text: str | None) -> int | None:
    found = number(text)
    is_one = found is not None and found == int(found) and "." not in str(text) and abs(found) < 2**31
    return int(found) if is_one and found is not None else None


def _range(element: Element) -> Value:
    """Both ends: a Range; one end: a Quantity with its comparator; the middle alone: that."""
    low, high = quantity_range(element)
    if low and high:
        return {"valueRange": {"low": low, "high": high}}
    lower, upper = bounds(element)
    if low and lower is not None:
        return {"valueQuantity": {**low, "comparator": ">" if lower.get("inclusive") == "false" else ">="}}
    if high and upper is not None:
        return {"valueQuantity": {**high, "comparator": "<" if upper.get("inclusive") == "false" else "<="}}
    amount = quantity(element) or quantity(child_of(element, _CENTER))
    return {"valueQuantity": amount} if amount else {}


def _ratio(element: Element) -> Value:
    node = Node(element)
    numerator, denominator = quantity(node.get("numerator")), quantity(node.get("denominator"))
    return {"valueRatio": {"numerator": numerator, "denominator": denominator}} if numerator and denominator else {}


def reference_ranges(observation: Node, ctx: Context) -> list[Value]:
    """The normal one where several have an interpretation: FHIR expects what is normal (CF-results), unless the type of
    the range says what else it is."""
    ranges = [Node(found) for one in observation.all("referenceRange") if (found := child_of(one, _RANGE)) is not None]
    if len(ranges) > 1:
        ranges = [one for one in ranges if one.attribute("interpretationCode", "code") == "N"] or ranges
    return [made for one in ranges if (made := _reference_range(one, ctx))]


def _reference_range(observed: Node, ctx: Context) -> Value | None:
    value = observed.get("value")
    low = high = coded = None
    text = resolved(observed.get("text"), ctx)
    normal = observed.attribute("interpretationCode", "code") in (None, "N")
    if value is not None and typed(value) in _CODED:
        coded = codeable(value, ctx)
        text = text or in_words(coded or {}) or value.get("code")
    elif value is not None:
        low, high = quantity_range(value)
        text = text if text or low or high else _in_words(value, ctx)
    if not (low or high or text):
        return None
    kind = None if normal else codeable(observed.get("interpretationCode"), ctx)
    return kept({"extension": _normal(coded) if normal else None, "low": low, "high": high, "type": kind, "text": text})


def _normal(coded: Value | None) -> list[Value]:
    """A normal value that is a code ("negative"), in the element that R5 has for it."""
    return [{"url": NORMAL_VALUE, "valueCodeableConcept": coded}] if coded else []


def member(
    observation: Node,
    ctx: Context,
    *,
    categories: list[Value] | None,
    time: Element | None = None,
    by_author: bool = True,
    is_withdrawn: bool = False,
) -> Reference | None:
    """An Observation, alone or of an organizer; None when it has none to make."""
    body = observation_body(
        observation, ctx, categories=categories, time=time, by_author=by_author, is_withdrawn=is_withdrawn
    )
    return ctx.add("Observation", body, observation) if body else None
