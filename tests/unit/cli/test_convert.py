"""`gateway convert`: documents to Bundles, one failure stops no other."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.commands.convert import outcomes
from gateway.fhir import json
from tests.conftest import ROOT

FIXTURES = ROOT / "fixtures" / "ccda"
DEMO, MINIMAL, DOCTYPE = (str(FIXTURES / f"{name}.xml") for name in ("demo-ccd", "minimal", "doctype"))


def run(*arguments: str) -> object:
    """The exit status, or the line of an error."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


def patients(output: str) -> list[dict]:
    bundles = [json.decode(line) for line in output.splitlines()]
    return [entry["resource"] for bundle in bundles for entry in bundle["entry"][:1]]


def test_one_document_gives_its_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", DEMO, "--patient-id", "maria") == 0
    (patient,) = patients(capsys.readouterr().out)
    assert (patient["resourceType"], patient["id"], patient["birthDate"]) == ("Patient", "maria", "1984-06-17")


def test_several_documents_give_one_line_each_and_the_bad_ones_a_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    assert run("convert", DOCTYPE, DEMO, "missing.xml", str(tmp_path), MINIMAL, "--report", str(report)) == 1
    captured = capsys.readouterr()
    assert [patient["resourceType"] for patient in patients(captured.out)] == ["Patient", "Patient"]
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert "DOCTYPE" in lines[0]
    assert "missing.xml: No such file" in lines[1]
    documents = json.decode(report.read_bytes())["documents"]
    assert [document["ok"] for document in documents] == [False, True, False, False, True]
    assert documents[1]["report"]["sections"]
    assert "report" not in documents[0]


def test_without_an_id_the_same_patient_gets_the_same_one_in_every_document(tmp_path: Path) -> None:
    text = Path(DEMO).read_bytes()
    later = tmp_path / "later.xml"
    later.write_bytes(text.replace(b"<title>Visit summary", b"<title>A later visit summary"))
    first, second, other = outcomes([DEMO, str(later), MINIMAL], patient_id=None, max_bytes=10_000_000)
    ids = [outcome.bundle["entry"][0]["resource"]["id"] for outcome in (first, second, other) if outcome.bundle]
    assert first.bundle != second.bundle
    assert ids[0] == ids[1] != ids[2]


def test_a_document_may_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(DEMO).read_bytes())))
    assert run("convert", "-", "--patient-id", "maria") == 0
    assert [patient["id"] for patient in patients(capsys.readouterr().out)] == ["maria"]


def test_a_document_over_the_limit_is_not_read() -> None:
    (outcome,) = outcomes([DEMO], patient_id=None, max_bytes=1_000)
    assert outcome.bundle is None
    assert "1000 bytes" in (outcome.error or "")


def test_an_id_that_fhir_does_not_allow_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", DEMO, "--patient-id", "not an id") == 1
    assert capsys.readouterr().out == ""


def test_the_report_says_where_every_resource_came_from(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert run("convert", DEMO, "--report", str(report), "--form", "document") == 0
    (document,) = json.decode(report.read_bytes())["documents"]
    sources = {one["resource"].partition("/")[0]: one["xpath"] for one in document["report"]["resources"]}
    assert sources["Patient"] == "/ClinicalDocument/recordTarget/patientRole"
    assert sources["Composition"] == "/ClinicalDocument"


def test_the_report_for_people_stands_instead_of_the_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", str(FIXTURES / "unknown-entries.xml"), "--report", "-") == 0
    shown = capsys.readouterr().out
    assert "resourceType" not in shown
    assert "Not understood" in shown
    assert "/ClinicalDocument/component/structuredBody" in shown


def test_an_unknown_form_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", DEMO, "--form", "collection") == 1
    assert "batch, document, transaction" in capsys.readouterr().err


def test_a_folder_is_measured(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "demo.xml").write_bytes(Path(DEMO).read_bytes())
    assert run("convert", "--stats", str(tmp_path)) == 0
    assert "narrative" in capsys.readouterr().out
    assert run("convert", "--stats", str(tmp_path), "--json") == 0
    assert json.decode(capsys.readouterr().out.encode())["documents"] == 1


@pytest.mark.parametrize(
    ("written", "options", "timestamp"),
    [
        ("20260115", ("--assembled", "2026-01-16T08:00:00Z"), "2026-01-16T08:00:00Z"),
        ("20260115103000", ("--timezone", "-05:00"), "2026-01-15T10:30:00-05:00"),
        ("20260115", (), None),
    ],
)
def test_a_fhir_document_has_the_instant_that_is_known(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, written: str, options: tuple[str, ...], timestamp: str | None
) -> None:
    file = tmp_path / "document.xml"
    file.write_text(Path(MINIMAL).read_text().replace("20260115103000-0500", written))

    assert run("convert", str(file), "--form", "document", *options) == (0 if timestamp else 1)
    captured = capsys.readouterr()
    if timestamp:
        assert json.decode(captured.out)["timestamp"] == timestamp
    else:
        assert "say when it is assembled" in captured.err
