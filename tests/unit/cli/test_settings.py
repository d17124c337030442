"""Settings that do not fit together are told when the server starts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.settings import Settings


@pytest.mark.parametrize(
    ("given", "elsewhere"),
    [
        ({}, False),
        ({"port": 9000}, True),
        ({"port": 0}, True),
        ({"port": 9000, "public_url": "http://127.0.0.1:8000"}, False),
        ({"port": 9000, "public_url": "https://gateway.example"}, False),
    ],
    ids=str,
)
def test_a_port_that_nobody_is_told_of(given: dict[str, Any], elsewhere: bool) -> None:
    """The address is part of identifiers that others keep, so that it must not change with the port."""
    settings = Settings(_env_file=None, **given)
    assert settings.is_elsewhere is elsewhere
    assert settings.fhir_base == given.get("public_url", "http://127.0.0.1:8000") + "/fhir"
