"""The invariants of FHIR R4 that the gate holds: those whose breach loses data, twists it, or cannot be acted on.

Texts are ours; keys are those of the specification. Left out: what only concerns conformance resources, warnings,
and what needs a terminology server or the resource behind a reference.
"""

from __future__ import annotations

from collections import defaultdict

from r4_rules import (
    AT_FAULT,
    Invariant,
    coded,
    coded_if_at_all,
    each,
    excludes,
    excludes_choice,
    needs,
    not_both,
    only_with,
    ordered,
    some,
    some_choice,
    unless,
    when,
    with_code,
)

_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"


_UNIT = Invariant("qty-3", "system", "A unit code needs its code system", needs("code", "system"))


def _listed(element: str, system: str, *codes: str) -> Invariant:
    """FHIR R4 §4.1.5.1: of the lists of CodeableConcepts there are four that bind."""
    text = f"A coding of {element} must be {', '.join(codes[:-1])} or {codes[-1]} of {_TERMINOLOGY}/{system}"
    return Invariant("required binding", element, text, coded_if_at_all(element, f"{_TERMINOLOGY}/{system}", *codes))


_ALLERGY_IN_ERROR = coded(
    "verificationStatus", f"{_TERMINOLOGY}/allergyintolerance-verification", "entered-in-error"
)  # fmt: skip
_CONDITION_IN_ERROR = coded("verificationStatus", f"{_TERMINOLOGY}/condition-ver-status", "entered-in-error")
_CONDITION_OVER = coded(
    "clinicalStatus", f"{_TERMINOLOGY}/condition-clinical", "resolved", "remission", "inactive"
)  # fmt: skip
_AT_A_MEAL = {"enum": ["C", "CM", "CD", "CV"]}
_NO_HOME = {"items": {"not": with_code("use", "home")}}

