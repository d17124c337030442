"""Checks of the demo: a name, whether it held, what was seen, and how long it took."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from gateway.errors import GatewayError

T = TypeVar("T")

_PATIENCE = 20.0
_PAUSE = 0.05


class DemoError(Exception):
    """What was promised did not happen."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    detail: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "seconds": round(self.seconds, 3)}


Step = tuple[str, Callable[[], str]]
"""The name of a check and what does it: returns what was seen, raises DemoError when it did not hold."""


def run_steps(steps: Iterable[Step]) -> Iterator[Check]:
    """Each check in order; one that fails stops no other, so that the table shows how far the damage goes."""
    for name, step in steps:
        began = time.monotonic()
        try:
            ok, detail = True, step()
        except DemoError as failure:
            ok, detail = False, str(failure)
        except (GatewayError, OSError, http.client.HTTPException, LookupError, TypeError, ValueError) as error:
            ok, detail = False, f"{type(error).__name__}: {error}"
        yield Check(name, ok, detail, time.monotonic() - began)


def expect(held: object, otherwise: str) -> None:
    """Raises DemoError with `otherwise` when it did not hold."""
    if not held:
        raise DemoError(otherwise)


def until(probe: Callable[[], T], otherwise: str, *, seconds: float = _PATIENCE) -> T:
    """The first answer of `probe` that holds. Raises DemoError when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise DemoError(f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(_PAUSE)
    return found
