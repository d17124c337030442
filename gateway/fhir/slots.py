"""Slots: a resource as the units in which it changes, and back (docs/explain/architecture.md, "Words").

A Patient's lists fall apart by discriminator (`name[official]`, `telecom[phone,home]`, `identifier[system]`), every
other element is a slot with its `_` twin, a choice (`deceased[x]`) is one slot. Any other resource is one slot: `*`.

A slot's value is the element as it stands in the resource. Only where something travels with it, it is wrapped:
`{"": value, "_": twin, "#": contained}`; no FHIR element has such a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from gateway.fhir.json import Resource
from gateway.fhir.record import Slots, Value

WHOLE: Final = "*"
UNLABELLED: Final = "-"

_PARTS: Final = frozenset({"", "_", "#"})
_DROPPED: Final = frozenset({"resourceType", "id", "_id", "meta", "contained"})
_META_DROPPED: Final = frozenset({"versionId", "lastUpdated", "_versionId", "_lastUpdated"})
_UNITED: Final = frozenset({"tag", "security", "profile"})
_CHOICES: Final = {
    "deceasedBoolean": "deceased[x]",
    "deceasedDateTime": "deceased[x]",
    "multipleBirthBoolean": "multipleBirth[x]",
    "multipleBirthInteger": "multipleBirth[x]",
}
# FHIR R4 §8.1.2: the order of the elements in the resource definition.
_ELEMENTS: Final = (
    "meta", "meta.profile", "meta.security", "meta.tag", "implicitRules", "language", "text", "contained", "extension",
    "modifierExtension", "identifier", "active", "name", "telecom", "gender", "birthDate", "deceased", "address",
    "maritalStatus", "multipleBirth", "photo", "contact", "communication", "generalPractitioner",
    "managingOrganization", "link",
)  # fmt: skip
_RANK: Final = {element: rank for rank, element in enumerate(_ELEMENTS)}
_USES: Final = {f"{use}]": rank for rank, use in enumerate(("official", "usual", "home", "mobile", "work"))}


def element_of(slot: str) -> str:
    """`telecom[phone,home]` -> `telecom`, `meta.tag[a|b]` -> `meta.tag`."""
    return slot.partition("[")[0]


def is_united(slot: str) -> bool:
    """Whether leaving it out says nothing: tags, security labels and profiles are only ever added (FHIR R4 §2.26)."""
    return slot.startswith("meta.") and slot.endswith("]")


def split(resource: Resource) -> dict[str, Value]:
    """The slots of a resource without its id, versionId and lastUpdated; what is null or empty is no slot."""
    if resource.get("resourceType") != "Patient":
        return {WHOLE: _whole(resource)}
    slots = _elements(resource)
    slots.update(_meta_slots(resource.get("meta") or {}))
    if contained := resource.get("contained"):
        _hand_out(slots, contained)
    return slots


def join(type_: str, slots: Slots) -> Resource:
    """The resource that has these slots, in one fixed order; tombstones are left out."""
    if type_ != "Patient":
        return dict(slots[WHOLE])
    resource: Resource = {"resourceType": type_}
    rest = slots.get("contained") or []
    contained = list(rest)
    for slot in sorted((s for s, value in slots.items() if value is not None), key=order):
        value, twin, attached = unwrap(slots[slot])
        if attached:
            value, twin = attach(contained, attached, value, twin)
        _put(resource, slot, value, twin)
    if contained:
        resource["contained"] = contained[len(rest) :] + contained[: len(rest)]
    return resource


@lru_cache(maxsize=1024)  # few slots come again and again
def order(slot: str) -> tuple[int, int, str]:
    """Sort key of a slot in its resource: element, then official before usual before the rest, unlabelled last."""
    element = element_of(slot)
    use = slot[len(element) + 1 :].rpartition(",")[2]
    unlabelled = use in ("-]", "phone]", "email]")
    return _RANK.get(element, len(_RANK)), 9 if unlabelled else _USES.get(use, 5), slot


def wrap(value: Value, twin: Value = None, contained: list[Any] | None = None) -> Value:
    """A slot's value with what travels with it."""
    if twin is None and not contained and not (isinstance(value, dict) and _PARTS & value.keys()):
        return value
    parts = {"": value, "_": twin, "#": contained or None}
    return {key: part for key, part in parts.items() if part is not None or (key == "" and twin is None)}


def unwrap(value: Value) -> tuple[Value, Value, list[Any]]:
    """The value, its `_` twin and the contained resources that travel with it."""
    if isinstance(value, dict) and _PARTS & value.keys():
        return value.get(""), value.get("_"), value.get("#", [])
    return value, None, []


def labelled(slot: str, value: Value) -> Value:
    """The elements of a list slot, with the discriminator of this slot and no other."""
    if not isinstance(value, list) or element_of(slot) not in ("name", "telecom", "address"):
        return value
    label = _label(slot)
    return [{**{k: v for k, v in item.items() if k not in ("system", "use")}, **label} for item in value]


def _label(slot: str) -> dict[str, str]:
    element, _, rest = slot.partition("[")
    parts = rest.removesuffix("]").split(",")
    keys = ("system", "use") if element == "telecom" else ("use",)
    return {key: part for key, part in zip(keys, parts, strict=False) if part != UNLABELLED}


def _whole(resource: Resource) -> Resource:
    body = {key: value for key, value in resource.items() if key not in ("id", "meta")}
    meta = {key: value for key, value in (resource.get("meta") or {}).items() if key not in _META_DROPPED}
    if meta:
        body["meta"] = meta
    return body


