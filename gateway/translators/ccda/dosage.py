"""Dose, route and timing of a substance administration -> Dosage (C-CDA on FHIR, CF-medications)."""

from __future__ import annotations

from .context import Context
from .node import Element, Node
from .statement import FREE_TEXT_SIG, INSTRUCTION, Relations, instruction, of_kind
from .timing import timing
from .values import Value, codeable, kept, quantity, quantity_range, resolved, translated, typed

_IHE_ACTS = "1.3.6.1.4.1.19376.1.5.3.2"
_MANY = "that it is to be taken as needed for another reason stays in the narrative only"
_NO_MOST = "the most that may be taken stays in the narrative only"


def dosage(activity: Node, relations: Relations, ctx: Context) -> Value | None:
    """Everything about how to take it; None when nothing is said."""
    found = kept(
        {
            "text": _sig(relations, ctx),
            "additionalInstruction": _additional(relations, ctx),
            "patientInstruction": instruction(relations, ctx),
            "timing": timing(activity.all("effectiveTime"), ctx),
            **(_as_needed(activity, ctx) if "precondition" in activity else {}),
            "site": codeable(activity.get("approachSiteCode"), ctx),
            "route": codeable(activity.get("routeCode"), ctx),
            "doseAndRate": _dose_and_rate(activity, ctx),
            "maxDosePerPeriod": _most(activity.get("maxDoseQuantity"), ctx),
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


def _as_needed(activity: Node, ctx: Context) -> Value:
    """Precondition: as needed, for the reason it names. FHIR has room for one."""
    preconditions = [one for one in activity.nodes("precondition") if not one.untold]
    if not preconditions:
        return {}
    found = [reason for one in preconditions if (reason := _need(one, ctx))]
    for one in preconditions[1:] if len(found) > 1 else ():
        ctx.issue("warning", "not-supported", _MANY, one.element)
    return {"asNeededCodeableConcept": found[0]} if found else {"asNeededBoolean": True}


def _need(precondition: Node, ctx: Context) -> Value | None:
    criterion = precondition.node("criterion")
    if criterion is None:
        return None
    value = criterion.get("value")
    words = resolved(value, ctx) if typed(value) in ("ST", "ED") else None
    words = words or resolved(criterion.get("text"), ctx)
    return codeable(value, ctx) or ({"text": words} if words else None)


def _dose_and_rate(activity: Node, ctx: Context) -> list[Value] | None:
    found: Value = {}
    for name, part in (("dose", activity.get("doseQuantity")), ("rate", activity.get("rateQuantity"))):
        if part is None:
            continue
        low, high = quantity_range(part)
        if low or high:
            found[f"{name}Range"] = kept({"low": low, "high": high})
        elif amount := quantity(part) or translated(part, ctx):
            found[f"{name}Quantity"] = amount
    return [found] if found else None


def _most(ratio: Element | None, ctx: Context) -> Value | None:
    """maxDoseQuantity; FHIR has a Ratio of both or none (rat-1)."""
    if ratio is None:
        return None
    node = Node(ratio)
    numerator, denominator = quantity(node.get("numerator")), quantity(node.get("denominator"))
    if numerator and denominator:
        return {"numerator": numerator, "denominator": denominator}
    if numerator:
        ctx.issue("warning", "not-supported", _NO_MOST, ratio)
    return None
