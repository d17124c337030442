"""Every `sh` block of the README and of docs/ runs, page by page, as a reader would paste it.

Needs bash, curl and openssl (`make test-system`). A page may use the servers that `make demo ARGS=--serve` starts;
the tutorial starts its own, on ports that are exchanged for free ones.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox.demo_gateway import free_port
from gateway.sandbox.demo_stage import Stage, staged
from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
PORTS = ("8000", "8101", "8102", "9100")


def script(page: Path) -> str:
    """The page's `sh` blocks as one script."""
    blocks = [re.sub(f"^{indent}", "", body, flags=re.MULTILINE) for indent, body in BLOCK.findall(page.read_text())]
    return "\n".join(blocks)


RUNNABLE = [page for page in PAGES if script(page)]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(tmp_path_factory.mktemp("stage")) as stage:
        stage.gateway.start()
        stage.set_up()
        yield stage


@pytest.mark.system
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    text = script(page)
    for port in PORTS:
        text = re.sub(rf"\b{port}\b", str(free_port()), text)
    stop = "trap 'for job in $(jobs -p); do kill $job; done; wait' EXIT\n"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", stop + text],
        cwd=tmp_path,
        env=environment(stage, page),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def environment(stage: Stage, page: Path) -> dict[str, str]:
    """Our commands on the path; pages other than the tutorial meet the running servers."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_URL"))}
    bare["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return bare if "tutorial" in page.parts else bare | stage.exports()


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
