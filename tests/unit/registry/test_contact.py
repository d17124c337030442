"""Contact without a network: what is wrong with a connector is its status, whoever finds it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from gateway.connectors.config import Config, Sync
from gateway.registry import contact

pytestmark = pytest.mark.anyio


class Nobody:
    """The way out to systems that are never reached."""

    logins: Any = None

    async def ask(self, config: Config, calls: Generator[Any, Any, Any]) -> Any:
        raise AssertionError(f"{config.name} is not called")


async def test_a_mapping_that_can_no_longer_be_read_is_the_connectors_error() -> None:
    """It was kept before its paths were checked; a look at it must not end in a refusal of whoever asks."""
    mapping = {"Patient": {"path": "people", "fields": {"name": "name"}}}
    config = Config(
        name="ehr", profile="rest", endpoint="https://ehr.example", sync=Sync(mode="webhook"), mapping=mapping
    )
    ours, public = "https://gateway.example/fhir", "https://gateway.example"
    greeting = await contact.greet(Nobody(), config, {}, ours=ours, public=public, register=True)
    assert greeting.state == "error" and "mapping.Patient.path" in str(greeting.error)