INVARIANTS: defaultdict[str, list[Invariant]] = defaultdict(list)
INVARIANTS.update(
    {
        # Data types
        "Age": [_UNIT],
        "Attachment": [
            Invariant("att-1", "contentType", "Data needs its contentType", needs("data", "contentType")),
        ],
        "ContactPoint": [
            Invariant("cpt-2", "system", "A value needs a system (phone, email, ..)", needs("value", "system")),
        ],
        "Count": [_UNIT],
        "Distance": [_UNIT],
        "Duration": [_UNIT],
        "Expression": [
            Invariant("exp-1", "", "An expression or a reference is required", some("expression", "reference")),
        ],
        "Period": [Invariant("per-1", "", "A period may not end before it starts", ordered("start", "end"))],
        "Quantity": [_UNIT],
        "Ratio": [
            Invariant(
                "rat-1",
                "",
                "A ratio has both numerator and denominator, or an extension and neither",
                {
                    "anyOf": [
                        {"required": ["numerator", "denominator"]},
                        {"required": ["extension"], "properties": {"numerator": False, "denominator": False}},
                    ]
                },
            ),
        ],
        "TimingRepeat": [
            Invariant("tim-1", "durationUnit", "A duration needs a durationUnit", needs("duration", "durationUnit")),
            Invariant("tim-2", "periodUnit", "A period needs a periodUnit", needs("period", "periodUnit")),
            Invariant(
                "tim-4", "duration", "A duration may not be negative", {"properties": {"duration": {"minimum": 0}}}
            ),
            Invariant("tim-5", "period", "A period may not be negative", {"properties": {"period": {"minimum": 0}}}),
            Invariant("tim-6", "period", "periodMax needs period", needs("periodMax", "period")),
            Invariant("tim-7", "duration", "durationMax needs duration", needs("durationMax", "duration")),
            Invariant("tim-8", "count", "countMax needs count", needs("countMax", "count")),
            Invariant("tim-9", "when", "An offset needs an event in when", needs("offset", "when")),
            Invariant(
                "tim-9",
                "when",
                "An offset is before or after a meal (AC, PC, ..), not at it (C, CM, CD, CV)",
                {"dependentSchemas": {"offset": {"properties": {"when": {"not": {"contains": _AT_A_MEAL}}}}}},
            ),
            Invariant("tim-10", "when", "timeOfDay and when exclude each other", excludes("timeOfDay", "when")),
        ],
        # People and organizations
        "Organization": [
            Invariant("org-1", "", "An identifier or a name is required", some("identifier", "name")),
            Invariant("org-2", "telecom", "An organization has no home telecom", {"properties": {"telecom": _NO_HOME}}),
            Invariant("org-3", "address", "An organization has no home address", {"properties": {"address": _NO_HOME}}),
        ],
        "PatientContact": [
            Invariant(
                "pat-1",
                "",
                "A contact has at least a name, a telecom, an address or an organization",
                some("name", "telecom", "address", "organization"),
            ),
        ],
        # Clinical
        "AllergyIntolerance": [
            Invariant(
                "ait-1",
                "clinicalStatus",
                "clinicalStatus is required unless verificationStatus is entered-in-error",
                unless(_ALLERGY_IN_ERROR, some("clinicalStatus")),
            ),
            Invariant(
                "ait-2",
                "clinicalStatus",
                "clinicalStatus may not be given when verificationStatus is entered-in-error",
                when(_ALLERGY_IN_ERROR, {"properties": {"clinicalStatus": False}}),
            ),
            _listed("clinicalStatus", "allergyintolerance-clinical", "active", "inactive", "resolved"),
            _listed(
                "verificationStatus",
                "allergyintolerance-verification",
                *("unconfirmed", "confirmed", "refuted", "entered-in-error"),
            ),
        ],
        "CarePlanActivity": [
            Invariant(
                "cpl-3", "", "An activity has a reference or a detail, not both", not_both("reference", "detail")
            ),
        ],
        "Condition": [
            Invariant(
                "con-4",
                "clinicalStatus",
                "A condition that has abated is inactive, resolved or in remission",
                {"anyOf": [_CONDITION_OVER, {"propertyNames": {"not": {"pattern": "^_?abatement[A-Z]"}}}]},
            ),
            Invariant(
                "con-5",
                "clinicalStatus",
                "clinicalStatus may not be given when verificationStatus is entered-in-error",
                when(_CONDITION_IN_ERROR, {"properties": {"clinicalStatus": False}}),
            ),
            _listed(
                "clinicalStatus",
                "condition-clinical",
                *("active", "recurrence", "relapse", "inactive", "remission", "resolved"),
            ),
            _listed(
                "verificationStatus",
                "condition-ver-status",
                *("unconfirmed", "provisional", "differential", "confirmed", "refuted", "entered-in-error"),
            ),
        ],
        "FamilyMemberHistory": [
            Invariant(
                "fhs-1",
                "age[x]",
                "age[x] and born[x] exclude each other",
                {"not": {"allOf": [some_choice("age"), some_choice("born")]}},
            ),
            Invariant(
                "fhs-2",
                "estimatedAge",
                "estimatedAge needs age[x]",
                {"dependentSchemas": {"estimatedAge": some_choice("age")}},
            ),
        ],
        "GoalTarget": [
            Invariant(
                "gol-1",
                "measure",
                "A target's detail needs its measure",
                {"anyOf": [some("measure"), {"propertyNames": {"not": {"pattern": "^_?detail[A-Z]"}}}]},
            ),
        ],
        "ImmunizationEducation": [
            Invariant("imm-1", "", "A documentType or a reference is required", some("documentType", "reference")),
        ],
        "MedicationAdministrationDosage": [
            Invariant(
                "mad-1",
                "",
                "A dosage has a dose or a rate",
                {"anyOf": [some("dose"), some_choice("rate")]},
            ),
        ],
        "MedicationDispense": [
            Invariant(
                "mdd-1",
                "whenHandedOver",
                "A medication is not handed over before it is prepared",
                ordered("whenPrepared", "whenHandedOver"),
            ),
        ],
        "Observation": [
            Invariant(
                "obs-6",
                "dataAbsentReason",
                "dataAbsentReason may only stand where there is no value[x]",
                excludes_choice("dataAbsentReason", "value"),
            ),
            Invariant(
                "obs-7",
                "value[x]",
                "An observation with a component of the same code has its value there only",
                {"if": {"required": ["component", "code"]}, "then": {"value_in_component": True}},
            ),
        ],
        "ObservationReferenceRange": [
            Invariant("obs-3", "", "A reference range has a low, a high or a text", some("low", "high", "text")),
        ],
        "ServiceRequest": [
            Invariant("prr-1", "orderDetail", "orderDetail needs code", needs("orderDetail", "code")),
        ],
        "Task": [
            Invariant(
                "inv-1",
                "lastModified",
                "A task is not modified before it is authored",
                ordered("authoredOn", "lastModified"),
            ),
        ],
        # Schedules, questionnaires, lists, documents
        "Appointment": [
            Invariant(
                "app-2",
                "",
                "start and end are given both or neither",
                {"anyOf": [{"allOf": [some("start"), some("end")]}, {"not": some("start", "end")}]},
            ),
            Invariant(
                "app-3",
                "start",
                "Only a proposed, cancelled or waitlisted appointment can do without start and end",
                {
                    "anyOf": [
                        {"allOf": [some("start"), some("end")]},
                        with_code("status", "proposed", "cancelled", "waitlist"),
                    ]
                },
            ),
        ],
        "AppointmentParticipant": [
            Invariant("app-1", "", "A participant has a type or an actor", some("type", "actor")),
        ],
        "AppointmentResponse": [
            Invariant("apr-1", "", "A participantType or an actor is required", some("participantType", "actor")),
        ],
        "AuditEventEntity": [
            Invariant("sev-1", "", "An entity has a name or a query, not both", not_both("name", "query")),
        ],
        "CompositionSection": [
            Invariant(
                "cmp-1",
                "",
                "A section has a text, entries or sections",
                some("text", "entry", "section"),
            ),
            Invariant(
                "cmp-2",
                "emptyReason",
                "emptyReason may only stand where there are no entries",
                excludes("emptyReason", "entry"),
            ),
        ],
        "Group": [
            Invariant(
                "grp-1",
                "member",
                "Only an actual group has members",
                {"dependentSchemas": {"member": {"properties": {"actual": {"const": True}}}}},
            ),
        ],
        "List": [
            Invariant(
                "lst-1",
                "emptyReason",
                "emptyReason may only stand where there are no entries",
                excludes("emptyReason", "entry"),
            ),
            Invariant(
                "lst-2",
                AT_FAULT,
                "An entry may only be deleted in a list of changes",
                unless(with_code("mode", "changes"), each("entry", {"properties": {"deleted": False}})),
            ),
        ],
        "RiskAssessmentPrediction": [
            Invariant(
                "ras-2",
                "probability[x]",
                "A probability is 100 (percent) at most",
                {"properties": {"probabilityDecimal": {"maximum": 100}}},
            ),
        ],
        "QuestionnaireResponseItem": [
            Invariant(
                "qrs-1",
                "",
                "Items stand beneath the item or beneath its answers, not both",
                {"dependentSchemas": {"item": {"properties": {"answer": {"items": {"properties": {"item": False}}}}}}},
            ),
        ],
        # Bundle and Parameters
        "Bundle": [
            Invariant(
                "bdl-1",
                "total",
                "total may only stand in a searchset or history",
                {"dependentSchemas": {"total": with_code("type", "searchset", "history")}},
            ),
            Invariant(
                "bdl-2",
                AT_FAULT,
                "entry.search may only stand in a searchset",
                unless(with_code("type", "searchset"), each("entry", {"properties": {"search": False}})),
            ),
            Invariant(
                "bdl-3",
                AT_FAULT,
                "entry.request is required in a batch, transaction or history, and may stand nowhere else",
                only_with(("batch", "transaction", "history"), "request"),
            ),
            Invariant(
                "bdl-4",
                AT_FAULT,
                "entry.response is required in a batch-response, transaction-response or history, "
                "and may stand nowhere else",
                only_with(("batch-response", "transaction-response", "history"), "response"),
            ),
            Invariant(
                "bdl-7",
                "entry",
                "A fullUrl may stand once only, or with different versions",
                unless(with_code("type", "history"), {"unique_full_urls": True}),
            ),
            Invariant(
                "bdl-9",
                "identifier",
                "A document needs an identifier with system and value",
                when(
                    with_code("type", "document"),
                    {
                        "required": ["identifier"],
                        "properties": {"identifier": {"allOf": [some("system"), some("value")]}},
                    },
                ),
            ),
            Invariant(
                "bdl-10",
                "timestamp",
                "A document needs a timestamp",
                when(with_code("type", "document"), some("timestamp")),
            ),
            Invariant(
                "bdl-11",
                "entry",
                "A document begins with a Composition",
                when(with_code("type", "document"), {"first_entry": "Composition"}),
            ),
            Invariant(
                "bdl-12",
                "entry",
                "A message begins with a MessageHeader",
                when(with_code("type", "message"), {"first_entry": "MessageHeader"}),
            ),
        ],
        "BundleEntry": [
            Invariant(
                "bdl-5",
                "",
                "An entry has a resource, a request or a response",
                some("resource", "request", "response"),
            ),
            Invariant(
                "bdl-8",
                "fullUrl",
                "A fullUrl names no version",
                {"properties": {"fullUrl": {"not": {"pattern": "/_history/"}}}},
            ),
        ],
        "ParametersParameter": [
            Invariant(
                "inv-1",
                "",
                "A parameter has one of value[x], resource and part",
                {
                    "oneOf": [
                        {"required": ["resource"]},
                        {"required": ["part"]},
                        some_choice("value"),
                    ]
                },
            ),
        ],
    }
)
