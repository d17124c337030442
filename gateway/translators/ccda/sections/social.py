"""Social History (LOINC 29762-2) -> Observations; birth sex goes to the Patient (C-CDA on FHIR, CF-social)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.fhir import json
from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.node import Element, Node
from gateway.translators.ccda.observation import category, observation_body
from gateway.translators.ccda.patient import CORE, NULLS
from gateway.translators.ccda.people import recording
from gateway.translators.ccda.registry import entry
from gateway.translators.ccda.statement import (
    DUE,
    NOT_HELD_TO,
    ROOT,
    denied,
    of_another,
    of_kind,
    related,
    value_code,
    withdrawn,
)
from gateway.translators.ccda.values import LOINC, SNOMED, Value, codeable, concept, interval, kept

BIRTH_SEX = f"{CORE}us-core-birthsex"
_PREGNANT, _NOT_PREGNANT = "77386006", "60001007"
_DEAD = "419099009"
_DELIVERY = "11778-8"
_SMOKING = concept("72166-2", LOINC, "Tobacco smoking status")
_ASKED = {
    ROOT + "78": _SMOKING,
    "2.16.840.1.113883.10.22.4.78": _SMOKING,
    ROOT + "85": _SMOKING,
}
"""What is asserted where R1.1 says no more than that something is: its template does (CF-social)."""
_BIRTH_SEXES = frozenset(["F", "M", "OTH", "UNK", "ASKU"])


@entry(
    "2.16.840.1.113883.10.20.22.4.38",
    "2.16.840.1.113883.10.20.22.4.78",
    "2.16.840.1.113883.10.22.4.78",
    "2.16.840.1.113883.10.20.22.4.85",
    "2.16.840.1.113883.10.20.1.33",
    "1.3.6.1.4.1.19376.1.5.3.1.4.13.4",
    "2.16.840.1.113883.10.20.1.41",
    *(ROOT + one for one in ("501", "503", "504", "280", "285")),
    codes=("8665-2", "11885-1", "11884-4", "49051-6", "76690-7"),
    sections=("29762-2",),
    element="observation",
)
def social_history(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Smoking Status, Tobacco Use and other observations."""
    body = observation_body(observation, ctx, categories=category("social-history", "Social History"))
    if body is None:
        return
    if observation.attribute("code", "code") == "ASSERTION":
        asked = next((_ASKED[root] for root in observation.templates() if root in _ASKED), {})
        body["code"] = {**body["code"], **asked}
    yield ctx.add("Observation", body, observation)


