"""The example pairs of HL7 C-CDA on FHIR, field by field: what we give equally, and why each other field differs.

Needs the reference corpora. `pytest -rP tests/conformance/test_ccda_pairs.py` prints what differs.
"""

from __future__ import annotations

import pytest

from tests.conformance.ccda_pairs import Resource, Score, excused, pairs, whole_document, wrap
from tests.conformance.ccda_pairs import score as score_pair
from tests.conftest import SHARED
from tools import ccda_pairs

FOLDER = SHARED / "ccda" / "pairs"
PAIRS = [*pairs(FOLDER), *whole_document(FOLDER)] if FOLDER.is_dir() else []
needs_pairs = pytest.mark.skipif(not PAIRS, reason="the pairs are not here: set GATEWAY_SHARED")


def name_of(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.shared
@pytest.mark.parametrize(("name", "document", "expected"), PAIRS, ids=name_of)
def test_every_field_is_equal_or_has_a_reason(name: str, document: bytes, expected: Resource) -> None:
    score = score_pair(name, document, expected)
    reasons = ccda_pairs.reasons(name)
    print(score)
    assert [missed for missed in score.missed if excused(missed, reasons) is None] == []


@pytest.mark.shared
@pytest.mark.parametrize(("name", "document", "expected"), PAIRS, ids=name_of)
def test_the_page_tells_the_score(name: str, document: bytes, expected: Resource) -> None:
    score = score_pair(name, document, expected)
    fields = len(score.matched) + len(score.missed)
    assert ccda_pairs.scores()[name] == (fields, len(score.matched)), "docs/reference/ccda-pairs/scores.tsv"


@pytest.mark.shared
@needs_pairs
def test_every_reason_is_needed() -> None:
    """A reason whose field is equal by now, or that HL7 never had, would hide the next defect."""
    unused = []
    for name, document, expected in PAIRS:
        missed = score_pair(name, document, expected).missed
        for field, reason in ccda_pairs.reasons(name).items():
            if not any(excused(one, {field: reason}) for one in missed):
                unused.append((name, field))
    assert unused == []
    assert {name for name, _, _ in ccda_pairs.differences()} <= {name for name, _, _ in PAIRS}


@pytest.mark.shared
@needs_pairs
def test_every_pair_is_on_the_page() -> None:
    assert set(ccda_pairs.scores()) == {name for name, _, _ in PAIRS}


def test_scoring_sees_a_wrong_value() -> None:
    """The scorer itself, without the corpora: another code is a miss, another letter case of a display is none."""
    fragment = (
        '<procedure classCode="PROC" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.14"/>'
        '<id root="2.25.59778615075790855151715354782056170808.13" extension="S"/>'
        '<code code="80146002" codeSystem="2.16.840.1.113883.6.96" displayName="Excision of appendix"/>'
        '<statusCode code="completed"/><effectiveTime value="20120806"/></procedure>'
    )
    code = {"system": "http://snomed.info/sct", "code": "80146003", "display": "EXCISION of appendix"}
    expected = {"resourceType": "Procedure", "status": "completed", "code": {"coding": [code]}}
    score = score_pair("procedure", wrap("procedure", fragment), expected)
    assert score == Score(
        "procedure",
        ["status=completed", "code.coding.system=http://snomed.info/sct", "code.coding.display=EXCISION of appendix"],
        ["code.coding.code=80146003"],
    )


def test_a_reason_excuses_a_value_a_path_or_what_is_below_it() -> None:
    assert excused("a.b=1", {"a.b=1": "that value"}) == "that value"
    assert excused("a.b=2", {"a.b=*": "that path"}) == "that path"
    assert excused("a.b.c=2", {"a.*": "below"}) == "below"
    assert excused("a.b=2", {"a.b=1": "another value", "b.*": "another path"}) is None
