"""Gather: a patient's resources for somebody who may read some types of them, as a searchset Bundle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway import reading
from gateway.errors import Missing
from gateway.fhir import gate, json
from gateway.fhir.json import Resource
from gateway.store import Reader
from gateway.store.compartments import compartment, counts

from .dates import within
from .mentioned import mentioned

Allowed = Callable[[str], bool]
"""Whether resources of that type may be read."""

OWN_TRACES = ("AuditEvent", "Binary", "Provenance")
"""What is about our own work, not about her."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`types` empty = all; dates are whole or partial days, both ends included."""

    types: tuple[str, ...] = ()
    date_from: str | None = None
    date_to: str | None = None

    def wants(self, type_: str) -> bool:
        return type_ in self.types if self.types else type_ not in OWN_TRACES

    def limits(self, allowed: Allowed) -> list[tuple[str, str]]:
        """In words what it leaves out, as pairs; empty for the whole record."""
        said = [("Shown only", ", ".join(self.types)), ("Shown from", self.date_from), ("Shown to", self.date_to)]
        withheld = any(self.wants(type_) and not allowed(type_) for type_ in gate.TYPES)
        said.append(("Not shown", "kinds of data that may not be read with this key" if withheld else None))
        return [(label, text) for label, text in said if text]


def patient_rid(reader: Reader, patient_id: str) -> int:
    """Raises Missing."""
    head = reader.heads([("Patient", patient_id)]).get(("Patient", patient_id))
    if head is None or head.deleted:
        raise Missing(f"Could not find patient {patient_id}" if patient_id.isascii() else "Could not find patient")
    return head.rid


def resources(
    reader: Reader, directory: reading.Known, patient_id: str, asked: Filter, allowed: Allowed
) -> list[Resource]:
    """The Patient first, then the rest by type. Raises Missing."""
    rid = patient_rid(reader, patient_id)
    patient = json.decode(reading.read(reader, directory, "Patient", patient_id).body)
    wanted = [
        json.decode(body)
        for head, body in compartment(reader, rid)
        if head.type != "Patient" and asked.wants(head.type) and allowed(head.type)
    ]
    return [patient, *(one for one in wanted if within(one, asked.date_from, asked.date_to))]


@dataclass(frozen=True, slots=True)
class Record:
    """`found`: the Patient first, then her facts by type; `named`: what those refer to, without which they cannot be
    read."""

    found: list[Resource]
    named: list[Resource]


def record(reader: Reader, directory: reading.Known, patient_id: str, asked: Filter, allowed: Allowed) -> Record:
    """A prescription comes with its Medication whichever types were asked for. Raises Missing."""
    found = resources(reader, directory, patient_id, asked, allowed)
    return Record(
        found,
        mentioned(reader, found, lambda type_: allowed(type_) and (type_ == "Medication" or asked.wants(type_))),
    )


def bundle(record: Record, base: str) -> Resource:
    """`base` = that of our FHIR API: references among them are read against it (FHIR R4 §2.36.4.1). The total
    counts what was asked for, not what comes along (Bundle.total)."""
    entries = [_entry(one, base, "match") for one in record.found] + [
        _entry(one, base, "include") for one in record.named
    ]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(record.found), "entry": entries}


def _entry(resource: Resource, base: str, mode: str) -> Resource:
    url = f"{base}/{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": url, "resource": resource, "search": {"mode": mode}}


def count(reader: Reader, directory: reading.Known, patient_id: str, asked: Filter, allowed: Allowed) -> dict[str, int]:
    """How many of each type, the Patient not counted."""
    if asked.date_from is None and asked.date_to is None:
        found = counts(reader, patient_rid(reader, patient_id))
        return {type_: number for type_, number in sorted(found.items()) if _counts(type_, asked, allowed)}
    numbers: dict[str, int] = {}
    for one in resources(reader, directory, patient_id, asked, allowed)[1:]:
        numbers[one["resourceType"]] = numbers.get(one["resourceType"], 0) + 1
    return dict(sorted(numbers.items()))


def _counts(type_: str, asked: Filter, allowed: Allowed) -> bool:
    return type_ != "Patient" and asked.wants(type_) and allowed(type_)
