"""The generated pages of docs/reference say what the code does."""

from __future__ import annotations

import pytest

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
