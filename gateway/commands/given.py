"""What a command is given in a file or on standard input.

What somebody is or suffers from does not belong on the command line: every user of the machine sees it there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

STDIN = "-"


def json_of(file: str) -> Any:
    """The JSON in a file or on standard input. Raises Unparsable."""
    from gateway.fhir import json

    return json.decode(sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes())


def line() -> str:
    """One line of standard input."""
    return sys.stdin.readline().strip()
