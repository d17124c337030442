"""What the converter makes is what our own FHIR endpoint takes: as it is, twice, and the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.translators.ccda import convert

from .desk import Desk, decoded

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ccda"
DOCUMENTS = sorted(
    path.stem
    for path in FIXTURES.glob("*.xml")
    if path.stem not in ("bench-ccd-150k", "doctype", "no-record-target", "not-well-formed")
)


def made(name: str, form: str = "transaction") -> dict[str, Any]:
    data = (FIXTURES / f"{name}.xml").read_bytes()
    return convert(data, patient_id="0190a1b2-7c3d-7000-8000-00000000c0da", form=form, timezone="-05:00").bundle


def places(answer: httpx.Response) -> list[tuple[str, str]]:
    """Status and address of every entry's answer, without the version."""
    assert answer.status_code == 200, answer.text
    found = [one["response"] for one in decoded(answer)["entry"]]
    return [(one["status"][:3], one["location"].partition("/_history/")[0]) for one in found]


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_a_transaction_is_taken_and_again_changes_nothing(desk: Desk, name: str) -> None:
    sent = made(name)

    first = places(await desk.fhir("POST", "", sent))
    counts = desk.counts()
    second = places(await desk.fhir("POST", "", sent))

    assert {status for status, _ in first} <= {"200", "201"}
    again = [one for one, entry in zip(second, sent["entry"], strict=True) if entry["request"]["method"] == "PUT"]
    assert {status for status, _ in again} == {"200"}
    assert {place for _, place in again} <= {place for _, place in first}
    made_again = {entry["request"]["url"] for entry in sent["entry"] if entry["request"]["method"] == "POST"}
    assert made_again <= {"Provenance", "Composition"}
    assert {**desk.counts(), **dict.fromkeys(made_again, 0)} == {**counts, **dict.fromkeys(made_again, 0)}


async def test_a_batch_is_for_servers_that_let_the_caller_give_ids(desk: Desk) -> None:
    answer = decoded(await desk.fhir("POST", "", made("minimal", "batch")))

    assert {one["response"]["status"][:3] for one in answer["entry"]} == {"405"}
