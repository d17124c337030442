"""Parties that are the same although not written alike: found when all are known, so that order never matters.

Documents name an organization or somebody who works there by id in one place and by name alone in another, or by the
number that all know here and by that and a number of their own there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.fhir import json
from gateway.fhir.json import Resource

from .context import Context, Made
from .parties import follow, merge
from .values import distinct

_TOLD = ("telecom", "address")


def merge_parties(ctx: Context) -> None:
    """A party with only some of the ids of one of its name becomes that one. A party without ids becomes the only one
    of its name that has ids, unless something else is told of it. Then roles that have become equal become one."""
    follow(ctx)  # ids are settled by now
    before = len(ctx.made)
    for kind in ("Organization", "Practitioner"):
        parties = [made for made in ctx.parties.values() if made.type == kind]
        fewer = [*_with_fewer_ids(parties)]
        merge(fewer, ctx)
        gone = {id(made) for made, _ in fewer}
        merge([*_pairs([made for made in parties if id(made) not in gone])], ctx)
    merge([*_equal(made for made in ctx.made if made.type == "PractitionerRole")], ctx)
    if len(ctx.made) < before:
        for made in ctx.made:
            _name_once(made.body)


def _with_fewer_ids(parties: list[Made]) -> Iterator[tuple[Made, Made]]:
    named: dict[str, list[tuple[Made, set[str]]]] = {}
    for made in parties:
        if "identifier" in made.body and (name := _name(made.body)):
            named.setdefault(name, []).append((made, {str(one) for one in made.body["identifier"]}))
    for known in named.values():
        for made, ids in known:
            others = [other for other, more in known if ids < more]
            if len(others) == 1:
                yield made, others[0]


def _pairs(parties: list[Made]) -> Iterator[tuple[Made, Made]]:
    named: dict[str, list[Made]] = {}
    for made in parties:
        if "identifier" in made.body and (name := _name(made.body)):
            named.setdefault(name, []).append(made)
    for made in parties:
        others = named.get(_name(made.body), []) if "identifier" not in made.body else []
        if len(others) == 1 and _agree(made.body, others[0].body):
            yield made, others[0]


def _name(body: Resource) -> str:
    """Of an organization its name, of a person the first one if it has a family and a given part."""
    said = body.get("name", "")
    if isinstance(said, str):
        return said.casefold()
    first = said[0] if said else {}
    whole = "family" in first and "given" in first
    return " ".join([*first["given"], first["family"]]).casefold() if whole else ""


def _agree(one: Resource, other: Resource) -> bool:
    """Whether what is told of one is told of the other, or nothing of the kind is told of either."""
    return all(part in other[element] for element in _TOLD if element in other for part in one.get(element, ()))


def _equal(roles: Iterable[Made]) -> Iterator[tuple[Made, Made]]:
    first: dict[bytes, Made] = {}
    for made in roles:
        known = first.setdefault(json.encode({**made.body, "id": ""}), made)
        if known is not made:
            yield made, known


def _name_once(body: Resource) -> None:
    """Whoever is named twice in a list of those who took part, having been two."""
    for name, value in body.items():
        if isinstance(value, list) and len(value) > 1 and "reference" in value[0]:
            body[name] = distinct(value)
