"""References between the entries of a document: by id, to what is made of the other one, before or after."""

from __future__ import annotations

from .context import Context, Reference
from .node import V3, Node, children
from .values import identifier

_ID = V3 + "id"
_ENCOUNTER = "Encounter"


def meant(kind: str, node: Node, ctx: Context) -> Reference | None:
    """The reference to the resource of that type (any: "") that is made of the statement with one of these ids.
    `link` fills it in when all are made."""
    for one in node.all("id"):
        if (root := one.get("root")) and not one.get("nullFlavor"):
            key = (kind, root.strip(), (one.get("extension") or "").strip() or None)
            return ctx.awaited.setdefault(key, ({"reference": f"{kind}?{key[1]}^{key[2]}"}, one))[0]
    return None


def link(ctx: Context) -> set[str]:
    """Fill in what was meant, when all ids are settled. An encounter that the document does not hold is named by its
    identifier; the names of what else nobody made are given back, to be taken out."""
    unknown: set[str] = set()
    found = _by_id(ctx) if ctx.awaited else {}
    for (kind, *key), (reference, element) in ctx.awaited.items():
        named = {name for name in found.get(tuple(key), ()) if name.startswith(f"{kind}/" if kind else "")}
        if len(named) == 1:
            reference["reference"] = named.pop()
        elif kind == _ENCOUNTER and not named and (logical := identifier(element)):
            del reference["reference"]
            reference |= {"type": kind, "identifier": logical}
        else:
            unknown.add(reference["reference"])
    _add_outcomes(ctx)
    return unknown


def _add_outcomes(ctx: Context) -> None:
    """A Goal refers to what came of it, while in C-CDA the outcome refers to the goal."""
    if not ctx.outcomes:
        return
    goals = {made.reference["reference"]: made.body for made in ctx.made if made.type == "Goal"}
    for goal, outcome in ctx.outcomes:
        said = goals.get(goal["reference"], {}).setdefault("outcomeReference", [])
        if outcome not in said:
            said.append(outcome)


def _by_id(ctx: Context) -> dict[tuple[str | None, ...], set[str]]:
    """The ids of statements, and the references of what was made of them; an act that wraps others stands for the
    first."""
    found: dict[tuple[str | None, ...], set[str]] = {}
    for known, encounter in ctx.encounters.items():
        found.setdefault(known, set()).add(encounter.reference["reference"])
    said = [(made.source, made.reference) for made in ctx.made]
    for section in ctx.sections:
        said += [(entry[0], references[0]) for entry, references in section.entries if references and len(entry)]
    for source, reference in said:
        for one in children(source):
            if one.tag == _ID and (root := one.get("root")):
                key = (root.strip(), (one.get("extension") or "").strip() or None)
                found.setdefault(key, set()).add(reference["reference"])
    return found
