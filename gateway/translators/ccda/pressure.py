"""Systolic and diastolic of one measurement -> one Observation with both as components (FHIR R4 vital signs, bp;
US Core Blood Pressure)."""

from __future__ import annotations

from .context import Context, Reference
from .node import Element, Node
from .observation import observation_body
from .values import LOINC, Value, concept, distinct, kept

_CODE, _NAME = "85354-9", "Blood pressure panel with all children optional"
_PARTS = ("8480-6", "8462-4")
_OWN = frozenset(["code", "dataAbsentReason", "interpretation", "referenceRange"])
"""What each component says for itself, and its value[x]."""

_UNITED = ("identifier", "performer", "note")


def pair_of(observations: list[Node]) -> tuple[Node, Node] | None:
    """The two of one measurement, where there is no doubt which belong together: one of each."""
    codes = [one.attribute("code", "code") for one in observations]
    found = [[one for one, said in zip(observations, codes, strict=True) if said == code] for code in _PARTS]
    return (found[0][0], found[1][0]) if all(len(some) == 1 for some in found) else None


def pressure(
    pair: tuple[Node, Node],
    ctx: Context,
    *,
    categories: list[Value],
    time: Element | None,
    is_withdrawn: bool = False,
) -> list[Reference]:
    """One Observation; or each by itself where the other says nothing, or something else holds for it (another time,
    arm or method)."""
    made = [
        (one, observation_body(one, ctx, categories=categories, time=time, is_withdrawn=is_withdrawn)) for one in pair
    ]
    bodies = [body for _, body in made if body]
    if len(bodies) == len(pair) and _shared(bodies[0]) == _shared(bodies[1]):
        made_of_both = ctx.add("Observation", _joined(bodies), pair[0], also=(_CODE,))
        ctx.became[pair[1].element] = [made_of_both]
        return [made_of_both]
    return [ctx.add("Observation", body, one) for one, body in made if body]


def _joined(bodies: list[Value]) -> Value:
    united = {name: distinct(one for body in bodies for one in body.get(name, ())) for name in _UNITED}
    components = [{name: value for name, value in body.items() if _is_own(name)} for body in bodies]
    return kept({**united, **_shared(bodies[0]), "code": concept(_CODE, LOINC, _NAME), "component": components})


def _shared(body: Value) -> Value:
    """What has to be the same of both: the time, the status, where on the body, how."""
    return {name: value for name, value in body.items() if not _is_own(name) and name not in _UNITED}


def _is_own(name: str) -> bool:
    return name in _OWN or name.lstrip("_").startswith("value")
