"""`gateway demo` as a person runs it: every check holds, the report says so, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.fhir import json
from gateway.sandbox import demo, demo_check


@pytest.mark.timeout(300)
def test_every_check_of_the_demo_holds(tmp_path: Path) -> None:
    hostile = {"GATEWAY_PUBLIC_URL": "http://elsewhere.example", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--json", "--keep", str(tmp_path / "kept")],
        env=os.environ | hostile,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.decode(done.stdout)
    assert [(check["name"], check["detail"]) for check in report["checks"] if not check["ok"]] == []
    assert (report["ok"], done.returncode) == (True, 0)
    assert len(report["checks"]) >= 25
    assert (tmp_path / "kept" / "data" / "gateway.db").is_file()
    assert (tmp_path / "kept" / "snapshot" / "patient.csv").is_file()


def test_what_is_pasted_makes_the_readme_work_in_another_terminal() -> None:
    script = "\n".join([*demo.pasted({"PLACE": "a b", "KEY": "gw_$x"}), 'command -v gateway; echo "$PLACE $KEY"'])
    bare = {"PATH": os.defpath}
    done = subprocess.run(["sh", "-c", script], env=bare, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [str(Path(sys.executable).parent / "gateway"), "a b gw_$x"]


def test_a_folder_with_something_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(InvalidInput, match="not empty"):
        demo.run(keep=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_check_that_does_not_hold_is_told_and_stops_no_other() -> None:
    def holds() -> str:
        return "seen"

    def fails() -> str:
        demo_check.until(lambda: False, "it did not arrive", seconds=0)
        return "never"

    def breaks() -> str:
        return {}["missing"]

    checks = list(demo_check.run_steps([("a", fails), ("b", breaks), ("c", holds)]))
    assert [(check.name, check.ok) for check in checks] == [("a", False), ("b", False), ("c", True)]
    assert checks[0].detail.startswith("it did not arrive")
    assert "KeyError" in checks[1].detail
