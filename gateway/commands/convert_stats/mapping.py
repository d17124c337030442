"""Where the mapping puts what a document states: tables of the measurement's own, which the converter does not read."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Any, NamedTuple

SKIPPED = "skip"
AUTHORING = frozenset(["author", "informant", "performer"])
"""Participations that a Provenance may tell where the resource has no element for them."""


class Template(NamedTuple):
    """`types`: the resources it may become, none for a part of another; `elements`: where those facts stand."""

    name: str
    types: tuple[str, ...]
    main: str
    elements: str


def _rows(name: str) -> Iterator[list[str]]:
    lines = [line for line in (files(__package__) / name).read_text("utf-8").splitlines() if not line.startswith("#")]
    return (line.split("\t") for line in lines[1:])


def _templates() -> dict[str, Template]:
    found: dict[str, Template] = {}
    for name, roots, types, main in _rows("templates.tsv"):
        inner = "" if types or main in (SKIPPED, "wrapper") else main
        template = Template(name, tuple(types.split()), main or "code", inner)
        found.update(dict.fromkeys(roots.split(), template))
    return found


_TEMPLATES = _templates()
_ELEMENTS = {(kind, part): elements for kind, part, elements in _rows("elements.tsv")}

_BY_SECTION = {
    ("11369-6", "substanceAdministration"): "2.16.840.1.113883.10.20.22.4.52",
    ("10160-0", "substanceAdministration"): "2.16.840.1.113883.10.20.22.4.16",
    ("11450-4", "observation"): "2.16.840.1.113883.10.20.22.4.4",
    ("48765-2", "observation"): "2.16.840.1.113883.10.20.22.4.7",
    ("47519-4", "procedure"): "2.16.840.1.113883.10.20.22.4.14",
    ("46240-8", "encounter"): "2.16.840.1.113883.10.20.22.4.49",
    ("8716-3", "observation"): "2.16.840.1.113883.10.20.22.4.27",
}
_BY_CODE = dict.fromkeys(["73639000", "329505003"], "2.16.840.1.113883.3.88.11.83.8.1")
_GENERAL = "Problem Observation"
_BY_SYSTEM = {("2.16.840.1.113883.3.221.5", "act"): "2.16.840.1.113883.10.20.22.4.61"}
"""The act in a Planned Coverage has no template: its code is a kind of payer."""

_FALLBACKS = {
    "observation": ("Observation",),
    "procedure": ("Procedure",),
    "encounter": ("Encounter",),
    "substanceAdministration": ("MedicationStatement", "MedicationRequest"),
    "supply": ("SupplyDelivery", "SupplyRequest"),
    "act": ("Procedure", "ServiceRequest"),
    "organizer": ("Observation", "DiagnosticReport"),
    "observationMedia": ("Media",),
}


def template_of(element: Any, name: str, section: str) -> tuple[Template, str]:
    """The template of a statement, and what to call it in the table of what was lost. An allergy of CCD 1.0 is a
    problem as well (its template is derived from that): the more special one tells what it is."""
    roots = [one.get("root", "") for one in element.findall("{*}templateId")]
    code = element.find("{*}code")
    system = "" if code is None else code.get("codeSystem", "")
    told = "" if code is None else code.get("code", "")
    known = [*roots, _BY_CODE.get(told, ""), _BY_SYSTEM.get((system, name), ""), _BY_SECTION.get((section, name), "")]
    named = [found for root in known if (found := _TEMPLATES.get(root))]
    if named:
        found = next((one for one in named if one.name != _GENERAL), named[0])
        return found, found.name
    mood = element.get("moodCode", "EVN")
    label = f"{name}/{mood} {roots[0] if roots else 'without template'}"
    return Template("", _FALLBACKS[name], "code", ""), label


def elements_of(template: str, kind: str, part: str) -> str:
    """The elements for a part: those of the template, else of the type, else of any."""
    return next((found for name in (template, kind, "*") if (found := _ELEMENTS.get((name, part)))), "")


_COMPOSITION = "Composition"
HEADER: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = tuple(
    (f"{{*}}{path.replace('/', '/{*}')}", places)
    for path, places in (
        ("recordTarget/patientRole/id", (("Patient", "identifier"),)),
        ("recordTarget/patientRole/addr", (("Patient", "address"),)),
        ("recordTarget/patientRole/telecom", (("Patient", "telecom"),)),
        ("recordTarget/patientRole/patient/name", (("Patient", "name"),)),
        ("recordTarget/patientRole/patient/administrativeGenderCode", (("Patient", "~gender"),)),
        ("recordTarget/patientRole/patient/birthTime", (("Patient", "birthDate _birthDate"),)),
        ("recordTarget/patientRole/patient/deceasedTime", (("Patient", "deceased"),)),
        ("recordTarget/patientRole/patient/maritalStatusCode", (("Patient", "maritalStatus"),)),
        ("recordTarget/patientRole/patient/religiousAffiliationCode", (("Patient", "extension"),)),
        ("recordTarget/patientRole/patient/raceCode", (("Patient", "extension"),)),
        ("recordTarget/patientRole/patient/ethnicGroupCode", (("Patient", "extension"),)),
        ("recordTarget/patientRole/patient/guardian", (("Patient", "contact"),)),
        ("recordTarget/patientRole/patient/birthplace", (("Patient", "extension"),)),
        (
            "recordTarget/patientRole/patient/languageCommunication",
            (("Patient", "communication communication.extension"),),
        ),
        ("recordTarget/patientRole/providerOrganization", (("Patient", "managingOrganization"),)),
        ("id", ((_COMPOSITION, "identifier"), ("Bundle", "identifier"))),
        ("setId", ((_COMPOSITION, "extension identifier"),)),
        ("code", ((_COMPOSITION, "type"),)),
        ("confidentialityCode", ((_COMPOSITION, "confidentiality"),)),
        ("effectiveTime", ((_COMPOSITION, "date"),)),
        ("author", ((_COMPOSITION, "author date @provenance"),)),
        ("dataEnterer", ((_COMPOSITION, "extension @provenance"),)),
        ("informant", ((_COMPOSITION, "extension @provenance"),)),
        ("informationRecipient", ((_COMPOSITION, "extension"),)),
        ("custodian", ((_COMPOSITION, "custodian"),)),
        ("legalAuthenticator", ((_COMPOSITION, "attester"),)),
        ("authenticator", ((_COMPOSITION, "attester"),)),
        (
            "participant",
            (
                (_COMPOSITION, "extension"),
                ("RelatedPerson", "identifier name telecom address relationship period"),
                ("Coverage", "subscriber policyHolder payor"),
            ),
        ),
        (
            "documentationOf",
            ((_COMPOSITION, "event extension"), ("CareTeam", "participant period"), ("Encounter", "participant")),
        ),
        (
            "componentOf/encompassingEncounter",
            (("Encounter", "identifier class type period participant location hospitalization serviceProvider"),),
        ),
        ("relatedDocument", ((_COMPOSITION, "relatesTo"),)),
        ("authorization", (("Consent", "identifier category provision policyRule scope"), (_COMPOSITION, "extension"))),
        ("inFulfillmentOf", ((_COMPOSITION, "extension event"), ("ServiceRequest", "identifier code"))),
    )
)
"""Paths of the header below ClinicalDocument -> (type, elements). `@provenance` = or a Provenance of the resource."""
