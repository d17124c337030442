"""Writes into a C-CDA document at a path, and reads a Bundle at one: what the rows of the mapping reference need.

`participant[@typeCode=CSM]/participantRole/code/@code=1` makes what is missing and sets the value;
`AllergyIntolerance.recorder.resolve().name.family=Hill` follows a reference, `extension(us-core-race)` picks by the
end of its URL, `~` asks for a part of the text, a leading `!` that it is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

V3, SDTC, XSI = "urn:hl7-org:v3", "urn:hl7-org:sdtc", "http://www.w3.org/2001/XMLSchema-instance"
_NAMESPACES = {"sdtc": SDTC, "xsi": XSI}
_STEP = re.compile(r"(?:\[[^\]]*\]|[^/\[\]])+")
_ASSIGNED = re.compile(r"((?:\[[^\]]*\]|[^\[\]=])+)(?:=(.*))?", re.DOTALL)
_WANTED = re.compile(r"(!?)((?:\([^)]*\)|[^()=~])+)(?:([=~])(.*))?", re.DOTALL)
_FHIR_STEP = re.compile(r"(?:\([^)]*\)|[^.()])+")

Resource = dict[str, Any]
Element = etree._Element


def assign(start: Element, assignment: str) -> None:
    """Set a value at a path from `start`; without a value, make the element."""
    found = _ASSIGNED.fullmatch(assignment)
    assert found, assignment
    path, value = found[1], found[2]
    at = start
    for step in _STEP.findall(path):
        if step.startswith("@"):
            at.set(_attribute(step[1:]), value)
            return
        at = at.getparent() if step == ".." else _child(at, step)
    if value is not None:
        at.text = value


def element_at(start: Element, path: str) -> Element:
    for step in _STEP.findall(path):
        start = start.getparent() if step == ".." else _child(start, step)
    return start


def _attribute(name: str) -> str:
    prefix, colon, local = name.rpartition(":")
    return f"{{{_NAMESPACES[prefix]}}}{local}" if colon else name


def _child(parent: Element, step: str) -> Element:
    """The child that the step names, made where there is none."""
    name, *conditions = re.findall(r"[^\[\]]+", step)
    prefix, _, local = name.rpartition(":")
    tag = f"{{{_NAMESPACES.get(prefix, V3)}}}{local}"
    place = next((int(one) for one in conditions if one.isdigit()), 1)
    wanted = [one for one in conditions if not one.isdigit()]
    same = [child for child in parent if child.tag == tag and all(_holds(child, one) for one in wanted)]
    while len(same) < place:
        same.append(etree.SubElement(parent, tag))
        for one in wanted:
            assign(same[-1], one)
    return same[place - 1]


def _holds(element: Element, condition: str) -> bool:
    path, _, value = condition.partition("=")
    *steps, attribute = path.split("/")
    for step in steps:
        found = element.find(f"{{{V3}}}{step}")
        if found is None:
            return False
        element = found
    return element.get(_attribute(attribute[1:])) == value


def says(bundle: Resource, wanted: str) -> bool:
    """Whether the Bundle says what is expected."""
    found = _WANTED.fullmatch(wanted)
    assert found, wanted
    denied, path, how, value = found.groups()
    values = [_shown(one) for one in at(bundle, path)]
    there = bool(values) if how is None else value in values if how == "=" else any(value in one for one in values)
    return there is not (denied == "!")


def at(bundle: Resource, path: str) -> list[Any]:
    """Every value at `Type.element.element` in all resources of the type."""
    kind, *steps = _FHIR_STEP.findall(path)
    resources = [entry["resource"] for entry in bundle["entry"]]
    by_address = {
        address: entry["resource"]
        for entry in bundle["entry"]
        for address in (entry.get("fullUrl"), f"{entry['resource']['resourceType']}/{entry['resource']['id']}")
    }
    found: list[Any] = [one for one in resources if one["resourceType"] == kind]
    for step in steps:
        found = [value for node in found for value in _next(node, step, by_address)]
    return found


def _next(node: Any, step: str, by_address: dict[str, Resource]) -> Iterator[Any]:
    if not isinstance(node, dict):
        return
    if step == "resolve()":
        if (target := by_address.get(node.get("reference", ""))) is not None:
            yield target
        return
    name, _, ending = step.rstrip(")").partition("(")
    value = node.get(name)
    for one in value if isinstance(value, list) else [value]:
        if one is not None and (not ending or str(one.get("url", "")).endswith(ending)):
            yield one


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
