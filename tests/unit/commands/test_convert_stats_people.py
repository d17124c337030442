"""Who and when, as `--stats` looks for them: in the resource, in a Provenance of it, in the patient's Account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.commands.convert_stats import tokens
from gateway.commands.convert_stats.kept import measure
from gateway.commands.convert_stats.source import read
from tests.unit.translators.ccda.written import converted, document, section

ROOT = "2.16.840.1.113883.10.20.22.4."
PERSON = "<assignedPerson><name><given>{0}</given><family>Sample</family></name></assignedPerson>"
AUTHOR = f"""<author><time value="20240301"/><assignedAuthor><id root="1.2.9" extension="a1"/>{PERSON.format("Ann")}
</assignedAuthor></author>"""
RESULTS = section(
    "30954-2",
    f"""<observation classCode="OBS" moodCode="EVN"><templateId root="{ROOT}2"/><id root="1.2.3" extension="r1"/>
<code code="2345-7" codeSystem="2.16.840.1.113883.6.1"/><statusCode code="completed"/><effectiveTime value="20240102"/>
<value xsi:type="PQ" value="95" unit="mg/dL"/>{AUTHOR}</observation>""",
)
MEDICATIONS = section(
    "10160-0",
    f"""<substanceAdministration classCode="SBADM" moodCode="INT"><templateId root="{ROOT}16"/><id root="1.2.4"/>
<statusCode code="active"/><effectiveTime value="20240305"/><consumable><manufacturedProduct><manufacturedMaterial>
<code code="309090" codeSystem="2.16.840.1.113883.6.88"/></manufacturedMaterial></manufacturedProduct></consumable>
{AUTHOR}</substanceAdministration>""",
)
POLICY = section(
    "48768-6",
    f"""<act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}60"/><statusCode code="completed"/>
<entryRelationship typeCode="COMP"><act classCode="ACT" moodCode="EVN"><templateId root="{ROOT}61"/>
<id root="1.2.5" extension="p1"/>
<performer><templateId root="{ROOT}88"/><assignedEntity><id root="1.2.6" extension="g1"/>
<code code="GUAR" codeSystem="2.16.840.1.113883.5.110"/>{PERSON.format("Gus")}</assignedEntity></performer>
<participant typeCode="COV"><participantRole><id root="1.2.7" extension="m1"/></participantRole></participant>
</act></entryRelationship></act>""",
)


def lost(whole: str, kind: str, change: Callable[[dict[str, Any]], object] = lambda body: None) -> set[tuple[str, str]]:
    """What is lost of a section when all resources of a type are changed by hand."""
    bundle = converted(whole).bundle
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == kind:
            change(entry["resource"])
    data = document(whole)
    return {key for key in measure(read(data), bundle, data).lost if key[0] != "header"}


@pytest.mark.parametrize("whole", [RESULTS, MEDICATIONS, POLICY])
def test_nobody_is_lost_who_was_kept(whole: str) -> None:
    assert lost(whole, "Patient") == set()


@pytest.mark.parametrize(
    ("whole", "kind", "change", "expected"),
    [
        (RESULTS, "Provenance", lambda body: body.update(target=[]), ("Result", "author (person)")),
        (RESULTS, "Provenance", lambda body: body.pop("occurredDateTime"), ("Result", "author (date)")),
        (
            MEDICATIONS,
            "MedicationRequest",
            lambda body: body.pop("authoredOn"),
            ("Medication Activity", "author (date)"),
        ),
        (POLICY, "Account", lambda body: body.update(subject=[]), ("Policy", "performer (person)")),
        (POLICY, "Account", lambda body: body.pop("guarantor"), ("Policy", "performer (id)")),
    ],
)
def test_who_stands_elsewhere_is_lost(whole: str, kind: str, change: Any, expected: tuple[str, str]) -> None:
    assert expected in lost(whole, kind, change)


@pytest.mark.parametrize("written", ["20241301", "20013103", "20240230T", "2024010"])
def test_what_is_no_date_is_no_fact(written: str) -> None:
    assert tokens.v3_time(written) is None


@pytest.mark.parametrize(
    ("written", "token"),
    [("2024", "2024"), ("202402", "202402"), ("20240229", "20240229"), ("202402291015-0500", "202402291015")],
)
def test_a_date_is_as_precise_as_it_was_written(written: str, token: str) -> None:
    assert tokens.v3_time(written) == f"date {token}"
