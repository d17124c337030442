"""Which resource types the gateway speaks: R4 4.0.1 as far as the models, which are R4B, have the same shape."""

from __future__ import annotations

from collections.abc import Mapping

_R4_ONLY = "exists in FHIR R4 but not in R4B; this gateway does not hold it"
_R4B_ONLY = "exists in FHIR R4B only; this gateway speaks FHIR R4 (4.0.1)"
_CHANGED = "has another shape in FHIR R4B than in R4; this gateway does not hold it"

# Found by comparing the models of both releases element by element (hl7.org/fhir/R4B, "Differences to R4").
REFUSED: Mapping[str, str] = {
    "EffectEvidenceSynthesis": _R4_ONLY,
    "MedicinalProduct": _R4_ONLY,
    "MedicinalProductAuthorization": _R4_ONLY,
    "MedicinalProductContraindication": _R4_ONLY,
    "MedicinalProductIndication": _R4_ONLY,
    "MedicinalProductIngredient": _R4_ONLY,
    "MedicinalProductInteraction": _R4_ONLY,
    "MedicinalProductManufactured": _R4_ONLY,
    "MedicinalProductPackaged": _R4_ONLY,
    "MedicinalProductPharmaceutical": _R4_ONLY,
    "MedicinalProductUndesirableEffect": _R4_ONLY,
    "RiskEvidenceSynthesis": _R4_ONLY,
    "SubstanceNucleicAcid": _R4_ONLY,
    "SubstancePolymer": _R4_ONLY,
    "SubstanceProtein": _R4_ONLY,
    "SubstanceReferenceInformation": _R4_ONLY,
    "SubstanceSourceMaterial": _R4_ONLY,
    "SubstanceSpecification": _R4_ONLY,
    "AdministrableProductDefinition": _R4B_ONLY,
    "Citation": _R4B_ONLY,
    "ClinicalUseDefinition": _R4B_ONLY,
    "EvidenceReport": _R4B_ONLY,
    "Ingredient": _R4B_ONLY,
    "ManufacturedItemDefinition": _R4B_ONLY,
    "MedicinalProductDefinition": _R4B_ONLY,
    "NutritionProduct": _R4B_ONLY,
    "PackagedProductDefinition": _R4B_ONLY,
    "RegulatedAuthorization": _R4B_ONLY,
    "SubscriptionStatus": _R4B_ONLY,
    "SubscriptionTopic": _R4B_ONLY,
    "SubstanceDefinition": _R4B_ONLY,
    "Evidence": _CHANGED,
    "EvidenceVariable": _CHANGED,
}

_HELD = """
    Account ActivityDefinition AdverseEvent AllergyIntolerance Appointment AppointmentResponse AuditEvent Basic
    Binary BiologicallyDerivedProduct BodyStructure Bundle CapabilityStatement CarePlan CareTeam CatalogEntry
    ChargeItem ChargeItemDefinition Claim ClaimResponse ClinicalImpression CodeSystem Communication
    CommunicationRequest CompartmentDefinition Composition ConceptMap Condition Consent Contract Coverage
    CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue Device DeviceDefinition DeviceMetric
    DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Encounter Endpoint
    EnrollmentRequest EnrollmentResponse EpisodeOfCare EventDefinition ExampleScenario ExplanationOfBenefit
    FamilyMemberHistory Flag Goal GraphDefinition Group GuidanceResponse HealthcareService ImagingStudy
    Immunization ImmunizationEvaluation ImmunizationRecommendation ImplementationGuide InsurancePlan Invoice
    Library Linkage List Location Measure MeasureReport Media Medication MedicationAdministration
    MedicationDispense MedicationKnowledge MedicationRequest MedicationStatement MessageDefinition MessageHeader
    MolecularSequence NamingSystem NutritionOrder Observation ObservationDefinition OperationDefinition
    OperationOutcome Organization OrganizationAffiliation Parameters Patient PaymentNotice PaymentReconciliation
    Person PlanDefinition Practitioner PractitionerRole Procedure Provenance Questionnaire QuestionnaireResponse
    RelatedPerson RequestGroup ResearchDefinition ResearchElementDefinition ResearchStudy ResearchSubject
    RiskAssessment Schedule SearchParameter ServiceRequest Slot Specimen SpecimenDefinition StructureDefinition
    StructureMap Subscription Substance SupplyDelivery SupplyRequest Task TerminologyCapabilities TestReport
    TestScript ValueSet VerificationResult VisionPrescription
"""

TYPES: frozenset[str] = frozenset(_HELD.split())
"""The resource types that the gate knows."""

R4_TYPES: frozenset[str] = TYPES | {name for name, why in REFUSED.items() if why != _R4B_ONLY}
"""Every resource type of R4: what a reference may name, even where we do not hold it."""


def is_r4_type(name: object) -> bool:
    """Whether the gateway holds resources of that type."""
    return isinstance(name, str) and name in TYPES
