"""The same document gives the same bytes, in every process and in any order; and nothing but memory is touched."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import InvalidInput
from gateway.translators.ccda import convert
from tests.conftest import ROOT, shared_files

FIXTURES = sorted((ROOT / "fixtures" / "ccda").rglob("*.xml"))
SAMPLES = shared_files("ccda/docs/*.xml")


def fingerprints(paths: list[Path], seed: str, *options: str) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.fuzz.fingerprints", *options, *map(str, paths)]
    env = {**os.environ, "PYTHONHASHSEED": seed}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, str] = json.loads(ended.stdout)
    return found


def test_other_processes_give_the_same_bytes_and_touch_no_file_and_no_socket() -> None:
    """Another seed of the hashes, another order of the documents: what is cached of one must not show in another."""
    paths = [*FIXTURES, *SAMPLES]
    once = fingerprints(paths, "1")
    assert len(once) >= len(paths)
    assert fingerprints(paths, "4242", "--reversed") == once


OUTSIDE = {
    "DTD": '<!DOCTYPE ClinicalDocument SYSTEM "{url}">{document}',
    "external entity": '<!DOCTYPE ClinicalDocument [<!ENTITY x SYSTEM "{url}">]>{document}',
    "parameter entity": '<!DOCTYPE ClinicalDocument [<!ENTITY % x SYSTEM "{url}"> %x;]>{document}',
    "stylesheet": '<?xml-stylesheet type="text/xsl" href="{url}"?>{document}',
    "XInclude": '{document}<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{url}" parse="text"/>',
    "reference": '{document}<component><nonXMLBody><text><reference value="{url}"/></text></nonXMLBody></component>',
}
DOCUMENT = (
    '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:schemaLocation="urn:hl7-org:v3 {url}"><title>&x;</title>'
)


@pytest.mark.parametrize("way", OUTSIDE)
@pytest.mark.parametrize("scheme", ["file", "http", "ftp", "plain"])
def test_what_a_document_points_at_is_never_fetched(way: str, scheme: str, tmp_path: Path) -> None:
    """libxml2 opens files and connections below the interpreter, where no audit sees it."""
    secret = tmp_path / "secret.txt"
    secret.write_text("never to be read")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"://127.0.0.1:{server.getsockname()[1]}/x"
        url = {"file": secret.as_uri(), "plain": str(secret)}.get(scheme, scheme + address)
        document = DOCUMENT if "entity" in way else DOCUMENT.replace("&x;", "x")
        data = OUTSIDE[way].format(url=url, document=document.format(url=url)) + "</ClinicalDocument>"
        try:
            assert b"never to be read" not in convert(data.encode(), patient_id="p1").encoded
        except InvalidInput as error:
            assert "DOCTYPE" in error.message
        with pytest.raises(BlockingIOError):
            server.accept()