@entry("2.16.840.1.113883.10.20.15.3.8", "2.16.840.1.113883.10.20.22.4.293")
def pregnancy(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Pregnancy Observation: its code says only ASSERTION, FHIR's is 82810-3; the estimated date is a component."""
    body = _of_pregnancy(observation, ctx)
    if body is None:
        return
    body["code"] = concept("82810-3", LOINC, "Pregnancy status")
    for one in of_kind(DUE, related(observation)):
        if date := ctx.moment(one.get("value")):
            due = concept(_DELIVERY, LOINC, "Delivery date Estimated")
            body["component"] = [{"code": due, "valueDateTime": date}]
    yield ctx.add("Observation", kept(body), observation)


@entry(ROOT + "281", codes=("86645-9",), element="observation", in_any_mood=True)
def intention(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Pregnancy Intention in Next Year, in either mood."""
    if body := _of_pregnancy(observation, ctx):
        yield ctx.add("Observation", body, observation)


def _of_pregnancy(observation: Node, ctx: Context) -> Value | None:
    """That she is not pregnant is a value of its own in the value set of the code (US Core Pregnancy Status)."""
    is_denied = observation.negated and value_code(observation) == _PREGNANT
    kinds = category("social-history", "Social History")
    body = observation_body(observation, ctx, categories=kinds, is_denial_told=is_denied)
    if body and is_denied:
        body["valueCodeableConcept"] = concept(_NOT_PREGNANT, SNOMED, "Not pregnant")
    return None if body is None else _known(_at_one_time(body, observation, ctx), observation)


def _at_one_time(body: Value, observation: Node, ctx: Context) -> Value:
    """US Core has one point in time: the start, else the end, else when it was written down (CF-social)."""
    when = interval(observation.get("effectiveTime"), ctx)
    time = when.start or when.high or recording(observation, ctx)[1]
    if not time:
        return body
    if when.low and when.high and when.low != when.high:
        ctx.once("the end of the time of a pregnancy: US Core has its start alone", observation.element)
    rest = {name: value for name, value in body.items() if not name.lstrip("_").startswith("effective")}
    return {**rest, "effectiveDateTime": time}


def _known(body: Value, observation: Node) -> Value:
    """Unknown is an answer, for which US Core has the null flavor as a code, whether the observation or its value says
    so (HL7's example "Unknown if Pregnant"); any other is the reason for none."""
    value = observation.element if observation.untold else observation.get("value")
    if value is None or value.get("nullFlavor") != "UNK" or "valueCodeableConcept" in body:
        return body
    rest = {name: one for name, one in body.items() if name != "dataAbsentReason"}
    return {**rest, "valueCodeableConcept": concept("UNK", NULLS, "unknown")}


@entry(ROOT + "200", codes=("76689-9",), element="observation")
def birth_sex(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Birth Sex Observation -> Patient.extension us-core-birthsex; US Core has the codes F, M, OTH, UNK, ASKU."""
    code = value_code(observation) or observation.attribute("value", "nullFlavor")
    if code in _BIRTH_SEXES and _is_told(observation, ctx):
        yield _said_of_patient({"url": BIRTH_SEX, "valueCode": code}, ctx)


@entry(ROOT + "507", codes=("46098-0",), element="observation")
def sex(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Sex Observation -> Patient.extension us-core-sex."""
    if (code := value_code(observation)) and _is_told(observation, ctx):
        yield _said_of_patient({"url": f"{CORE}us-core-sex", "valueCode": code}, ctx)


@entry("2.16.840.1.113883.10.20.34.3.45", codes=("76691-5",), element="observation")
def gender_identity(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Gender Identity Observation -> Patient.extension us-core-genderIdentity; one that is not known says why."""
    value = observation.get("value")
    said = codeable(value, ctx) or (_null(value) if value is not None and value.get("nullFlavor") else None)
    if said and _is_told(observation, ctx):
        yield _said_of_patient({"url": f"{CORE}us-core-genderIdentity", "valueCodeableConcept": said}, ctx)


@entry(ROOT + "506", codes=("95370-3",), element="observation")
def tribe(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Tribal Affiliation Observation -> Patient.extension us-core-tribal-affiliation."""
    if (said := codeable(observation.get("value"), ctx)) and _is_told(observation, ctx):
        part = {"url": "tribalAffiliation", "valueCodeableConcept": said}
        yield _said_of_patient({"url": f"{CORE}us-core-tribal-affiliation", "extension": [part]}, ctx)


@entry(ROOT + "79")
def deceased(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """Deceased Observation -> Patient.deceased[x], where the header does not say it."""
    if value_code(observation) != _DEAD or not _is_told(observation, ctx):
        return
    if "deceasedDateTime" not in ctx.person:
        when = interval(observation.get("effectiveTime"), ctx).start
        ctx.person.pop("deceasedBoolean", None)
        ctx.person |= {"deceasedDateTime": when} if when else {"deceasedBoolean": True}
    yield ctx.patient


def _is_told(observation: Node, ctx: Context) -> bool:
    """Whether it says something of the patient: it is not denied, withdrawn or of somebody else."""
    if observation.untold or of_another(observation, ctx):
        return False
    return not (denied(observation, ctx) or withdrawn(observation, ctx, NOT_HELD_TO))


def _null(value: Element) -> Value:
    """The null flavor as US Core writes it: a code, not an absence."""
    return concept(value.get("nullFlavor") or "", NULLS)


def _said_of_patient(extension: Value, ctx: Context) -> Reference:
    """A different value for what is there already is not added: R4 has room for one of each, the header's first."""
    said = ctx.person.setdefault("extension", [])
    alone = extension["url"] != f"{CORE}us-core-tribal-affiliation"
    if not (extension in said or (alone and any(one["url"] == extension["url"] for one in said))):
        said.append(extension)
        said.sort(key=_place)
    return ctx.patient


def _place(extension: Value) -> tuple[str, bytes]:
    """In an order of their own: that of the entries must not matter."""
    return extension["url"], json.encode(extension)
