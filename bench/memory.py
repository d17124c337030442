"""Memory of the process tree (PSS) after 10,000 Bundles, the conversion pool idle."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import inputs
from bench.client import request, run
from bench.server import gateway
from bench.transactions import CLIENTS, Figure

_PART = 500


def measure(bundles: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name, gateway(Path(name)) as server:
        document = Path("fixtures/ccda/bench-ccd-150k.xml").read_bytes()
        convert = request("POST", "/convert/v1/ccda/to/fhir?patientId=1", server.key, document)
        run(server.port, [convert.replace(b"application/fhir+json", b"application/xml")], 1)
        for start in range(0, bundles, _PART):
            posts = [request("POST", "/fhir", server.key, inputs.bundle(start + at)) for at in range(_PART)]
            run(server.port, posts, CLIENTS)
            print(f"  {start + _PART} Bundles: {server.pss() / 1e6:.0f} MB", flush=True)
        used = server.pss() / 1e6
        yield Figure(f"memory after {bundles} Bundles, MB", f"{used:.0f}", "<= 250", used <= 250)
