"""The generated pages of docs/reference say what the code does."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise

import pytest

from tests.conftest import ROOT
from tools import make_reference


@pytest.mark.parametrize("name", sorted(make_reference.PAGES))
def test_page_is_up_to_date(name: str) -> None:
    page = make_reference.REFERENCE / name
    assert page.read_text(encoding="utf-8") == make_reference.PAGES[name](), "run: make docs"


def test_every_setting_and_command_is_there() -> None:
    assert "`DATABASE_URL`" in make_reference.settings()
    assert "`GATEWAY_RETRY_SCHEDULE` | `0,5,300," in make_reference.settings()
    assert "gateway keys create NAME --connector CONNECTOR --scope SCOPE ..." in make_reference.cli()
    assert "| 412 | `multiple-matches` | `AmbiguousMatch` |" in make_reference.errors()


def test_the_architecture_names_the_layers_that_are_checked() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    checked = [{part.strip().removeprefix("gateway.") for part in layer.split("|")} for layer in contracts[0]["layers"]]
    page = (ROOT / "docs" / "explain" / "architecture.md").read_text()
    table = page.partition("| layer | what it does |")[2].partition("\n\n")[0]
    rows = [set(re.findall(r"`(\w+)`", line.split("|")[1])) for line in table.splitlines()[2:]]
    order = [name for row in rows for name in row]
    assert sorted(order) == sorted(name for layer in checked for name in layer)
    above = {name: number for number, layer in enumerate(checked) for name in layer}
    for before, after in pairwise(rows):
        assert max(above[name] for name in before) <= min(above[name] for name in after)
