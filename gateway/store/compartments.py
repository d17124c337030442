"""Reads of one patient's compartment: everything that is in step with her (FHIR R4 §2.24 CompartmentDefinition)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, select, union_all

from .reader import Reader
from .resources import HEAD, to_head
from .rows import Head
from .schema import belongs, resource, version
from .sql import Flavour


def _own() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What she is the first or only patient of, and what she shares. A Contract is searched for by its patients, but no
    compartment has it."""
    first, shared, she = resource.alias(), resource.alias(), bindparam("patient", type_=BigInteger())
    theirs = select(belongs.c.rid).join(shared, shared.c.rid == belongs.c.rid)
    found = union_all(
        select(first.c.rid).where(first.c.patient == she),
        theirs.where(belongs.c.patient == she, shared.c.type != "Contract"),
    )
    return resource.c.rid.in_(found), resource.c.deleted.is_(False)


def _compartment(_: Flavour) -> Select[Any]:
    joined = resource.join(version, version.c.seq == resource.c.seq)
    return select(*HEAD, version.c.body).select_from(joined).where(*_own()).order_by(resource.c.type, resource.c.rid)


def _counts(_: Flavour) -> Select[Any]:
    return select(resource.c.type, func.count()).where(*_own()).group_by(resource.c.type)


def compartment(reader: Reader, patient: int) -> list[tuple[Head, bytes]]:
    """Every live resource with its body, by type; `patient` is the Patient's rid."""
    rows = reader.ask(_compartment, {"patient": patient})
    return [(to_head(row[:-1]), row[-1]) for row in rows if row[-1] is not None]


def counts(reader: Reader, patient: int) -> dict[str, int]:
    """How many of each type."""
    return {row[0]: row[1] for row in reader.ask(_counts, {"patient": patient})}
