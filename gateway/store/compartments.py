"""Reads of one patient's compartment: everything that is in step with her (FHIR R4 §2.24 CompartmentDefinition)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, func, select

from .reader import Reader
from .resources import HEAD, to_head
from .rows import Head
from .schema import resource, version
from .sql import Flavour


def _compartment(_: Flavour) -> Select[Any]:
    own = (resource.c.patient == bindparam("patient"), resource.c.deleted.is_(False))
    joined = resource.join(version, version.c.seq == resource.c.seq)
    return select(*HEAD, version.c.body).select_from(joined).where(*own).order_by(resource.c.type, resource.c.rid)


def _counts(_: Flavour) -> Select[Any]:
    own = (resource.c.patient == bindparam("patient"), resource.c.deleted.is_(False))
    return select(resource.c.type, func.count()).where(*own).group_by(resource.c.type)


def compartment(reader: Reader, patient: int) -> list[tuple[Head, bytes]]:
    """Every live resource with its body, by type; `patient` is the Patient's rid."""
    rows = reader.ask(_compartment, {"patient": patient})
    return [(to_head(row[:-1]), row[-1]) for row in rows if row[-1] is not None]


def counts(reader: Reader, patient: int) -> dict[str, int]:
    """How many of each type."""
    return {row[0]: row[1] for row in reader.ask(_counts, {"patient": patient})}
