"""Where the R4B models differ from FHIR R4 4.0.1, or say less than it does: facts of the R4 definitions (CC0).

Code lists: those the models cut short with '+' or leave out. Keys are model name and element.
"""

from __future__ import annotations

_OBSERVED = "registered preliminary final amended corrected cancelled entered-in-error unknown"
_ENCOUNTER = "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown"
_COMPARED = "< <= >= >"
_WHEN = """MORN MORN.early MORN.late NOON AFT AFT.early AFT.late EVE EVE.early EVE.late NIGHT PHS HS WAKE
    C CM CD CV AC ACM ACD ACV PC PCM PCD PCV"""
_ISSUE = """invalid structure required value invariant security login unknown expired forbidden suppressed processing
    not-supported duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly
    business-rule conflict transient lock-error no-store exception timeout incomplete throttled informational"""

CODES: dict[str, str] = {
    "ActivityDefinition.kind": """Appointment AppointmentResponse CarePlan Claim CommunicationRequest Contract
        DeviceRequest EnrollmentRequest ImmunizationRecommendation MedicationRequest NutritionOrder ServiceRequest
        SupplyRequest Task VisionPrescription""",
    "Age.comparator": _COMPARED,
    "AuditEvent.action": "C R U D E",
    "AuditEvent.outcome": "0 4 8 12",
    "AuditEventAgentNetwork.type": "1 2 3 4 5",
    "Composition.confidentiality": "U L M N R V",
    "Count.comparator": _COMPARED,
    "DetectedIssue.status": _OBSERVED,
    "DeviceUdiCarrier.entryType": "barcode rfid manual card self-reported unknown",
    "DeviceUseStatement.status": "active completed entered-in-error intended stopped on-hold",
    "DiagnosticReport.status": """registered partial preliminary final amended corrected appended cancelled
        entered-in-error unknown""",
    "Distance.comparator": _COMPARED,
    "Duration.comparator": _COMPARED,
    "Encounter.status": _ENCOUNTER,
    "EncounterStatusHistory.status": _ENCOUNTER,
    "Observation.status": _OBSERVED,
    "OperationOutcomeIssue.code": _ISSUE,
    "Quantity.comparator": _COMPARED,
    "QuestionnaireItem.type": """group display question boolean decimal integer date dateTime time string text url
        choice open-choice attachment reference quantity""",
    "RiskAssessment.status": _OBSERVED,
    "StructureMapGroupRuleTarget.transform": """create copy truncate escape cast append translate reference dateOp
        uuid pointer evaluate cc c qty id cp""",
    "SupplyRequest.status": "draft active suspended cancelled completed entered-in-error unknown",
    "Task.status": """draft requested received accepted rejected ready cancelled in-progress on-hold failed completed
        entered-in-error""",
    "TimingRepeat.when": _WHEN,
}

RESOURCE_TYPE_CODES: frozenset[str] = frozenset(
    {
        "CapabilityStatementRestResource.type",
        "CompartmentDefinitionResource.code",
        "ExampleScenarioInstance.resourceType",
        "GraphDefinition.start",
        "GraphDefinitionLinkTarget.type",
        "ImplementationGuideGlobal.type",
        "MessageDefinitionFocus.code",
        "OperationDefinition.resource",
        "SearchParameter.base",
    }
)
"""Bound to the list of resource types (and the two abstract ones above them)."""

OPEN: frozenset[str] = frozenset({"CapabilityStatement.format", "Expression.language"})
"""The models list codes, but the binding is no closed list: media types, and an extensible one."""

TARGETS: dict[str, list[str]] = {
    "ActivityDefinition.productReference": ["Medication", "Substance"],
    "DiagnosticReport.subject": ["Patient", "Group", "Device", "Location"],
    "GroupMember.entity": [
        "Patient", "Practitioner", "PractitionerRole", "Device", "Medication", "Substance", "Group",
    ],
    "Observation.subject": ["Patient", "Group", "Device", "Location"],
}  # fmt: skip
"""Reference targets that R4B widened."""

R4B_TYPES: frozenset[str] = frozenset({"CodeableReference", "RatioRange"})
"""Data types that R4 does not have: the choices that offer them are dropped."""

R4B_ELEMENTS: frozenset[str] = frozenset(
    {
        "ActivityDefinition.subjectCanonical",
        "PlanDefinition.subjectCanonical",
        "PlanDefinitionAction.subjectCanonical",
    }
)

META_CHOICES: frozenset[str] = frozenset(
    {
        "ElementDefinition.defaultValue",
        "ElementDefinition.fixed",
        "ElementDefinition.pattern",
        "ElementDefinitionExample.value",
        "Extension.value",
    }
)
"""Choices that in R4 have Meta too."""
