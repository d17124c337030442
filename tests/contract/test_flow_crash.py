"""kill -9 at every step of the flow, on SQLite and PostgreSQL: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.sandbox import canvas_partner, fhir_server, serve
from gateway.sandbox.faults import Sandbox

from .conftest import TEMPLATE
from .postgres import Server

ROOT = Path(__file__).parents[2]


Fresh = Callable[[Path], AbstractContextManager[str]]


class Player:
    """Plays plans in processes of their own, forked from one that has imported everything."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.e2e.crash_steps"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)

    def play(self, plan: dict[str, Any]) -> tuple[int, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(plan) + "\n")
        self._process.stdin.flush()
        code, told = json.loads(self._process.stdout.readline())
        return code, told

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def player() -> Iterator[Player]:
    player = Player()
    yield player
    player.close()


@contextmanager
def staged(player: Player, fresh: Fresh, folder: Path) -> Iterator[tuple[dict[str, Any], Sandbox, Sandbox]]:
    folder.mkdir()
    registry, partner = fhir_server.create(), canvas_partner.create()
    sides = serve.running(registry), serve.running(partner)
    with sides[0] as registry_url, sides[1] as partner_url, fresh(folder) as database:
        plan = {"database": database, "folder": str(folder), "registry": registry_url, "partner": partner_url}
        code, key = player.play({**plan, "prepare": True, "kill": None})
        assert code == 0, key
        yield {**plan, "key": key, "kill": None}, registry, partner


def check(plan: dict[str, Any], registry: Sandbox, partner: Sandbox, step: str) -> None:
    """Everything is there once, and as it was said last."""
    with httpx.Client(trust_env=False) as client:
        held = {kind: _resources(client, f"{plan['registry']}/fhir/{kind}") for kind in ("Patient", "Observation")}
        people = [one for one in client.get(f"{plan['partner']}/_patients").json() if "externalId" in one]
    [there], [pulse], [theirs] = held["Patient"], held["Observation"], people
    assert there["name"][0]["family"] == theirs["lastName"] == "Roe", step
    assert pulse["subject"]["reference"] == f"Patient/{there['id']}", step
    creates = [one for one in partner.log if (one["method"], one["path"]) == ("POST", "/patients/v2")]
    assert sum(one["status"] == 201 for one in creates) == 1, step


def _resources(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    return [one["resource"] for one in client.get(url).json().get("entry", [])]


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest) -> Fresh:
    """Gives an empty database for a folder, as often as asked."""
    if request.param == "sqlite":
        return lambda folder: nullcontext(f"sqlite:///{folder / 'gateway.db'}")
    server: Server = request.getfixturevalue("bundled_postgres")
    return lambda folder: server.database(TEMPLATE)


def test_killed_at_every_step(player: Player, fresh: Fresh, tmp_path: Path) -> None:
    """A first run without a kill enumerates the steps; then each is the last one of a process."""
    with staged(player, fresh, tmp_path / "all") as (plan, registry, partner):
        code, steps = player.play(plan)
        assert code == 0, steps
        check(plan, registry, partner, "no kill")
    names = {step.split(" ", 1)[1].rsplit(" ", 1)[0] for step in steps}
    assert {"Flow.apply.job", "Flow.store_first.job", "Flow.apply_stored.job"} <= names
    assert {"Reconciler.claim.job", "Attempt._prepare.job", "Reconciler.settle.job"} <= names
    assert {"GET partner", "POST partner", "GET registry", "POST registry"} <= names
    killed = 0
    # Right before a step is right after the one before it: the same things are stored and sent.
    for number, step in enumerate(step for step in steps if step.startswith("after")):
        with staged(player, fresh, tmp_path / str(number)) as (plan, registry, partner):
            code, told = player.play({**plan, "kill": step})
            killed += code == -signal.SIGKILL
            assert code in (0, -signal.SIGKILL), told  # what happens side by side may take another order
            code, told = player.play(plan)
            assert code == 0, f"{step}: {told}"
            check(plan, registry, partner, step)
    assert killed > 15
