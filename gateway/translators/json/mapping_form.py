"""The form of a mapping: what of a Patient it can carry, what of it in part, and what it rewrites."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.errors import InvalidInput
from gateway.fhir.form import ONE_ADDRESS, ONE_NAME, Field, Form
from gateway.fhir.record import Coverage
from gateway.translators.json.mapping import Mapped, Rule, Shape
from gateway.translators.json.mapping_paths import Expression, Ours


def form_of(mapped: Mapped) -> Form:
    """What of a Patient the mapping can carry."""
    shape = mapped.shapes.get("Patient")
    if shape is None:
        return Form(Coverage(frozenset()), frozenset())
    placed = [rule for rule in shape.rules if isinstance(rule.ours, Ours)]
    reads = {_slot(rule) for rule in placed if rule.inward}
    writes = {_slot(rule) for rule in placed if rule.outward}
    # FHIRPath may speak of anything: what it names first is the slot's element.
    writes |= {_element(rule.ours.text) for rule in shape.rules if isinstance(rule.ours, Expression) and rule.outward}
    fields = tuple(_singles(reads | writes))
    return Form(
        Coverage(frozenset(reads)),
        frozenset(writes),
        fields,
        parts=_parts(placed),
        rewriting=tuple(_rewriting(shape)),
        partial=True,
    )


def _slot(rule: Rule) -> str:
    assert isinstance(rule.ours, Ours)
    return rule.ours.slot({})


def _element(expression: str) -> str:
    return expression.removeprefix("Patient.").partition(".")[0].partition("[")[0].partition("(")[0]


def _singles(slots: set[str]) -> Iterator[Field]:
    """The fields of theirs that hold one value without saying which. Raises InvalidInput where others stand beside."""
    telecoms = [Field(slot) for slot in sorted(slots) if slot.startswith("telecom[") and "," not in slot]
    for single in (ONE_NAME, ONE_ADDRESS, *telecoms):
        if single.slot in slots:
            beside = sorted(slot for slot in slots if slot != single.slot and single.holds(slot))
            if beside:
                raise InvalidInput(f"mapping: {single.slot} stands beside {beside[0]}: say of both which use they have")
            yield single


def _parts(rules: list[Rule]) -> dict[str, frozenset[str]]:
    """The members of names, addresses and telecoms that are shown at all; of a whole name in one text, all of them."""
    parts: dict[str, set[str]] = {}
    whole: set[str] = set()
    for rule in rules:
        assert isinstance(rule.ours, Ours)
        first, *rest = rule.ours.places
        if first.name in ("name", "address", "telecom"):
            parts.setdefault(first.name, set()).update(place.name for place in rest[:1])
            whole |= set() if rest and rest[0].name != "text" else {first.name}
    return {name: frozenset(shown) for name, shown in parts.items() if name not in whole}


def _rewriting(shape: Shape) -> Iterator[str]:
    for name, element, rewriting in (("name", "name", "name-text"), ("phone", "telecom", "digits")):
        for rule in shape.rules:
            if _is_rewritten(rule, name, element, shape):
                yield rewriting
                break


def _is_rewritten(rule: Rule, transform: str, element: str, shape: Shape) -> bool:
    if not (isinstance(rule.ours, Ours) and rule.outward and rule.ours.first.name == element):
        return False
    if transform == "name":
        return rule.ours.element.kind == "HumanName" or rule.ours.text.endswith(".text")
    given = shape.written.fields.get(rule.ours.text)
    return isinstance(given, dict) and given.get("transform") == transform
