"""One resource per party of a document: equal ones become one (CF-participations).

The same ids and name are the same party, whatever else was written each time, and what was written is united. A party
without name is the named one with the same ids.
"""

from __future__ import annotations

from .context import Context, Made, Reference
from .node import Node
from .values import Value

_HIMSELF = frozenset(["SELF", "ONESELF"])
_UNITED = ("identifier", "telecom", "address", "relationship", "qualification")


def is_patient(node: Node, ctx: Context) -> bool:
    """Whether a role is the patient's own: by an id of his, or because its code says so."""
    who = node.node("sdtc:patient")
    ids = [*node.all("id"), *(who.all("id") if who else ())]
    own = any((one.get("root"), one.get("extension")) in ctx.patient_ids for one in ids)
    return own or node.attribute("code", "code") in _HIMSELF


def party(kind: str, body: Value, node: Node, ctx: Context, *, told: str | None = None) -> Reference:
    """One resource per ids and name; without ids per what is `told` of it, its content where that is too little."""
    ids = sorted(f"{one.get('system')}|{one['value']}" for one in body.get("identifier", ()))
    key = (ctx.patient_id, kind, *(ids or [told or str(body)]), _called(body))
    known = ctx.parties.get(key)
    if known is not None:
        unite(known.body, body)
        return known.reference
    reference = ctx.keep(kind, {"resourceType": kind, "id": "", **body}, key, node.element)
    if reference is not None:
        ctx.parties[key] = ctx.made[-1]
    return reference


def _called(body: Value) -> str:
    name = body.get("name") or body.get("deviceName") or ""
    if isinstance(name, str):
        return name.casefold()
    first = name[0]
    return " ".join(
        [*first.get("given", ()), first.get("family") or first.get("text") or first.get("name", "")]
    ).casefold()


def unite(known: Value, other: Value) -> None:
    """Add to one of two that are the same what only the other has."""
    for name in _UNITED:
        for value in other.get(name, ()):
            if value not in known.setdefault(name, []):
                known[name].append(value)
    for name, value in other.items():
        known.setdefault(name, value)


def merge_nameless(ctx: Context) -> None:
    """A party with ids and no name becomes the one named party with the same ids, if there is exactly one."""
    named: dict[tuple[str, ...], list[Made]] = {}
    for key, made in ctx.parties.items():
        if key[-1]:
            named.setdefault(key[:-1], []).append(made)
    pairs: list[tuple[Made, Made]] = []
    for key, made in ctx.parties.items():
        others = named.get(key[:-1], [])
        if not key[-1] and len(others) == 1:
            pairs.append((made, others[0]))
    merge(pairs, ctx)


def merge(pairs: list[tuple[Made, Made]], ctx: Context) -> None:
    """The first of each pair becomes the second."""
    if not pairs:
        return
    for made, other in pairs:
        unite(other.body, made.body)
        ctx.merged.append((made.reference, other.reference))
    gone = {id(made) for made, _ in pairs}
    ctx.made = [made for made in ctx.made if id(made) not in gone]
    follow(ctx)


def follow(ctx: Context) -> None:
    """What refers to one that became another refers to that one: the last first, as it may have become a third."""
    for reference, other in reversed(ctx.merged):
        reference["reference"] = other["reference"]
