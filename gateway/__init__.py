"""FHIR-centric integration gateway: every system's payload becomes FHIR R4, and every side is kept in step."""

__version__ = "0.1.0"
