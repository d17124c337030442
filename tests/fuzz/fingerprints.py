"""What the documents become, as hashes, in this process; each converted twice, the second time touching nothing.

Run by the tests in processes of their own: `python -m tests.fuzz.fingerprints [--reversed] FILE...`.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from gateway.errors import InvalidInput
from gateway.translators.ccda import convert
from gateway.translators.ccda.bundles import FORMS
from tests.fuzz import alone

_SHORT = 20_000
"""Bytes; a longer document is converted to one of the forms only."""


def main(paths: list[str], *, backwards: bool) -> None:
    alone.install()
    documents = [(path, Path(path).read_bytes()) for path in (reversed(paths) if backwards else paths)]
    found: dict[str, str] = {}
    for path, data in documents:
        for form in FORMS if len(data) < _SHORT else FORMS[len(data) % len(FORMS) :][:1]:
            once = fingerprint(data, form)  # tables and schemas are loaded at their first use
            with alone.alone():
                assert fingerprint(data, form) == once, f"{path} as {form} differs the second time"
            found[f"{path} {form}"] = once
    json.dump(found, sys.stdout, sort_keys=True)


def fingerprint(data: bytes, form: str) -> str:
    """Of the Bundle, the report and the issues; of the refusal where there is one."""
    try:
        made = convert(data, patient_id="p1", form=form, timezone="-05:00", trace=True)
    except InvalidInput as error:
        return error.message
    rest = json.dumps([made.report, made.outcome(), made.patient_key, made.document_key], default=str)
    return hashlib.sha256(made.encoded + rest.encode()).hexdigest()


if __name__ == "__main__":
    main([one for one in sys.argv[1:] if one != "--reversed"], backwards="--reversed" in sys.argv)
