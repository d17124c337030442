"""What Metriport is told of a patient when somebody asks for it (metriport.md, "Consolidated data")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.fhir import json, references
from gateway.fhir.json import Resource
from gateway.store import Hit, Reader

MOST_BYTES, MOST, MOST_SANDBOX = 1_000_000, 500, 50
"""What one contribution may hold (metriport.md, "Consolidated data")."""

CONTRIBUTED = (
    "AllergyIntolerance CarePlan CareTeam Condition Coverage DiagnosticReport Encounter FamilyMemberHistory Goal "
    "Immunization MedicationAdministration MedicationDispense MedicationRequest MedicationStatement Observation "
    "Procedure RelatedPerson ServiceRequest Specimen"
)
_SUPPORT = ("Practitioner", "PractitionerRole", "Organization", "Location", "Medication")
_ENVELOPE = 100
_PAGE = 500


def known(reader: Reader, rid: int, patient: tuple[str, str], name: str, base: str) -> list[Resource]:
    """Her clinical resources as they take them, and whom those refer to; what they told us themselves is left out.
    `patient` = our id and theirs, `name` = the connector, `base` = our own FHIR address."""
    listed = [hit for type_ in CONTRIBUTED.split() for hit in _all(reader, type_, rid)]
    own = _from(reader, name, [hit.head.rid for hit in listed])
    bodies = [json.decode(hit.body) for hit in listed if hit.body and hit.head.rid not in own]
    bodies += _support(reader, bodies)
    names = {f"{one['resourceType']}/{one['id']}" for one in bodies}
    subject = {f"Patient/{patient[0]}": f"Patient/{patient[1]}"}
    return [_as_theirs(one, names, subject, base) for one in bodies]


def refused(lot: Sequence[Resource], answer: Any) -> list[str]:
    """Those that they did not take, by the status of each entry of their answer (FHIR R4, Bundle.entry.response)."""
    entries = answer.get("entry") if isinstance(answer, dict) else None
    listed = entries if isinstance(entries, list) else []
    return [_name(one) for one, entry in zip(lot, listed, strict=False) if not _taken(entry)]


def _taken(entry: Any) -> bool:
    response = entry.get("response") if isinstance(entry, dict) else None
    status = response.get("status") if isinstance(response, dict) else None
    return status is None or str(status).startswith("2")


def too_large(resources: Sequence[Resource]) -> list[str]:
    """Those that no contribution can hold."""
    return [_name(one) for one in resources if not _fits(one)]


def in_lots(resources: Sequence[Resource], *, sandbox: bool) -> Iterator[list[Resource]]:
    """As many resources, and bytes, at once as they take, without those that are too large by themselves."""
    most = MOST_SANDBOX if sandbox else MOST
    lot: list[Resource] = []
    held = _ENVELOPE
    for one in filter(_fits, resources):
        length = _size(one)
        if lot and (len(lot) == most or held + length > MOST_BYTES):
            yield lot
            lot, held = [], _ENVELOPE
        lot.append(one)
        held += length
    if lot:
        yield lot


def _size(one: Resource) -> int:
    return len(json.encode(one)) + len('{"resource":},')


def _fits(one: Resource) -> bool:
    return _ENVELOPE + _size(one) <= MOST_BYTES


def _name(one: Resource) -> str:
    return f"{one['resourceType']}/{one['id']}"


def _all(reader: Reader, type_: str, patient: int) -> Iterator[Hit]:
    after: str | None = None
    while True:
        page = reader.search(type_, patient=patient, after=after, limit=_PAGE)
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].head.id


def _from(reader: Reader, name: str, rids: Sequence[int]) -> set[int]:
    """Those that this connector's system told us itself."""
    return {rid for rid, rows in reader.records(rids).items() if any(row.connector == name for row in rows)}


def _support(reader: Reader, bodies: Sequence[Resource]) -> list[Resource]:
    """The people, places and medicines that the resources name."""
    named = {ref.value for body in bodies for ref in references.collect(body) if ref.kind == "relative"}
    local = [found for value in sorted(named) if (found := references.local(value, "")) and found.type in _SUPPORT]
    heads = reader.heads([(one.type, one.id) for one in local])
    versions = reader.current([head.rid for head in heads.values() if not head.deleted])
    return [json.decode(one.body) for one in versions.values() if one.body]


def _as_theirs(body: Resource, names: set[str], subject: Mapping[str, str], ours: str) -> Resource:
    """With her as they know her; what is not sent along is named by its address here."""
    refs = [ref for ref in references.collect(body) if ref.kind == "relative"]
    mapping = {ref.value: f"{ours}/{ref.value}" for ref in refs if ref.value not in names} | dict(subject)
    kept = {key: value for key, value in references.rewrite(body, mapping, refs).items() if key != "meta"}
    return kept
