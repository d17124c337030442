"""What a statement becomes that nobody knows: its element and mood say what kind of fact it is (CDA R2 §4.3.6).

The report names each; a fact that a known template would have put elsewhere is at least not lost.
"""

from __future__ import annotations

from collections.abc import Iterator

from .context import Context, Reference
from .medicine import is_drug
from .node import Node
from .registry import one_more, otherwise
from .sections.encounters import encounter_activity
from .sections.equipment import supplied
from .sections.goals import goal
from .sections.medications import medication_request, medication_supply
from .sections.plan import planned_encounter, request
from .sections.procedures import procedure
from .sections.status import observed, panel
from .statement import PARTS, components, denied, is_ahead, related, withdrawn

_KINDS = frozenset(["2.16.840.1.113883.6.1", "2.16.840.1.113883.5.6"])
"""LOINC, ActClass: the code of an act that says of which kind the information is, not what was done."""


@otherwise("observation")
def any_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    if observation.element.get("moodCode") == "GOL":
        yield goal(observation, ctx)
    elif is_ahead(observation):
        yield request(observation, ctx)
    else:
        yield observed(observation, ctx)


@otherwise("organizer")
def any_organizer(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Of a group that is planned or asked for each part by its own mood, and the whole where it has a name."""
    if not is_ahead(organizer):
        yield panel(organizer, ctx)
        return
    for one in components(organizer):
        yield from one_more(one, ctx)
    yield request(organizer, ctx)


@otherwise("act")
def any_act(act: Node, ctx: Context) -> Iterator[Reference | None]:
    """An act that holds others is their wrapper; one that holds none is what was done, or is to be done."""
    held = [statement for _, statement in related(act) if PARTS.isdisjoint(statement.kinds)]
    if held and (denied(act, ctx) or withdrawn(act, ctx)):
        return
    if held:
        for statement in held:
            yield from one_more(statement, ctx)
    elif is_ahead(act):
        yield request(act, ctx)
    elif act.attribute("code", "codeSystem") not in _KINDS:
        yield procedure(act, ctx)


@otherwise("procedure")
def any_procedure(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    yield request(statement, ctx) if is_ahead(statement) else procedure(statement, ctx)


@otherwise("substanceAdministration")
def any_administration(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    yield medication_request(statement, ctx)


@otherwise("encounter")
def any_encounter(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    if is_ahead(statement):
        yield planned_encounter(statement, ctx)
    else:
        yield from encounter_activity(statement, ctx)


@otherwise("supply")
def any_supply(statement: Node, ctx: Context) -> Iterator[Reference | None]:
    if is_drug(statement):
        yield medication_supply(statement, ctx)
    else:
        yield supplied(statement, ctx)
