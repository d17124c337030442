"""TestScripts that others wrote for servers of FHIR R4 (FHIR R4 §2.40 TestScript), run against our API."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.fhir import json
from gateway.fhir.json import Resource
from tests.conftest import shared_files
from tests.e2e.desk import opened

pytestmark = pytest.mark.anyio

SCRIPTS = shared_files("fhir/testscripts/fhir-r4-base/*/*.json")

_UNKNOWN = "no search parameter here: refused, as ignoring it would find everybody"
REFUSED = {
    "bulk-data-export": "no snapshots over HTTP yet",
    "history-type": "the history of a type is not claimed",
    "patient-search-by-birthdate": _UNKNOWN,
    "patient-search-by-gender": _UNKNOWN,
    "token-not-modifier": _UNKNOWN,
    "string-modifier-contains": _UNKNOWN,
    "string-modifier-exact": _UNKNOWN,
    "observation-by-code": _UNKNOWN,
    "observation-combo-code": _UNKNOWN,
}
"""What of them we do not pass, by the name of the script."""


@pytest.mark.shared
async def test_every_script_of_the_r4_base_passes_but_those_that_are_listed(tmp_path: Path) -> None:
    failed: dict[str, list[str]] = {}
    async with opened(tmp_path) as desk:
        for path in SCRIPTS:
            for operation, asserts in _steps(json.decode(path.read_bytes())):
                answer = await desk.fhir(operation.get("method", "get").upper(), *_asked(operation))
                wrong = [one["label"] for one in asserts if not _holds(one, answer)]
                failed.setdefault(path.stem, []).extend([*wrong, *_own_faults(answer)])
    named = {name: labels for name, labels in failed.items() if labels}
    assert named.keys() == REFUSED.keys() & failed.keys(), named


def _steps(script: Resource) -> Iterator[tuple[Resource, list[Resource]]]:
    """Each operation with what is asserted of its answer."""
    for test in script["test"]:
        operation: Resource | None = None
        asserts: list[Resource] = []
        for action in test["action"]:
            if "operation" in action:
                if operation is not None:
                    yield operation, asserts
                operation, asserts = action["operation"], []
            else:
                asserts.append(action["assert"])
        if operation is not None:
            yield operation, asserts


def _asked(operation: Resource) -> tuple[str]:
    if operation["type"]["code"] == "capabilities":
        return ("/metadata",)
    middle = "/_history" if operation["type"]["code"] == "history" else ""
    return (f"/{operation['resource']}{middle}{operation.get('params', '')}",)


_COMPARED: dict[str, Callable[[str, str], bool]] = {
    "equals": lambda found, wanted: found == wanted,
    "notEquals": lambda found, wanted: found != wanted,
    "contains": lambda found, wanted: wanted in found,
    "notIn": lambda found, wanted: found not in wanted.split(","),
    "matchesRegex": lambda found, wanted: re.search(wanted, found) is not None,
}


def _holds(asserted: Resource, answer: httpx.Response) -> bool:
    said: dict[str, Any] = {
        "responseCode": str(answer.status_code),
        "contentType": answer.headers["content-type"],
        "responseBody": answer.text,
    }
    [(what, wanted)] = [(name, asserted[name]) for name in said if name in asserted]
    return _COMPARED[asserted["operator"]](said[what], wanted)


def _own_faults(answer: httpx.Response) -> Iterator[str]:
    """What no script asks, but R4 §3.1.0.1.5 does: every refusal says why."""
    if answer.status_code >= 400 and json.decode(answer.content)["resourceType"] != "OperationOutcome":
        yield "an OperationOutcome with every error"
