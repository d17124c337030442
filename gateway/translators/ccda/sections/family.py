"""Family History (LOINC 10157-6) -> FamilyMemberHistory, one per relative (C-CDA R2.1 §2.15, §3.43 to §3.45)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.translators.ccda.context import Context, Reference
from gateway.translators.ccda.demographics import human_name
from gateway.translators.ccda.node import Node
from gateway.translators.ccda.people import recording
from gateway.translators.ccda.registry import entry
from gateway.translators.ccda.statement import (
    AGE,
    ROOT,
    coded_value,
    components,
    denied,
    happened,
    mapped,
    notes,
    of_kind,
    related,
    value_code,
)
from gateway.translators.ccda.values import (
    Value,
    absent_concept,
    codeable,
    coding,
    concept,
    identifiers,
    interval,
    kept,
    period,
    quantity,
)

GENDERS = "http://hl7.org/fhir/administrative-gender"
_DEATH = frozenset([ROOT + "47", "2.16.840.1.113883.10.20.1.42"])
_DEAD = "419099009"
_AGES = AGE | {"397659008"}


@entry(
    ROOT + "45",
    "2.16.840.1.113883.10.20.1.23",
    "2.16.840.1.113883.3.88.11.83.18",
    "1.3.6.1.4.1.19376.1.5.3.1.4.15",
    sections=("10157-6",),
    element="organizer",
    in_any_mood=True,
    of_kin=True,
)
def relative(organizer: Node, ctx: Context) -> Iterator[Reference | None]:
    """Family History Organizer: a relative, and what he had."""
    yield _history(organizer, organizer.node("subject"), components(organizer), ctx)


@entry(ROOT + "46", "2.16.840.1.113883.10.20.1.22", sections=("10157-6",), element="observation", of_kin=True)
def lone_observation(observation: Node, ctx: Context) -> Iterator[Reference | None]:
    """A Family History Observation outside of an organizer: whose it is may be said in it, or nowhere."""
    yield _history(observation, observation.node("subject"), [observation], ctx)


def _history(source: Node, subject: Node | None, observations: list[Node], ctx: Context) -> Reference | None:
    """None when it tells neither who nor what."""
    role = subject.node("relatedSubject") if subject else None
    person = role.node("subject") if role else None
    conditions = [made for one in observations if (made := _condition(one, ctx))]
    relationship = codeable(role.get("code"), ctx) if role else None
    if not conditions and relationship is None:
        return None
    status = mapped("family-status", source.attribute("statusCode", "code"))
    _, written = recording(source, ctx)
    body = {
        "identifier": identifiers(source.all("id")),
        "status": status.code if status else "health-unknown" if not conditions else "partial",
        "patient": ctx.patient,
        "date": written,
        **(_person(person, ctx) if person else {}),
        "relationship": relationship or absent_concept(role.get("code") if role else None),
        **_death(person, observations, ctx),
        "condition": conditions,
    }
    return ctx.add("FamilyMemberHistory", kept(body), source, code=role.get("code") if role else None)


def _person(person: Node, ctx: Context) -> Value:
    name = human_name(person.get("name"), ctx) or {}
    gender = mapped("gender", person.attribute("administrativeGenderCode", "code"))
    said = coding(person.get("administrativeGenderCode"))
    born = ctx.moment(person.get("birthTime"))
    words = [*name.get("given", ()), name.get("family") or name.get("text")]
    return {
        "name": " ".join(word for word in words if word),
        "sex": {"coding": [*concept(gender.code, GENDERS)["coding"], said]} if gender and said else None,
        "bornDate": born[:10] if born else None,
    }


def _death(person: Node | None, observations: list[Node], ctx: Context) -> Value:
    """The date, else that he died: as the relative's own elements or a Family History Death Observation say."""
    if person and (time := ctx.moment(person.get("sdtc:deceasedTime"))):
        return {"deceasedDate": time[:10]}
    said = person.attribute("sdtc:deceasedInd", "value") if person else None
    if said in ("true", "false", "1", "0"):
        return {"deceasedBoolean": said in ("true", "1")}
    died = any(_is_death(inner) for one in observations for _, inner in related(one))
    return {"deceasedBoolean": True} if died else {}


def _is_death(observation: Node) -> bool:
    said = not _DEATH.isdisjoint(observation.kinds) or value_code(observation) == _DEAD
    return said and not (observation.negated or observation.untold)


def _condition(observation: Node, ctx: Context) -> Value | None:
    """What the relative had. A negated one is no condition: that he did not have it stays in the narrative, as does
    what is only thought of."""
    what = coded_value(observation, ctx)
    if what is None or observation.untold:
        return None
    if not happened(observation):
        text = "what a relative has not had stays in the narrative only"
        ctx.issue("warning", "not-supported", text, observation.element)
        return None
    if observation.negated:
        ctx.issue("warning", "not-supported", "a negated family history stays in the narrative", observation.element)
        return None
    relations = related(observation)
    for _, one in relations:
        denied(one, ctx)
    caused = any(kind == "CAUS" and _is_death(one) for kind, one in relations)
    return kept(
        {
            "code": what,
            "contributedToDeath": True if caused else None,
            **_onset(observation, relations, ctx),
            "note": notes(relations, ctx),
        }
    )


def _onset(observation: Node, relations: list[tuple[str | None, Node]], ctx: Context) -> Value:
    """The age, else when it was."""
    for one in of_kind(_AGES, relations):
        if age := quantity(one.get("value")):
            return {"onsetAge": age} if "system" in age else {"onsetString": str(age["value"])}
    time = observation.get("effectiveTime")
    found = interval(time, ctx)
    if found.value:
        return {"onsetString": found.value}
    during = period(time, ctx)
    return {"onsetPeriod": during} if during else {}
