"""The soak in `make test`: one short story; `make soak STORIES=20 STEPS=300` tells as many and as long as wanted."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from gateway.sandbox.demo_stage import staged

from .story import Story

SEEDS = int(os.environ.get("SOAK_SEEDS", "1"))
STEPS = int(os.environ.get("SOAK_STEPS", "60"))
FIRST = int(os.environ.get("SOAK_FIRST", "1"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.timeout(600)
def test_all_sides_agree_after_quiet(seed: int, tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.gateway.start()
        stage.set_up()
        story = Story(stage, random.Random(seed), people=8)
        story.tell(STEPS)
        story.come_to_rest()
        assert story.disagreements() == []
        held = stage.gateway.command("messages", "list", "--state", "held", "--json")
        failed = stage.gateway.command("messages", "list", "--state", "failed", "--json")
        assert (held.strip(), failed.strip()) == ("[]", "[]")
