"""What must hold whatever a document is: a sound Bundle or one of the project's input errors, in bounded time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

from lxml import etree

from gateway.errors import InvalidInput
from gateway.fhir import gate
from gateway.translators.ccda import Converted, convert
from gateway.translators.ccda.identity import identify

TIMES_THE_PARSE = 50
_LEAST = 0.001
"""Seconds that no document is too short for."""

_PER_BYTE = 6e-9
"""Seconds of parsing that a byte of an ordinary document costs: within a message its parse comes after the repair."""


def check(data: bytes, form: str = "batch") -> Converted | None:
    """Convert it and hold the result to the law; None for a document that is refused."""
    try:
        if form == "document":
            identify(data)
        result = convert(data, patient_id="p1", form=form, trace=form != "batch", require_patient=form != "batch")
    except InvalidInput as error:
        assert error.message and error.status in (400, 413, 422), repr(error)
        return None
    check_bundle(result.bundle)
    for row in result.report["sections"]:
        assert row["seen"] == row["converted"] + row["fallback"] + len(row["notUnderstood"]), row
    assert gate.check(result.outcome()) == []
    return result


def check_bundle(bundle: dict[str, Any]) -> None:
    """0 invalid, 0 dangling, 0 duplicate ids, 0 empty."""
    assert (faults := gate.check(bundle)) == [], faults
    resources = [entry["resource"] for entry in bundle["entry"]]
    names = [f"{one['resourceType']}/{one['id']}" for one in resources if "id" in one]
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(set(names)) == len(names), "an id twice"
    assert len(set(urls)) == len(urls), "a fullUrl twice"
    assert (dangling := set(references(bundle)) - {*names, *urls}) == set(), dangling
    assert (bare := list(empties(bundle))) == [], bare


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("reference"), str):
            yield reference
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def empties(value: Any, path: str = "") -> Iterator[str]:
    """Where there is null or nothing."""
    if value is None or value in ("", [], {}):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from empties(inner, f"{path}.{key}")


def times_the_parse(data: bytes, best_of: int = 1) -> float:
    """How many times longer than its parse the conversion takes, in CPU time."""
    parse = min(_seconds(_parse, data) for _ in range(best_of))
    return seconds(data, best_of) / max(parse, _LEAST, len(data) * _PER_BYTE)


def seconds(data: bytes, best_of: int = 1) -> float:
    """CPU time of the conversion."""
    return min(_seconds(_convert, data) for _ in range(best_of))


def _seconds(work: Callable[[bytes], object], data: bytes) -> float:
    """Without what it costs to walk, at every collection, whatever the test run holds."""
    gc.freeze()
    try:
        began = time.process_time()
        work(data)
        return time.process_time() - began
    finally:
        gc.unfreeze()


def _parse(data: bytes) -> None:
    """To its end: what is not well-formed may be a document that is repaired."""
    options: Any = {"resolve_entities": False, "no_network": True, "huge_tree": True, "recover": True}
    try:
        etree.fromstring(data, etree.XMLParser(**options))
    except (etree.XMLSyntaxError, ValueError, LookupError):
        return


def _convert(data: bytes) -> None:
    try:
        convert(data, patient_id="p1")
    except InvalidInput:
        return
