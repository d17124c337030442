"""What many entries have alike: comments, status observations, indications (C-CDA R2.1 §3)."""

from __future__ import annotations

from collections.abc import Iterable

from .codes import CONCEPTS, Concept
from .context import Context, Reference
from .links import meant
from .node import NONE, V3, Element, Node, statement_in
from .parties import is_patient
from .people import fits, person
from .values import Value, codeable, distinct, kept, resolved, typed

STATUS = "33999-4"
_COMMENTATORS = ("Practitioner", "Patient", "RelatedPerson", "Organization")

ROOT = "2.16.840.1.113883.10.20.22.4."
COMMENT = frozenset(["48767-8", ROOT + "64", "2.16.840.1.113883.10.20.1.40", "1.3.6.1.4.1.19376.1.5.3.1.4.2"])
_CODED = frozenset(["CD", "CE", "CV", "CO", "CS", "BL"])
_TEXT = ("ST", "ED")
INSTRUCTION = frozenset([ROOT + "20", "2.16.840.1.113883.10.20.1.49", "1.3.6.1.4.1.19376.1.5.3.1.4.3"])
FREE_TEXT_SIG = frozenset(["76662-6", ROOT + "147"])
REACTION = frozenset([ROOT + "9", "2.16.840.1.113883.10.20.1.54"])
SEVERITY = frozenset(["SEV", ROOT + "8", "2.16.840.1.113883.10.20.1.55"])
AGE = frozenset(["445518008", ROOT + "31", "2.16.840.1.113883.10.20.1.38"])
PRIORITY = frozenset([ROOT + "143", "225773000"])
RANK = frozenset(["263486008", "2.16.840.1.113883.10.20.24.3.166"])
"""QDM's Rank: which place a diagnosis has among those of an encounter."""

DUE = frozenset(["11778-8", "2.16.840.1.113883.10.20.15.3.1"])
"""Estimated Date of Delivery, which a Pregnancy Observation has as a part of itself."""

REFERENCED = frozenset([ROOT + "122", "1.3.6.1.4.1.19376.1.5.3.1.4.4.1"])
"""Entry Reference, and IHE's Internal Reference."""

OF_ITS_OWN = frozenset([ROOT + "121", ROOT + "132", ROOT + "136"])
"""Goal Observation, Health Concern Act, Risk Concern Act."""

_AHEAD = frozenset(["INT", "RQO", "PRP", "PRMS", "ARQ", "APT", "SLOT", "OPT", "GOL"])
"""Moods of what has not happened."""

_CRITERIA = ("CRT", "EVN.CRT", "GOL.CRT", "INT.CRT", "PRMS.CRT", "PRP.CRT", "RQO.CRT", "RSK.CRT")
_SUPPOSED = frozenset(["DEF", "EXPEC", "RSK", "PERM", "PERMRQ", *_CRITERIA])
"""Moods of what is only thought of: a definition, an expectation, a risk, a criterion."""

_NOT_SO = _AHEAD | _SUPPOSED

REASON = frozenset(["77301-0", "2.16.840.1.113883.10.20.24.3.88"])
"""Reason care action performed or not: its value is why."""

_OLDER_STATUS = "2.16.840.1.113883.10.20.1."
PARTS = frozenset(
    [
        *(STATUS, ROOT + "6", ROOT + "28", *(_OLDER_STATUS + one for one in ("39", "47", "50", "57"))),
        *("82606-5", ROOT + "145", "77975-1", ROOT + "502", ROOT + "53", ROOT + "19", ROOT + "47", "11778-8"),
        *COMMENT,
        *FREE_TEXT_SIG,
        *REACTION,
        *SEVERITY,
        *AGE,
        *PRIORITY,
        *REFERENCED,
        *REASON,
    ]
)
"""What the statement around it reads: statuses, severity, reactions, criticality, dates of diagnosis and delivery,
reasons, comments, ages, priorities, references to other entries. Of an instruction it has the words; its code stands
beside it."""


