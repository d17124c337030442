"""What this server can do, said the way FHIR clients ask (FHIR R4 §5.2 CapabilityStatement)."""

from __future__ import annotations

from functools import cache

from gateway import __version__
from gateway.fhir import gate, json
from gateway.fhir.json import Resource
from gateway.fhir.references import PATIENT_ELEMENT

_DATE = "2026-11-21"
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
                    "security": {"description": "API key as 'Authorization: Bearer' or 'X-API-Key'"},
                    "resource": [_resource(type_) for type_ in sorted(gate.TYPES) if type_ != "Parameters"],
                    "interaction": [{"code": "transaction"}, {"code": "batch"}],
                }
            ],
        }
    )


def _resource(type_: str) -> Resource:
    params = [("_id", "token"), ("identifier", "token"), ("_lastUpdated", "date")]
    if type_ in PATIENT_ELEMENT:
        params.append(("patient", "reference"))
    return {
        "type": type_,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "searchParam": [{"name": name, "type": kind} for name, kind in params],
    }
