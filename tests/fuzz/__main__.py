"""`make fuzz SECONDS=60`: look for a document that breaks the law, from our own documents and the corpus."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from tests.conftest import ROOT, shared_files

_LARGEST = 110_000
"""Bytes of a seed: the shorter it is, the more is tried in a second."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--folder", type=Path, help="keeps what was learned for the next run; a temporary one without")
    options.add_argument("--seed", type=int, default=0, help="of chance; 0 = another one every time")
    asked = options.parse_args()
    if find_spec("atheris") is None:
        raise SystemExit("make fuzz needs the package atheris, which has no wheel for this Python")
    with tempfile.TemporaryDirectory() as name:
        raise SystemExit(_run(asked.folder or Path(name), asked.seconds, asked.seed))


def _run(folder: Path, seconds: int, seed: int) -> int:
    for part in ("seeds", "corpus", "found"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for path in [*sorted((ROOT / "fixtures" / "ccda").rglob("*.xml")), *shared_files("ccda/docs/*.xml")]:
        if path.stat().st_size <= _LARGEST:
            copyfile(path, folder / "seeds" / path.name)
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=300000", "-timeout=20", "-rss_limit_mb=1024"]
    command = [sys.executable, "-m", "tests.fuzz.search", str(folder), *options, f"-artifact_prefix={folder}/found/"]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    found = sorted((folder / "found").iterdir())
    for path in found:
        print(f"--- {path.name}", path.read_text("utf-8") if path.suffix == ".txt" else "", sep="\n")
    print(f"{len(found)} files found" if found else "nothing found")
    return 1 if found or ended.returncode else 0


if __name__ == "__main__":
    main()
