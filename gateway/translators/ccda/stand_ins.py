"""What US Core makes mandatory and the document does not say: the reason stands in its place (US Core 3.1.1 and 6.1.0,
General Guidance, Missing Data). What base R4 makes mandatory the translators of the entries say themselves.

Where only a code of a list may stand (`Patient.gender`, the contentType of a document) it is the one for what nobody
knows. The code of an allergy gets no reason: it is only missing where an extension forbids it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gateway.fhir.json import Resource

from .values import absent, absent_concept

SMOKING_STATUS = "72166-2"

_NAMELESS = {"_family": absent()}
_UNNUMBERED = {"_system": absent(), "_value": absent()}
_UNKNOWN_TYPE = "application/octet-stream"
"""Of content whose type nobody said (RFC 2046 §4.5.1)."""

_ELEMENTS: dict[str, tuple[tuple[str, object], ...]] = {
    "DocumentReference": (("category", [absent_concept()]),),
    "Observation": (("category", [absent_concept()]),),
    "Organization": (("_active", absent()),),
    "Patient": (("identifier", [_UNNUMBERED]), ("name", [absent()]), ("gender", "unknown")),
    "Practitioner": (("identifier", [_UNNUMBERED]), ("name", [_NAMELESS])),
    "PractitionerRole": (("practitioner", absent()), ("organization", absent())),
}
"""Type -> elements with what stands in for them; the twin of a primitive by its own name."""


def add_stand_ins(resources: Iterable[Resource]) -> None:
    """Put in what is missing. It comes after the gate, which allows all of it (the tests hold it to that)."""
    for resource in resources:
        kind = resource["resourceType"]
        for name, stand_in in _ELEMENTS.get(kind, ()):
            if name.lstrip("_") not in resource:
                resource.setdefault(name, stand_in)
        if within := _WITHIN.get(kind):
            within(resource)


def _identified(resource: Resource) -> None:
    """An identifier whose root nobody said has no system."""
    for one in resource.get("identifier", ()):
        if "system" not in one:
            one.setdefault("_system", absent())


def _practitioner(resource: Resource) -> None:
    _identified(resource)
    for name in resource["name"]:
        if "family" not in name:
            name.setdefault("_family", absent())


def _patient(resource: Resource) -> None:
    """A name of one text says itself that it is in no parts (us-core-6; us-core-8 of 3.1.1)."""
    _identified(resource)
    for name in resource["name"]:
        if "family" not in name and "given" not in name:
            name.setdefault("extension", absent()["extension"])


def _attachments(resource: Resource) -> None:
    for content in resource["content"]:
        content["attachment"].setdefault("contentType", _UNKNOWN_TYPE)


def _smoking_status(resource: Resource) -> None:
    """3.1.1 asks for `issued` of it."""
    if "issued" not in resource and any(
        one.get("code") == SMOKING_STATUS for one in resource["code"].get("coding", ())
    ):
        resource["_issued"] = absent()


_WITHIN: dict[str, Callable[[Resource], None]] = {
    "DocumentReference": _attachments,
    "Encounter": _identified,
    "Observation": _smoking_status,
    "Patient": _patient,
    "Practitioner": _practitioner,
}
