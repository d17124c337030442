"""The example pairs of HL7 C-CDA on FHIR, scored field by field; needs the reference corpora.

`pytest -rP tests/conformance/test_ccda_pairs.py` prints the misses.
"""

from __future__ import annotations

import pytest

from tests.conformance.ccda_pairs import EXCUSED, Resource, Score, pairs, repeated, scored, whole_document, wrap
from tests.conformance.ccda_pairs import score as score_pair
from tests.conftest import SHARED

FOLDER = SHARED / "ccda" / "pairs"
FRAGMENTS = list(pairs(FOLDER)) if FOLDER.is_dir() else []
WHOLE = list(whole_document(FOLDER)) if FOLDER.is_dir() else []

FLOOR = 0.97
ALL_FLOOR = 0.99


def name_of(value: object) -> str:
    return value if isinstance(value, str) else ""


@pytest.mark.shared
@pytest.mark.parametrize(("name", "document", "expected"), FRAGMENTS + WHOLE, ids=name_of)
def test_pair(name: str, document: bytes, expected: Resource) -> None:
    score = score_pair(name, document, expected)
    print(score)
    assert score.share >= FLOOR, str(score)


@pytest.mark.shared
@pytest.mark.skipif(not FRAGMENTS, reason="the pairs are not here: set GATEWAY_SHARED")
def test_all_pairs_together() -> None:
    scores = [score_pair(*pair) for pair in FRAGMENTS + WHOLE]
    matched, missed = sum(len(s.matched) for s in scores), sum(len(s.missed) for s in scores)
    assert matched / (matched + missed) >= ALL_FLOOR, "\n".join(map(str, scores))


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


def test_words_the_fragment_does_not_have_are_not_scored() -> None:
    leaf = ("code.text", "Urinalysis")
    assert not scored("any", leaf, b"<code/><!-- >Urinalysis< -->")
    assert scored("any", leaf, b"<code>urinalysis</code>")
    assert scored("any", leaf, b'<code displayName="Urinalysis"/>')


def test_text_that_repeats_a_display_is_not_scored() -> None:
    wanted = [("code.coding.display", "Asthma"), ("code.text", "asthma")]
    assert repeated(wanted[1], wanted)
    assert not repeated(("code.text", "wheezing"), wanted)


@pytest.mark.shared
@pytest.mark.skipif(not FRAGMENTS, reason="the pairs are not here: set GATEWAY_SHARED")
def test_every_excuse_names_a_pair() -> None:
    assert {name for name, _ in EXCUSED} <= {name for name, _, _ in FRAGMENTS + WHOLE}
