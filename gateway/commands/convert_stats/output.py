"""What a Bundle says, for `--stats`: per resource and element the tokens that stand there or in what it refers to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.fhir.json import Resource

from . import tokens

Said = dict[str, frozenset[str]]

_LINKS = ("subject", "patient", "beneficiary", "individual", "for")
_DEEP = 3
_PEOPLE = (
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Device",
    "RelatedPerson",
    "CareTeam",
    "Location",
)
_THINGS = ("Medication", "Substance", "Specimen", "Condition", "Observation", "DiagnosticReport")
_PARTIES = frozenset([*_PEOPLE, *_THINGS])
"""What a reference to it says as well."""

_DATED = ("date", "time", "start", "end", "period", "issued", "recorded", "created", "sent", "onset", "abatement")
_TIMED = (*_DATED, "authored", "when", "event")
"""What the names of elements hold that are times: authoredOn, whenHandedOver, Timing.event among them."""

_NUMBERS = ("lotNumber", "serialNumber", "deviceIdentifier", "subscriberId")
_EXTENSION = "extension"
"""Does not count, but where the mapping names one: of the resource itself, or of an element (`communication.extension`,
the proficiency of a language)."""

_ALIKE = {"male": "M", "female": "F", "self": "SELF", "spouse": "SPS", "child": "CHILD", "clinical-note": "34109-9"}
"""FHIR's own codes and the HL7 v3 codes that they are made of."""


class Output:
    """The resources of one Bundle that are linked to its patient, by type."""

    def __init__(self, bundle: Resource) -> None:
        resources = [entry["resource"] for entry in bundle.get("entry", ())]
        self.by_reference = {f"{one['resourceType']}/{one.get('id')}": one for one in resources}
        self.patient = next((name for name in self.by_reference if name.startswith("Patient/")), "")
        self.types: dict[str, list[Said]] = {}
        self.tokens: dict[tuple[str, str], list[Said]] = {}
        self._leaves: dict[tuple[str, int], frozenset[str]] = {}
        self._provenance = self._provenances(resources)
        self._guarantors = self._accounts(resources)
        taken = [one for one in resources if one["resourceType"] == "Specimen" and self._is_linked(one)]
        self._specimens = frozenset(self._of(taken, "", _DEEP))
        self.types["Bundle"] = [{"identifier": frozenset(self._of(bundle.get("identifier"), "", _DEEP))}]
        for one in resources:
            if self._is_linked(one):
                self._take(one)

    def _is_linked(self, resource: Resource) -> bool:
        if resource["resourceType"] in ("Patient", "Composition"):
            return True
        return any(_refers(resource.get(name), self.patient) for name in _LINKS)

    def _take(self, resource: Resource) -> None:
        kind, name = resource["resourceType"], f"{resource['resourceType']}/{resource.get('id')}"
        said: Said = {key: frozenset(self._of(value, key, _DEEP)) | {tokens.ANY} for key, value in resource.items()}
        for key, value in resource.items():
            if key != _EXTENSION and (more := frozenset(self._extended(value))):
                said[f"{key}.extension"] = more
        said["@provenance"] = self._provenance.get(name, frozenset())
        said["@specimens"] = self._specimens
        said["@guarantor"] = self._guarantors.get(name, frozenset())
        self.types.setdefault(kind, []).append(said)
        for token in {token for found in said.values() for token in found}:
            self.tokens.setdefault((kind, token), []).append(said)

    def _accounts(self, resources: list[Resource]) -> dict[str, frozenset[str]]:
        """Coverage -> who pays what it does not: R4 has its guarantor in the patient's Account alone."""
        found: dict[str, frozenset[str]] = {}
        for one in resources:
            if one["resourceType"] == "Account" and any(_refers(who, self.patient) for who in one.get("subject", ())):
                said = frozenset(self._of(one.get("guarantor"), "", _DEEP))
                for covered in one.get("coverage", ()):
                    name = covered.get("coverage", {}).get("reference", "")
                    found[name] = found.get(name, frozenset()) | said
        return found

    def _provenances(self, resources: list[Resource]) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for one in resources:
            if one["resourceType"] == "Provenance":
                said = frozenset(
                    self._of([one.get("agent"), one.get("recorded"), one.get("occurredDateTime")], "date", _DEEP)
                )
                for target in one.get("target", ()):
                    name = target.get("reference", "")
                    found[name] = found.get(name, frozenset()) | said
        return found

    def _of(self, value: Any, key: str, deep: int) -> Iterator[str]:
        if isinstance(value, list):
            for one in value:
                yield from self._of(one, key, deep)
        elif isinstance(value, dict):
            yield from _of_object(value)
            for name, inner in value.items():
                if name != _EXTENSION or key == _EXTENSION:
                    yield from self._of(inner, name, deep)
            if deep and isinstance(value.get("reference"), str):
                yield from self._referred(value["reference"], deep - 1)
        else:
            yield from _of_leaf(value, key)

    def _extended(self, value: Any) -> Iterator[str]:
        """What the extensions of an element say."""
        if isinstance(value, list):
            for one in value:
                yield from self._extended(one)
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield from self._of(inner, name, _DEEP) if name == _EXTENSION else self._extended(inner)

    def _referred(self, reference: str, deep: int) -> frozenset[str]:
        target = self.by_reference.get(reference)
        if target is None or target["resourceType"] not in _PARTIES:
            return frozenset()
        if (reference, deep) not in self._leaves:
            self._leaves[reference, deep] = frozenset()
            self._leaves[reference, deep] = frozenset(self._of(target, "", deep))
        return self._leaves[reference, deep]


def _refers(value: Any, reference: str) -> bool:
    return isinstance(value, dict) and value.get("reference") == reference


_TIMED_UNITS = tuple((f"{name}{most}", f"{name}Unit") for name in ("period", "duration") for most in ("", "Max"))


def _of_object(value: dict[str, Any]) -> Iterator[str]:
    for name, unit in (("value", "unit"), ("value", "code"), *_TIMED_UNITS):
        if (found := tokens.quantity(value.get(name), value.get(unit))) is not None:
            yield found
    names = [*value.get("given", ()), value.get("family", "")] if "family" in value or "given" in value else []
    if names:
        yield tokens.person(" ".join(names))
    if isinstance(value.get("value"), str):
        yield tokens.identifier(value["value"])
        yield tokens.telecom(value["value"])
    if isinstance(value.get("name"), str):
        yield tokens.person(value["name"])


def _of_leaf(value: Any, key: str) -> Iterator[str]:
    if isinstance(value, str):
        yield tokens.text(value)
        if key in ("code", "valueCode", "class", "confidentiality", "language", "when") or key.endswith("Code"):
            yield tokens.code(value)
            if value in _ALIKE:
                yield tokens.code(_ALIKE[value])
        elif key == "text":
            yield tokens.person(value)
        elif key in _NUMBERS:
            yield tokens.identifier(value)
        if any(word in key.casefold() for word in _TIMED):
            yield from tokens.fhir_times(value)
    elif value is not None and not isinstance(value, bool) and (found := tokens.quantity(value)) is not None:
        yield found


def holds(said: Said, token: str, elements: str) -> bool:
    """Whether one of the elements (choice types by their stem) holds the token."""
    for element in elements.split():
        stem, wanted = (element[1:], tokens.ANY) if element.startswith("~") else (element, token)
        for key, found in said.items():
            if wanted in found and (key == stem or (key.startswith(stem) and key[len(stem)].isupper())):
                return True
    return False
