"""Writes gateway/fhir/schemas/*.json from the fhir.resources R4B models' own metadata: `make schemas`.

One file per resource type with its backbone elements, one (`datatypes.json`) for what they share. Primitive types and
references are only named there (`#/$defs/date`, `#/$defs/Reference.Patient.Group`): the gate supplies them.
`fault` beside a rule says what to tell the caller who breaks it.

    python tools/make_schemas.py            write
    python tools/make_schemas.py --check    compare with what is there, status 1 if it differs
"""

from __future__ import annotations

import importlib
import json
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tools"))

from r4_corrections import (  # noqa: E402
    CODES,
    META_CHOICES,
    OPEN,
    R4B_ELEMENTS,
    R4B_TYPES,
    RESOURCE_TYPE_CODES,
    TARGETS,
)
from r4_invariants import INVARIANTS  # noqa: E402

from gateway.fhir.gate_types import R4_TYPES, TYPES  # noqa: E402

SCHEMAS = ROOT / "gateway" / "fhir" / "schemas"
Schema = dict[str, Any]
MANY = 15
"""Choices of more types than this are of any data type."""

BARE = frozenset({"Extension.url", "Narrative.div"})
"""Primitive elements without a `_` twin, beside every id: attributes in XML, and XHTML (FHIR R4 §2.6.2.1)."""


@dataclass(frozen=True)
class Element:
    """One element as the model describes it; `kind` is a primitive's or a complex type's name."""

    name: str
    kind: str
    primitive: bool
    twin: bool
    many: bool
    required: bool
    choice: str | None
    choice_required: bool
    codes: list[str] | None
    targets: list[str] | None

    @property
    def keys(self) -> list[str]:
        """The JSON properties that can hold it."""
        return [self.name, f"_{self.name}"] if self.twin else [self.name]


def elements(model: Any) -> Iterator[Element]:
    """The elements of a model as R4 has them."""
    owner = model.get_resource_type()
    for name in model.elements_sequence():
        info = next(f for key, f in model.model_fields.items() if (f.alias or key) == name)
        kind, primitive, many = kind_of(info.annotation)
        facts = info.json_schema_extra
        key = f"{owner}.{name}"
        if kind in R4B_TYPES or key in R4B_ELEMENTS:
            continue
        yield Element(
            name=name,
            kind=kind,
            primitive=primitive,
            twin=primitive and name != "id" and key not in BARE,
            many=many,
            required=info.is_required() or facts.get("element_required", False),
            choice=facts.get("one_of_many"),
            choice_required=facts.get("one_of_many_required", False),
            codes=codes_of(key, facts.get("enum_values")),
            targets=targets_of(key, facts.get("enum_reference_types")) if kind == "Reference" else None,
        )


def kind_of(annotation: Any) -> tuple[str, bool, bool]:
    """Type name, whether it is primitive, whether it repeats."""
    many = False
    while args := [arg for arg in typing.get_args(annotation) if arg is not type(None)]:
        for note in args[1:]:
            if isinstance(visited := getattr(note, "__visit_name__", None), str):
                return visited, True, many
        many = many or typing.get_origin(annotation) is list
        annotation = args[0]
    if name := {bool: "boolean", UUID: "uuid"}.get(annotation):
        return name, True, many
    return annotation.get_model_klass().get_resource_type(), False, many


def codes_of(key: str, listed: list[str] | None) -> list[str] | None:
    """The closed list of codes, None where any code may stand."""
    if key in RESOURCE_TYPE_CODES:
        return sorted(R4_TYPES | {"Resource", "DomainResource"})
    if key in CODES:
        return CODES[key].split()
    return None if key in OPEN else listed


def targets_of(key: str, listed: list[str] | None) -> list[str] | None:
    """The types that a reference may name, None for any."""
    targets = TARGETS.get(key, listed or [])
    return None if not targets or "Resource" in targets else targets


