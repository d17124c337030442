"""`make fuzz SECONDS=60`: look for a document that breaks the law, from our own documents and the corpus."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

from tests.conftest import ROOT, shared_files

_LARGEST = 60_000
"""Bytes of a seed: the shorter it is, the more is tried in a second."""

_BARE = re.compile(rb"<\?.*?\?>|<!--.*?-->", re.DOTALL)
_FIRST = re.compile(rb"<(?:\w+:)?(\w+)")
_SECTIONS = (b"component", b"structuredBody", b"component")
_WITHIN = {b"section": _SECTIONS, b"entry": (*_SECTIONS, b"section"), b"component": (), b"recordTarget": ()}
_ROOT = b"""<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">%b</ClinicalDocument>"""


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
    for path in shared_files("ccda/snippets/*.xml"):
        (folder / "seeds" / f"snippet-{path.name}").write_bytes(_around(path.read_bytes()))
    # One allocation is a document's doing; the whole is the search's own, which grows by 50 kB with each it tried.
    limits = ["-max_len=300000", "-timeout=20", "-malloc_limit_mb=512", "-rss_limit_mb=4096"]
    options = [f"-max_total_time={seconds}", f"-seed={seed}", *limits]
    command = [sys.executable, "-m", "tests.fuzz.search", str(folder), *options, f"-artifact_prefix={folder}/found/"]
    ended = subprocess.run(command, cwd=ROOT, check=False)
    found = sorted((folder / "found").iterdir())
    for path in found:
        print(f"--- {path.name}", path.read_text("utf-8") if path.suffix == ".txt" else "", sep="\n")
    ending = f", but the search itself ended with status {ended.returncode}" if ended.returncode else ""
    print(f"{len(found) or 'nothing'} found{ending}")
    return 1 if found or ended.returncode else 0


def _around(snippet: bytes) -> bytes:
    """A document that holds the snippet where one of its kind stands."""
    bare = _BARE.sub(b"", snippet).strip()
    first = _FIRST.match(bare)
    if first is None or first[1] == b"ClinicalDocument":
        return bare
    for name in reversed(_WITHIN.get(first[1], (*_SECTIONS, b"section", b"entry"))):
        bare = b"<%b>%b</%b>" % (name, bare, name)
    return _ROOT % bare


if __name__ == "__main__":
    main()
