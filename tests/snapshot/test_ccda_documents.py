"""Every fixture that can be converted, as it came out: sameness. What is right about it, test_ccda_facts*.py say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from gateway.fhir import json
from gateway.translators.ccda import convert
from tests.conformance.ccda_facts import DOCUMENTS


@pytest.fixture
def as_json(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_document(path: Path, as_json: SnapshotAssertion) -> None:
    converted = convert(path.read_bytes(), patient_id="1")
    issues = [issue.to_fhir() for issue in converted.issues]
    assert readable({"bundle": converted.bundle, "issues": issues, "report": converted.report}) == as_json


def readable(value: Any) -> Any:
    """Through our own JSON, numbers as the text they are written as: a lost zero must show."""
    plain = json.decode(json.encode(value))
    return numbers_as_text(plain)


def numbers_as_text(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: numbers_as_text(value) for key, value in node.items()}
    if isinstance(node, list):
        return [numbers_as_text(value) for value in node]
    return node if isinstance(node, str | bool) or node is None else str(node)
