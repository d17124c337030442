"""What every test may use: where the reference corpora are (GATEWAY_SHARED, else ../shared), if they are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no defect: neither slow inputs nor a slow example fail a property.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("GATEWAY_SHARED", ROOT.parent / "shared"))


def shared_files(pattern: str) -> list[Path]:
    """The files of a corpus, for parametrize: empty where it is absent, so that the suite passes with fewer cases."""
    return sorted(SHARED.glob(pattern)) if SHARED.is_dir() else []


@pytest.fixture(scope="session")
def shared() -> Path:
    return SHARED


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
