"""patient.csv: one line per Patient for people who work in tables; the NDJSON beside it holds everything."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.fhir.json import Resource

HEADER = ("id", "version", "lastUpdated", "family", "given", "gender", "birthDate", "active", "identifiers")

_USES = ("official", "usual", None)
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def row(patient: Resource) -> list[str]:
    """The cells of HEADER as they are in the resource; what it does not say is empty."""
    meta = patient.get("meta", {})
    name = _name(patient.get("name", []))
    return [
        str(patient.get("id", "")),
        str(meta.get("versionId", "")),
        str(meta.get("lastUpdated", "")),
        str(name.get("family") or ""),
        " ".join(given for given in name.get("given", []) if given),
        str(patient.get("gender", "")),
        str(patient.get("birthDate", "")),
        str(patient.get("active", "")).lower(),
        identifiers(patient.get("identifier", [])),
    ]


def identifiers(listed: Iterable[Resource]) -> str:
    """`system|value` joined by `;`; a `|`, `;` or backslash inside a part has a backslash before it, as in searches."""
    return ";".join(
        f"{_escaped(identifier.get('system') or '')}|{_escaped(identifier['value'])}"
        for identifier in listed
        if identifier.get("value")
    )


def guarded(cell: str) -> str:
    """A cell that a spreadsheet would run as a formula gets a `'` in front (OWASP, CSV injection)."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _name(names: list[Resource]) -> Resource:
    """Official, else usual, else one without a use, else the first."""
    for use in _USES:
        for name in names:
            if name.get("use") == use:
                return name
    return names[0] if names else {}


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("|", "\\|").replace(";", "\\;")
