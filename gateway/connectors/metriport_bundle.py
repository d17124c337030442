"""A Bundle of Metriport's as findings: whose it is by the patient we asked about, never by what it says itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.connectors import metriport_papers as papers
from gateway.connectors.call import Found, theirs
from gateway.errors import InvalidInput
from gateway.fhir import gate, json, references
from gateway.fhir.json import Resource

_LEFT_OUT = frozenset({"Patient", "Bundle", "OperationOutcome", "Parameters", "MessageHeader"})
"""Her demographics are read where she is edited; the others are no facts about her."""

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
UNNAMED = "https://fhir-gateway.example/StructureDefinition/contained-unnamed"
_LOCAL = ("relative", "urn", "absolute")


def founds(bundle: Any, patient_id: str, system: str) -> list[Found]:
    """The resources of a Bundle about this patient of theirs. `system` = the identifier system of their ids.

    References to others of theirs say so (`call.theirs`); a resource about another patient comes with a doubt.
    Raises InvalidInput when it is no Bundle.
    """
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise InvalidInput("what they sent is no Bundle")
    resources = list(_resources(bundle))
    names = _names(bundle)
    made: dict[tuple[str, str], Found] = {}
    for one in resources:
        type_ = str(one["resourceType"])
        if type_ in _LEFT_OUT:
            continue
        key = (type_, _id(one))
        made[key] = _found(one, key, patient_id, system, names)
    return list(made.values())


def _resources(bundle: Resource) -> Iterator[Resource]:
    for entry in _list(bundle.get("entry")):
        one = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(one, dict) and isinstance(one.get("resourceType"), str):
            yield one


def _names(bundle: Resource) -> dict[str, str]:
    """fullUrl -> Type/id, for references by it."""
    return {
        entry["fullUrl"]: f"{entry['resource'].get('resourceType')}/{_id(entry['resource'])}"
        for entry in _list(bundle.get("entry"))
        if isinstance(entry, dict) and isinstance(entry.get("fullUrl"), str) and isinstance(entry.get("resource"), dict)
    }


def _id(one: Resource) -> str:
    """Their id; one without an id that serves is known by its content."""
    given = one.get("id")
    if isinstance(given, str) and _ID.fullmatch(given):
        return given
    return f"content-{hashlib.sha256(json.canonical(one)).hexdigest()[:48]}"


def _found(one: Resource, key: tuple[str, str], patient_id: str, system: str, names: Mapping[str, str]) -> Found:
    if gate.check_depth(one):
        return Found(*key, one)  # refused where everything is checked
    body = _marked(one, system, names)
    owner = references.compartment(body)
    doubt = None
    if owner is not None and owner != f"Patient/{patient_id}":
        doubt = "they sent a resource about another patient than the one that was asked about; a person must look"
    kept = _held_together({name: value for name, value in body.items() if name != "id"})
    return Found(*key, kept, doubt=doubt, joins=papers.joined if key[0] == "DocumentReference" else None)


def _held_together(body: Resource) -> Resource:
    """With contained resources that nothing refers to named by an extension: theirs come so (an author beside
    `author`), and without it they could not be kept (FHIR R4, dom-3)."""
    refs = references.collect(body)
    named = {ref.value for ref in refs}
    pointing = {ref.trail[1] for ref in refs if ref.value == "#" and ref.trail[0] == "contained"}
    loose = [
        f"#{one['id']}"
        for at, one in enumerate(_list(body.get("contained")))
        if at not in pointing and isinstance(one, dict) and f"#{one.get('id')}" not in named and one.get("id")
    ]
    added = [{"url": UNNAMED, "valueReference": {"reference": name}} for name in loose]
    return body | {"extension": [*_list(body.get("extension")), *added]} if added else body


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _marked(one: Resource, system: str, names: Mapping[str, str]) -> Resource:
    """With every reference to others of theirs marked as such."""
    body: Resource = json.decode(json.encode(one))
    for ref in references.collect(body):
        name = names.get(ref.value, ref.value)
        local = references.local(name, "") if ref.kind in _LOCAL and ref.trail[-1] == "reference" else None
        if local is not None:
            references.node_at(body, ref.trail[:-1]).update(theirs(local.type, local.id, system))
    return body