def meta_choices(owner: str, found: list[Element]) -> list[Element]:
    """Meta, where R4 offers it in a choice and R4B does not."""
    groups = {e.choice: e for e in found if e.choice and f"{owner}.{e.choice}" in META_CHOICES}
    return [
        Element(f"{group}Meta", "Meta", False, False, False, False, group, first.choice_required, None, None)
        for group, first in groups.items()
    ]


def value_of(element: Element) -> Schema:
    """The schema of one value of an element."""
    if element.codes:
        return {"enum": element.codes}
    if element.kind == "Resource":
        return {"type": "object"}
    if element.targets:
        return ref(".".join(["Reference", *element.targets]))
    return ref(element.kind)


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def listed(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


def properties_of(element: Element) -> Iterator[tuple[str, Schema]]:
    """The JSON properties of an element: itself, and the `_` twin of a primitive one (FHIR R4 §2.6.2.1)."""
    value = value_of(element)
    if not element.twin:
        yield element.name, listed(value) if element.many else value
    elif element.many:
        yield element.name, listed({"enum": [*element.codes, None]} if element.codes else ref(f"{element.kind}?"))
        yield f"_{element.name}", listed(ref("Twin?"))
    else:
        yield element.name, value
        yield f"_{element.name}", ref("Twin")


def fault(code: str, element: str, text: str, rule: Schema) -> Schema:
    return {"fault": {"code": code, "element": element, "text": text}, **rule}


def any_present(keys: list[str]) -> Schema:
    return {"anyOf": [{"required": [key]} for key in keys]}


def required_rule(element: Element) -> Schema:
    return fault("required", element.name, f"{element.name} is required.", any_present(element.keys))


def twins_rule(element: Element) -> Schema:
    """Lists of a primitive and of its twins have the same places; null stands only where the twin speaks."""
    name = element.name
    return fault(
        "structure",
        name,
        f"{name} and _{name} must be of the same length, and a place may be null in only one of them.",
        {
            "if": {"required": [f"_{name}"]},
            "then": {"twins": name},
            "else": {"properties": {name: {"items": {"not": {"type": "null"}}}}},
        },
    )


def choice_rules(group: str, members: list[Element]) -> Iterator[Schema]:
    """At most one type of a choice, exactly one where it is required (FHIR R4 §2.1.27.0.3)."""
    one = fault("structure", f"{group}[x]", f"{group}[x] may be given in one type only.", one_of(members))
    some = fault("required", f"{group}[x]", f"{group}[x] is required, in one of its types.", any_of(members))
    if len(members) > 1:
        yield one
    if members[0].choice_required:
        yield some


def one_of(members: list[Element]) -> Schema:
    """No key of a later member beside a key of an earlier one: as many look-ups as there are keys.

    The choices of any data type, rare and fifty types wide, are counted by a keyword of the gate.
    """
    if len(members) > MANY:
        return {"one_choice": [member.name for member in members]}
    rules: Schema = {}
    for at, member in enumerate(members[:-1]):
        rest = {key: False for later in members[at + 1 :] for key in later.keys}
        rules.update({key: {"properties": rest} for key in member.keys})
    return {"dependentSchemas": rules}


def any_of(members: list[Element]) -> Schema:
    """Some key of some member."""
    if len(members) > MANY:
        names = "|".join(member.name for member in members)
        return {"not": {"propertyNames": {"not": {"pattern": f"^_?(?:{names})$"}}}}
    return any_present([key for member in members for key in member.keys])


def extension_rule(members: list[Element]) -> Schema:
    """ext-1 and the choice in one: an extension is almost always a url and one value, which needs no counting."""
    usual = {"required": ["url"], "minProperties": 2, "maxProperties": 2, "properties": {"id": False}}
    return fault(
        "invariant",
        "value[x]",
        "An extension has either one value[x] or extensions of its own (ext-1).",
        {"anyOf": [usual, {"allOf": [any_of(members), one_of(members)]}]},
    )


def rules_of(owner: str, found: list[Element]) -> list[Schema]:
    """Everything that a look at a single property cannot tell."""
    groups: dict[str, list[Element]] = {}
    for element in found:
        if element.choice:
            groups.setdefault(element.choice, []).append(element)
    rules = [required_rule(e) for e in found if e.required and e.twin]
    rules += [twins_rule(e) for e in found if e.many and e.twin]
    if owner == "Extension":
        rules.append(extension_rule([e for e in found if e.name == "extension"] + groups.pop("value")))
    for group, members in groups.items():
        rules += choice_rules(group, members)
    return rules + [fault("invariant", inv.element, f"{inv.text} ({inv.key}).", inv.rule) for inv in INVARIANTS[owner]]


def schema_of(model: Any) -> Schema:
    """The schema of one complex type."""
    owner = model.get_resource_type()
    found = list(elements(model))
    found += meta_choices(owner, found)
    resource = owner in TYPES
    properties: Schema = {"resourceType": {"const": owner}} if resource else {}
    for element in found:
        properties.update(properties_of(element))
    required = [e.name for e in found if e.required and not e.twin]
    rules = rules_of(owner, found)
    if owner not in TYPES:
        rules.insert(0, {"minProperties": 1} if owner == "FHIRPrimitiveExtension" else EMPTY)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if resource:
        required.insert(0, "resourceType")
    if required:
        schema["required"] = required
    if rules:
        schema["allOf"] = rules
    if choices := {e.name: [e.choice, e.kind] for e in found if e.choice}:
        schema["choices"] = choices
    return schema


EMPTY: Schema = fault(
    "invariant",
    "",
    "An element must have a value or children (ele-1).",
    {"minProperties": 1, "dependentSchemas": {"id": {"minProperties": 2}}},
)


def model_of(name: str) -> Any:
    return importlib.import_module("fhir.resources.R4B").get_fhir_model_class(name)


def names_in(schema: Any) -> Iterator[str]:
    """The complex types that a schema refers to."""
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target.removeprefix("#/$defs/").split(".")[0]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from names_in(part)


def collect(name: str, into: dict[str, Schema]) -> None:
    """The schema of a type and of all that it refers to."""
    if name in into or not name[0].isupper() or name.startswith("Twin"):
        return
    into[name] = schema_of(model_of(name))
    for other in names_in(into[name]):
        collect(other, into)


def files() -> dict[str, str]:
    """File name -> text: a type's own backbone elements stand in its file, everything shared in datatypes.json."""
    closures: dict[str, dict[str, Schema]] = {}
    for resource in sorted(TYPES):
        collect(resource, closures.setdefault(resource, {}))
    uses: dict[str, set[str]] = {}
    for resource, closure in closures.items():
        for name in closure:
            uses.setdefault(name, set()).add(resource)
    shared = {"Twin": schema_of(model_of("FHIRPrimitiveExtension"))}
    texts = {}
    for resource, closure in closures.items():
        own = {name: schema for name, schema in closure.items() if name.startswith(resource)}
        shared |= {name: schema for name, schema in closure.items() if name not in own}
        texts[f"{resource}.json"] = compact(own)
    texts["datatypes.json"] = compact(shared)
    return texts


def compact(schemas: dict[str, Schema]) -> str:
    lines = [f"{json.dumps(name)}:{json.dumps(schemas[name], separators=(',', ':'))}" for name in sorted(schemas)]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def differing(texts: dict[str, str]) -> list[str]:
    """The files that are not what the models say."""
    there = {path.name: path.read_text() for path in SCHEMAS.glob("*.json")}
    return sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))


def main(*, check: bool) -> int:
    texts = files()
    stale = differing(texts)
    if check:
        print("\n".join(stale) or "schemas are up to date")
        return 1 if stale else 0
    for name in stale:
        path = SCHEMAS / name
        if name in texts:
            path.write_text(texts[name])
        else:
            path.unlink()
    print(f"{len(texts)} files, {len(stale)} changed, {sum(map(len, texts.values()))} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