_INDICATION = ROOT + "19"
_KINDS_OF_PROBLEM = frozenset(
    [
        *("ASSERTION", "404684003", "409586006", "282291009", "64572001", "248536006", "418799008", "55607006"),
        *("373930000", "29308-4", "75326-9", "75325-1", "75323-6", "75321-0", "75318-6", "75315-2", "75314-5"),
        "75312-9",
    ]
)
"""Problem Type (2.16.840.1.113883.3.88.12.3221.7.2), in SNOMED CT and in LOINC."""

Relations = list[tuple[str | None, Node]]


def is_ahead(statement: Node) -> bool:
    """Whether its mood says that it has not happened: it is planned, asked for or a goal."""
    return statement.element.get("moodCode") in _AHEAD


def is_supposed(statement: Node) -> bool:
    """Whether its mood says that it is neither a fact nor a plan (CDA R2, ActMood)."""
    return statement.element.get("moodCode") in _SUPPOSED


def happened(statement: Node) -> bool:
    return statement.element.get("moodCode") not in _NOT_SO


def related(node: Node) -> Relations:
    """The statement of every `entryRelationship`, with the relationship's typeCode."""
    if "entryRelationship" not in node:
        return []
    return [
        (relationship.get("typeCode"), statement)
        for relationship in node.all("entryRelationship")
        if (statement := statement_in(relationship))
    ]


def of_kind(kinds: frozenset[str], relations: Relations) -> list[Node]:
    """The related statements whose code or template is one of these, but for those that nobody knows of, and those that
    are denied or only thought of: what is not severe has no severity (`registry.others` tells of them)."""
    if not relations:
        return []
    return [one for _, one in relations if not kinds.isdisjoint(one.kinds) and _is_so(one)]


def _is_so(statement: Node) -> bool:
    return not (statement.untold or statement.negated or is_supposed(statement))


def has_another(holder: Node, ctx: Context) -> bool:
    """Whether the subject of a statement or section is somebody else than the patient."""
    subject = holder.node("subject") if "subject" in holder else None
    who = subject.node("relatedSubject") if subject else None
    return who is not None and not is_patient(who, ctx)


def of_another(statement: Node, ctx: Context) -> bool:
    """Whether the statement is about somebody else than the patient: then it must not become a fact about him."""
    if not has_another(statement, ctx):
        return False
    ctx.issue("warning", "not-supported", "about somebody else: it stays in the narrative only", statement.element)
    return True


def denied(statement: Node, ctx: Context) -> bool:
    """Whether a statement is negated of which FHIR has no negative: it must not become the positive one."""
    if statement.negated:
        text = "negated, for which FHIR has no element here: it stays in the narrative only"
        ctx.issue("warning", "not-supported", text, statement.element)
    return statement.negated


NULLIFIED = frozenset(["nullified"])
NOT_HELD_TO = NULLIFIED | {"cancelled", "aborted"}
"""Statuses of what was entered in error, and of what nobody holds to any more."""


def supposed(statement: Node, ctx: Context) -> bool:
    """Whether a statement is neither a fact nor a plan."""
    if not is_supposed(statement):
        return False
    ctx.issue("warning", "not-supported", "a definition or criterion, which is no fact", statement.element)
    return True


def is_nullified(statement: Node) -> bool:
    return statement.attribute("statusCode", "code") in NULLIFIED


def withdrawn(statement: Node, ctx: Context, statuses: frozenset[str] = NULLIFIED) -> bool:
    """Whether a statement was withdrawn of which FHIR has no status: it must not be told, nor what it holds."""
    if statement.attribute("statusCode", "code") not in statuses:
        return False
    text = "withdrawn, for which FHIR has no element here: it stays in the narrative only"
    ctx.issue("warning", "not-supported", text, statement.element)
    return True


def value_code(statement: Node) -> str | None:
    """A null value has none, whatever stands beside its nullFlavor."""
    value = statement.get("value")
    return None if value is None or value.get("nullFlavor") else value.get("code")


def mapped(table: str, code: str | None) -> Concept | None:
    return CONCEPTS[table].get(code) if code else None


def notes(relations: Relations, ctx: Context) -> list[Value]:
    """Comment Activities -> Annotation."""
    if not relations:
        return []
    return [note for act in of_kind(COMMENT, relations) if (note := _note(act, ctx))]


