"""Connectors are found by their module; each keeps the protocol."""

from __future__ import annotations

import pytest

from gateway.connectors import registry
from gateway.errors import InvalidInput
from gateway.fhir.form import Form


def test_the_systems_there_are() -> None:
    assert {"canvas", "fhir", "intake"} <= set(registry.profiles())


@pytest.mark.parametrize("profile", registry.profiles())
def test_every_connector_says_what_it_carries(profile: str) -> None:
    connector = registry.get(profile)
    assert profile == connector.PROFILE
    assert isinstance(connector.form, Form)
    assert not connector.accepts("Provenance")


def test_an_unknown_profile_lists_what_there_is() -> None:
    with pytest.raises(InvalidInput, match=r"canvas, .*fhir, .*intake"):
        registry.get("campus")
