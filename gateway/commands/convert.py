"""`gateway convert`: C-CDA documents to FHIR Bundles, without a store."""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gateway.commands.opening import STDIN
from gateway.errors import GatewayError, InvalidInput, TooLarge
from gateway.fhir import json
from gateway.fhir.json import Resource
from gateway.translators.ccda import Converted, convert

_PATIENTS = uuid.UUID("5a2e4f9c-6f0b-5d57-9d0e-5e0f6c1b7a44")
"""Namespace of the Patient ids we choose when the caller names none."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: its Bundle, or `error` that says why there is none."""

    file: str
    bundle: Resource | None = None
    issues: tuple[dict[str, Any], ...] = ()
    report: dict[str, Any] | None = None
    error: str | None = None

    def without_bundle(self) -> Outcome:
        """The same for the report: a thousand Bundles would not fit in memory."""
        return replace(self, bundle=None)

    def to_json(self) -> dict[str, Any]:
        """Its part of the report; `error` only where there is one."""
        shown: dict[str, Any] = {"file": self.file, "ok": self.error is None, "issues": list(self.issues)}
        if self.error is not None:
            return shown | {"error": self.error}
        return shown | {"report": self.report}


def outcomes(files: Iterable[str], *, patient_id: str | None, max_bytes: int, **options: Any) -> Iterator[Outcome]:
    """One outcome per file, in order: a document that cannot be read stops no other. `options`: those of `convert`."""
    for file in files:
        try:
            converted = _converted(_read(file, max_bytes), patient_id, **options)
        except GatewayError as error:
            yield Outcome(file, issues=tuple(issue.to_fhir() for issue in error.issues), error=error.message)
        except OSError as error:
            yield Outcome(file, error=error.strerror or type(error).__name__)
        else:
            issues = tuple(issue.to_fhir() for issue in converted.issues)
            yield Outcome(file, converted.bundle, issues, converted.report)


def report(listed: Iterable[Outcome]) -> bytes:
    """What was converted and what no code understood, document by document."""
    return json.encode({"documents": [outcome.to_json() for outcome in listed]}) + b"\n"


def _read(file: str, max_bytes: int) -> bytes:
    if file == STDIN:
        data = sys.stdin.buffer.read(max_bytes + 1)
    elif Path(file).is_dir():
        raise InvalidInput("is a folder: name the documents in it")
    else:
        with Path(file).open("rb") as stream:
            data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise TooLarge(f"over the limit of {max_bytes} bytes: set GATEWAY_MAX_BYTES to read more")
    return data


def _converted(data: bytes, patient_id: str | None, **options: Any) -> Converted:
    """Without an id of the caller's, one that the document's patient keeps in every document of the same source."""
    if patient_id is not None:
        return convert(data, patient_id=patient_id, **options)
    found = convert(data, patient_id="patient").patient_key or hashlib.sha256(data).hexdigest()
    return convert(data, patient_id=str(uuid.uuid5(_PATIENTS, found)), **options)
