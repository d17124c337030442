"""The mappings that docs/reference/mapping.md and the how-to print can be used as they stand."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gateway.connectors import config_file
from gateway.fhir import json
from gateway.translators.json import mapping as mappings
from gateway.translators.json.mapping_form import form_of
from gateway.translators.json.transforms import BUILDERS
from tests.conftest import ROOT

REFERENCE = (ROOT / "docs/reference/mapping.md").read_text()
HOW_TO = (ROOT / "docs/how-to/map-a-rest-system.md").read_text()
IMPILO = (ROOT / "docs/how-to/connect-impilo.md").read_text()
MAPPINGS = [json.decode(text) for text in re.findall(r"```json\n(.*?)```", REFERENCE, re.DOTALL)]
FILES = [json.decode(text) for text in re.findall(r"<<'JSON'\n(.*?)\n *JSON\n", HOW_TO + IMPILO, re.DOTALL)]


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_printed_mapping_is_one(mapping: dict[str, Any]) -> None:
    mapped = mappings.read(mapping)
    mappings.check_both_ways(mapped)
    form_of(mapped)


@pytest.mark.parametrize("body", FILES)
def test_a_printed_connector_file_is_one(body: dict[str, Any]) -> None:
    assert len(config_file.parse(body)) == 1


def test_every_transform_is_in_the_table() -> None:
    assert [name for name in BUILDERS if f"\n| `{name}` |" not in REFERENCE] == []
    assert len(MAPPINGS) == 2 and len(FILES) == 2
