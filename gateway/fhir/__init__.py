"""FHIR R4 itself: what a resource is, when two are the same, and how many become one. Pure: no I/O, no settings."""
