"""What this server can do, said the way FHIR clients ask (FHIR R4 §5.2 CapabilityStatement)."""

from __future__ import annotations

from functools import cache

from gateway import __version__
from gateway.fhir import elements, gate, json, search
from gateway.fhir.json import Resource

_DATE = "2026-11-26"
_CONDITIONS = "A condition is exactly one identifier=system|value; it is all that a conditional interaction takes."
_SORTED = "_sort takes it, and _id, each with - for the other way round, and no other parameter"
_WHOSE = {"documentation": "whose it is, a Patient"}
_INTERACTIONS = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")


@cache
def statement(base: str) -> bytes:
    """The CapabilityStatement of the server at `base`."""
    return json.encode(
        {
            "resourceType": "CapabilityStatement",
            "status": "active",
            "date": _DATE,
            "kind": "instance",
            "software": {"name": "FHIR gateway", "version": __version__},
            "implementation": {"description": "FHIR-centric integration gateway", "url": base},
            "fhirVersion": "4.0.1",
            "format": ["json", "application/fhir+json"],
            "rest": [
                {
                    "mode": "server",
                    "documentation": _CONDITIONS,
                    "security": {"description": "API key as 'Authorization: Bearer' or 'X-API-Key'"},
                    "resource": [_resource(type_) for type_ in sorted(gate.TYPES) if type_ != "Parameters"],
                    "interaction": [{"code": "transaction"}, {"code": "batch"}],
                }
            ],
        }
    )


def _resource(type_: str) -> Resource:
    return {
        "type": type_,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "conditionalRead": "full-support",
        "conditionalCreate": True,
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "referencePolicy": ["literal", "logical"],
        "searchParam": [
            {"name": "_id", "type": "token"},
            {"name": "_lastUpdated", "type": "date", "documentation": _SORTED},
            *([{"name": "identifier", "type": "token"}] if elements.of_type(type_, "identifier") else []),
            *({"name": name, "type": "reference", **_WHOSE} for name in search.patient_names(type_)),
        ],
    }
