"""Those who only send: documents, FHIR clients and analysts. Nothing is read from them or brought to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from gateway.connectors.protocol import Item, Side, Target
from gateway.errors import InvalidInput, NotAllowed
from gateway.fhir.form import FULL

PROFILE = "intake"

form = FULL


def accepts(resource_type: str) -> bool:  # noqa: ARG001 (the protocol's signature)
    return False


def read(target: Target, side: Side) -> NoReturn:  # noqa: ARG001
    raise NotAllowed("an intake connector has no side that could be read")


def push(item: Item, side: Side) -> NoReturn:  # noqa: ARG001
    raise NotAllowed("an intake connector has no side that could be written to")


def event(payload: Any) -> NoReturn:  # noqa: ARG001
    raise InvalidInput("an intake connector takes no webhooks")


def translate(data: Mapping[str, Any], target: Target, side: Side) -> NoReturn:  # noqa: ARG001
    raise InvalidInput("an intake connector takes no webhooks")
