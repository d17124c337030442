"""Social History (LOINC 29762-2) -> Observations; birth sex goes to the Patient (C-CDA on FHIR, CF-social)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.observation import category, member, observation_body
from gateway.translators.ccda.registry import entry
from gateway.translators.ccda.statement import related, value_code
from gateway.translators.ccda.values import concept, kept

LOINC = "http://loinc.org"
BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
_DELIVERY = "11778-8"
_BIRTH_SEXES = frozenset(["F", "M", "OTH", "UNK", "ASKU"])


@entry(
    "2.16.840.1.113883.10.20.22.4.38",
    "2.16.840.1.113883.10.20.22.4.78",
    "2.16.840.1.113883.10.22.4.78",
    "2.16.840.1.113883.10.20.22.4.85",
    "2.16.840.1.113883.10.20.1.33",
    "1.3.6.1.4.1.19376.1.5.3.1.4.13.4",
    sections=("29762-2",),
    element="observation",
)
def social_history(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Smoking Status, Tobacco Use and other observations."""
    yield member(observation, ctx, categories=category("social-history", "Social History"))


@entry("2.16.840.1.113883.10.20.15.3.8", "2.16.840.1.113883.10.20.22.4.293")
def pregnancy(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Pregnancy Observation: its code says only ASSERTION, FHIR's is 82810-3; the estimated date is a component."""
    body = observation_body(observation, ctx, categories=category("social-history", "Social History"))
    if body is None:
        return
    body["code"] = concept("82810-3", LOINC, "Pregnancy status")
    for _, one in related(observation):
        if one.attribute("code", "code") == _DELIVERY and (date := ctx.moment(one.get("value"))):
            due = concept(_DELIVERY, LOINC, "Delivery date Estimated")
            body["component"] = [{"code": due, "valueDateTime": date}]
    yield ctx.add("Observation", kept(body), observation)


@entry("2.16.840.1.113883.10.20.22.4.200")
def birth_sex(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Birth Sex Observation -> Patient.extension us-core-birthsex; US Core has the codes F, M, OTH, UNK, ASKU."""
    code = value_code(observation) or observation.attribute("value", "nullFlavor")
    if code in _BIRTH_SEXES:
        extension = {"url": BIRTH_SEX, "valueCode": code}
        if extension not in ctx.person.setdefault("extension", []):
            ctx.person["extension"].append(extension)
        yield ctx.patient