def _elements(resource: Resource) -> dict[str, Value]:
    slots: dict[str, Value] = {}
    twins: dict[str, Value] = {}
    for key, value in resource.items():
        if key in _DROPPED or value is None or value == []:
            continue
        if choice := _CHOICES.get(key.removeprefix("_")):
            slots.setdefault(choice, {})[key] = value
        elif key in _DISCRIMINATORS and isinstance(value, list):
            _sort_into(slots, key, value, _DISCRIMINATORS[key])
        elif key.startswith("_"):
            twins[key[1:]] = value
        else:
            slots[key] = wrap(value)
    for name, twin in twins.items():
        slots[name] = wrap(unwrap(slots.get(name))[0], twin)
    return slots


def _sort_into(slots: dict[str, Value], element: str, items: list[Any], discriminator: Callable[[Any], str]) -> None:
    for item in items:
        label = discriminator(item) if isinstance(item, dict) else UNLABELLED
        slots.setdefault(f"{element}[{label}]", []).append(item)


def _meta_slots(meta: Mapping[str, Any]) -> dict[str, Value]:
    slots: dict[str, Value] = {}
    for key, value in meta.items():
        if key in _META_DROPPED or value is None or value == []:
            continue
        if key in _UNITED and isinstance(value, list):
            for item in value:
                slots.setdefault(f"meta.{key}[{_coded(item)}]", []).append(item)
        else:
            slots[f"meta.{key}"] = wrap(value)
    return slots


def _coded(item: Any) -> str:
    """What tells one tag or label from another: its code or, without one, its words."""
    if not isinstance(item, dict):
        return str(item)
    return f"{item.get('system', '')}|{item.get('code') or item.get('display', '')}"


def _telecom(item: Mapping[str, Any]) -> str:
    system, use = item.get("system") or UNLABELLED, item.get("use")
    return f"{system},{use}" if use else str(system)


def _by(key: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda item: str(item.get(key) or UNLABELLED)


_DISCRIMINATORS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "name": _by("use"),
    "address": _by("use"),
    "telecom": _telecom,
    "identifier": _by("system"),
    "extension": _by("url"),
    "modifierExtension": _by("url"),
}


def _put(resource: Resource, slot: str, value: Value, twin: Value) -> None:
    if slot.endswith("[x]"):
        resource.update(value)
        return
    element = element_of(slot)
    target = resource
    if element.startswith("meta."):
        target, element = resource.setdefault("meta", {}), element[5:]
    if slot.endswith("]"):
        target.setdefault(element, []).extend(value)
    elif value is not None:
        target[element] = value
    if twin is not None:
        target[f"_{element}"] = twin


# Contained resources (FHIR R4 §2.3.7) go with every slot that refers to them, and come back once.


def _hand_out(slots: dict[str, Value], contained: list[Any]) -> None:
    by_id = {item["id"]: item for item in contained if isinstance(item, dict) and isinstance(item.get("id"), str)}
    taken: set[str] = set()
    for slot, value in list(slots.items()):
        reached = _reached(value, by_id)
        if reached:
            taken |= reached
            plain, twin, _ = unwrap(value)
            slots[slot] = wrap(plain, twin, [by_id[name] for name in by_id if name in reached])
    rest = [item for item in contained if not (isinstance(item, dict) and by_id.get(item.get("id", "")) is item)]
    rest += [item for name, item in by_id.items() if name not in taken]
    if rest:
        slots["contained"] = rest


def _reached(value: Value, by_id: Mapping[str, Any]) -> set[str]:
    reached: set[str] = set()
    waiting = [value]
    while waiting:
        for text in strings(waiting.pop()):
            name = text[1:]
            if text.startswith("#") and name in by_id and name not in reached:
                reached.add(name)
                waiting.append(by_id[name])
    return reached


def strings(value: Value) -> Iterator[str]:
    """Every string anywhere in a JSON value, depth first, without recursion."""
    waiting = [value]
    while waiting:
        top = waiting.pop()
        if isinstance(top, str):
            yield top
        elif isinstance(top, dict):
            waiting.extend(reversed(top.values()))
        elif isinstance(top, list):
            waiting.extend(reversed(top))


def renamed(value: Value, names: Mapping[str, str]) -> Value:
    """The same JSON with contained resources and the references to them under other names."""
    if isinstance(value, str):
        return f"#{names[value[1:]]}" if value.startswith("#") and value[1:] in names else value
    if isinstance(value, list):
        return [renamed(item, names) for item in value]
    if isinstance(value, dict):
        return {key: renamed(item, names) for key, item in value.items()}
    return value


def attach(contained: list[Any], attached: list[Any], value: Value, twin: Value) -> tuple[Value, Value]:
    """Add a slot's contained resources; one whose id another slot's different resource has gets a new id."""
    names: dict[str, str] = {}
    present = {item["id"]: item for item in contained if isinstance(item, dict) and "id" in item}
    for item in attached:
        name = item["id"]
        while name in present and present[name] != {**item, "id": name}:
            name += "x"
        names[item["id"]] = name
    changed = {old: new for old, new in names.items() if old != new}
    added = [item for item in attached if names[item["id"]] not in present]
    contained.extend({**renamed(item, changed), "id": names[item["id"]]} for item in added)
    return (renamed(value, changed), renamed(twin, changed)) if changed else (value, twin)
