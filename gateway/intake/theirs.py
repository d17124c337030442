"""Theirs: how the findings of one look hang together - which come first, and what their references name.

A reference that carries an identifier of the system's own (`call.theirs`) never names one of ours by accident; where
nothing here is linked to what it names, it stays as a logical reference (FHIR R4 §2.3.0.2) and nothing is lost.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gateway.connectors.call import Found
from gateway.fhir import gate, references
from gateway.fhir.json import Resource
from gateway.fhir.references import Ref


class Settled(NamedTuple):
    """A body whose references say what is meant; `kept` = how many stay logical, as nothing is linked to them."""

    body: Resource
    kept: int


def lots(founds: Sequence[Found]) -> list[list[int]]:
    """The findings by index in the order in which they can be taken; those that refer to each other are one lot."""
    places = {one.name: at for at, one in enumerate(founds)} | {one.urn: at for at, one in enumerate(founds)}
    needs = [sorted({places[name] for name in _names(one) if name in places} - {at}) for at, one in enumerate(founds)]
    return _components(needs)


def _names(found: Found) -> list[str]:
    """What it refers to; nothing of a body nested so deeply that it will be refused."""
    body = found.body or {}
    return [] if gate.check_depth(body) else [ref.value for ref in references.collect(body)]


def _components(needs: Sequence[Sequence[int]]) -> list[list[int]]:
    """The strongly connected components, each after those it needs (R. Tarjan, 1972), without recursion."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    held: list[int] = []
    done: set[int] = set()
    found: list[list[int]] = []
    for root in range(len(needs)):
        waiting = [(root, iter(needs[root]))] if root not in order else []
        while waiting:
            at, rest = waiting[-1]
            if at not in order:
                order[at] = low[at] = len(order)
                held.append(at)
            ahead = next((one for one in rest if one not in done), None)
            if ahead is None:
                waiting.pop()
                if low[at] == order[at]:
                    found.append(_take(held, at, done))
                elif waiting:
                    above = waiting[-1][0]
                    low[above] = min(low[above], low[at])
            elif ahead in order:
                low[at] = min(low[at], order[ahead])
            else:
                waiting.append((ahead, iter(needs[ahead])))
    return found


def _take(held: list[int], root: int, done: set[int]) -> list[int]:
    start = held.index(root)
    lot = sorted(held[start:])
    del held[start:]
    done.update(lot)
    return lot


def settle(body: Resource, system: str, ours: Mapping[str, str], beside: frozenset[str]) -> Settled:
    """`ours`: their `Type/id` -> ours; `beside`: those taken together with this one, which need no link yet."""
    marked = [ref for ref in references.collect(body) if ref.kind == "relative" and _is_marked(body, ref, system)]
    if not marked:
        return Settled(body, 0)
    fresh = copy.deepcopy(body)
    kept = 0
    for ref in marked:
        node = references.node_at(fresh, ref.trail[:-1])
        if ref.value in ours or ref.value in beside:
            node["reference"] = ours.get(ref.value, ref.value)
            del node["identifier"]
        else:
            del node["reference"]
            kept += 1
    return Settled(fresh, kept)


def as_logical(body: Resource, system: str, names: Collection[str]) -> Resource:
    """With references to these of theirs told by identifier only."""
    return references.as_logical(body, {name: {"system": system, "value": name} for name in names})


def _is_marked(body: Resource, ref: Ref, system: str) -> bool:
    named = references.node_at(body, ref.trail[:-1]).get("identifier")
    return isinstance(named, dict) and named == {"system": system, "value": ref.value}