def _note(act: Node, ctx: Context) -> Value | None:
    text = resolved(act.get("text"), ctx)
    if not text:
        return None
    author = act.node("author")
    by = fits(person(author.get("assignedAuthor"), ctx), *_COMMENTATORS) if author else None
    return kept({"authorReference": by, "time": ctx.moment(author.get("time")) if author else None, "text": text})


def instruction(relations: Relations, ctx: Context) -> str | None:
    """The words of the Instruction Activities, one after the other."""
    said = [instructed(act, ctx) for act in of_kind(INSTRUCTION, relations)]
    return "\n".join([one for one in said if one]) or None


def instructed(act: Node, ctx: Context) -> str | None:
    """The words of one Instruction Activity, else those from which its code was chosen."""
    code = act.node("code")
    return resolved(act.get("text"), ctx) or (resolved(code.get("originalText"), ctx) if code else None)


def encounter(relations: Relations, ctx: Context) -> Reference | None:
    """The encounter that an entry only names by its id."""
    for _, one in relations:
        if one.element.tag.endswith("}encounter") and "templateId" not in one and not one.negated:
            return meant("Encounter", one, ctx)
    return None


def components(organizer: Node) -> list[Node]:
    """The statements of an organizer."""
    return [found for component in organizer.all("component") if (found := statement_in(component))]


def referenced(relations: Relations, ctx: Context, kind: str = "", *, only: str | None = None) -> list[Reference]:
    """The resources of the entries that Entry References name, those in relationships of type `only`."""
    return [
        found
        for type_code, act in relations
        if (only is None or type_code == only) and not (act.negated or REFERENCED.isdisjoint(act.kinds))
        if (found := meant(kind, act, ctx))
    ]


def reasons(relations: Relations, ctx: Context) -> list[Value]:
    """Indications (`entryRelationship[@typeCode=RSON]/observation/value`) and what is named a reason -> reasonCode; of
    an act those that it is about (a Problem Concern). What is negated was no reason, and how urgent it is is none."""
    if not relations:
        return []
    named = (one for kind, one in relations if kind == "RSON" or not REASON.isdisjoint(one.kinds))
    told = [
        each
        for one in named
        if _is_told(one)
        for each in ((inner for kind, inner in related(one) if kind == "SUBJ") if _is_act(one) else (one,))
    ]
    return distinct([_why(observation, ctx) for observation in told if _is_told(observation)])


def _why(reason: Node, ctx: Context) -> Value | None:
    """Its value; of an Indication without one its code, unless that says no more than of what kind a problem is."""
    kind = reason.attribute("code", "code")
    if "value" in reason or _INDICATION not in reason.kinds or kind in _KINDS_OF_PROBLEM:
        return coded_value(reason, ctx)
    code, words = codeable(reason.get("code"), ctx), resolved(reason.get("text"), ctx)
    return {**(code or {}), "text": words} if words else code


def _is_told(reason: Node) -> bool:
    return PRIORITY.isdisjoint(reason.kinds) and not (reason.negated or reason.untold)


def _is_act(statement: Node) -> bool:
    return statement.element.tag == V3 + "act"


def reason_not_done(relations: Relations, ctx: Context) -> Value | None:
    """Why something was not done -> statusReason."""
    told = (coded_value(one, ctx) for one in of_kind(REASON, relations))
    return next((one for one in told if one), None)


def coded_value(observation: Node, ctx: Context) -> Value | None:
    """The observation's value as a concept, with the text of the observation when the value has no words itself; one
    that is text as its words."""
    value = observation.get("value")
    kind = typed(value)
    if value is not None and kind in _TEXT and (words := resolved(value, ctx)):
        return None if value.get("nullFlavor") else {"text": words}
    if value is None or kind not in _CODED:
        return None
    return codeable(value, ctx) or _only_text(observation, ctx)


def _only_text(observation: Node, ctx: Context) -> Value | None:
    text = resolved(observation.get("text"), ctx)
    return {"text": text} if text else None


def concepts(elements: Iterable[Element | None], ctx: Context) -> list[Value]:
    if elements is NONE:
        return []
    return [found for element in elements if (found := codeable(element, ctx))]
