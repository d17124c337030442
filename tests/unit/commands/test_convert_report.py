"""The report of a conversion as people read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.commands.convert import outcomes
from gateway.commands.convert_report import print_report
from tests.conftest import ROOT

FIXTURES = ROOT / "fixtures" / "ccda"


def shown(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    listed = [*outcomes([str(FIXTURES / name)], patient_id="p1", max_bytes=1_000_000, trace=True)]
    print_report(listed)
    return capsys.readouterr().out


def test_a_document_that_cannot_be_read_is_not_called_faultless(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown("not-well-formed.xml", capsys).splitlines() == [
        f"{FIXTURES / 'not-well-formed.xml'}: not well-formed XML at line 77, column 18"
    ]


def test_counts_reasons_and_places(capsys: pytest.CaptureFixture[str]) -> None:
    told = shown("unknown-entries.xml", capsys)

    rows = [line.split() for line in told.splitlines()]
    assert ["Problems", "11450-4", "4", "1", "1", "2"] in rows
    assert ["Procedure", "2"] in rows
    assert ["Patient", "/ClinicalDocument/recordTarget/patientRole"] in rows
    assert any(
        row[:2] == ["observationMedia", "EVN"] and row[-1].endswith("/entry[4]/observationMedia") for row in rows
    )
    assert any(
        "no clinical statement in it" in line and line.rstrip().endswith("/entry[3]") for line in told.splitlines()
    )


def test_a_document_without_faults_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    told = shown("minimal.xml", capsys)

    assert "Every entry was understood." in told
    assert "Nothing had to be read by its element alone." in told


def test_a_document_that_cannot_be_read_is_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "no.xml"
    file.write_text("<a>")
    print_report(outcomes([str(file)], patient_id="p1", max_bytes=1000, trace=True))

    assert capsys.readouterr().out.startswith(f"{file}: not well-formed XML")
