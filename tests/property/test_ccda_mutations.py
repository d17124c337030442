"""Whatever a document is turned into, converting it gives a sound Bundle or one of the project's input errors."""

from __future__ import annotations

import re
from base64 import encodebytes
from collections.abc import Callable
from pathlib import Path
from quopri import encodestring

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidInput
from gateway.fhir import gate
from gateway.translators.ccda import convert
from gateway.translators.ccda.bundles import FORMS
from tests.conftest import ROOT, shared_files

FOLDER = ROOT / "fixtures" / "ccda"
PATHS: list[Path] = [*sorted(FOLDER.glob("*.xml")), *shared_files("ccda/docs/hl7-*.xml")[:4]]
DOCUMENTS = [path.read_bytes() for path in PATHS if path.stat().st_size < 160_000]
TAGS = re.compile(rb"<[^<>]*>")
ATTRIBUTES = re.compile(rb'\s[A-Za-z:]+="[^"]*"')
JUNK = [b"", b"\x00", b"<", b"&", b"\xff", b"]]>", b'nullFlavor="UNK"', b"1e999", b"-", b"9" * 60, b"\xed\xa0\x80"]


def sound(data: bytes, form: str = "batch") -> None:
    try:
        result = convert(data, patient_id="p1", form=form, trace=form != "batch")
    except InvalidInput:
        return
    assert gate.check(result.bundle) == []
    assert result.encoded


forms = st.sampled_from(FORMS)
documents = st.sampled_from(DOCUMENTS)
MAIL = b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n"
DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda data: b"\xef\xbb\xbf \n" + data,
    lambda data: data.decode("utf-8", "replace").encode("windows-1252", "replace"),
    lambda data: data.decode("utf-8", "replace").encode("utf-16"),
    lambda data: data.replace(b'"UTF-8"', b'"ISO-8859-1"', 1),
    lambda data: data.replace(b'"UTF-8"', b'"utf-16"', 1),
    lambda data: re.sub(rb"\sxmlns(:\w+)?=", rb" was\1=", data, count=2),
    lambda data: MAIL + b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(data) + b"--x--\r\n",
    lambda data: MAIL + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encodestring(data) + b"--x--\r\n",
]
mutation = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@mutation
@given(documents, st.data())
def test_bytes_replaced(document: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(document)))
    length = data.draw(st.integers(0, 200))
    sound(document[:at] + data.draw(st.sampled_from(JUNK) | st.binary(max_size=20)) + document[at + length :])


@mutation
@given(documents, st.data())
def test_attributes_lost_or_changed(document: bytes, data: st.DataObject) -> None:
    """Still well-formed: what is read is wrong, not how it is written."""
    found = list(ATTRIBUTES.finditer(document))
    for one in sorted(data.draw(st.lists(st.sampled_from(found), max_size=30)), key=lambda one: -one.start()):
        name = one[0].strip().partition(b"=")[0]
        if not name.startswith(b"xmlns"):
            text = data.draw(st.sampled_from([b"", b"0", b"-1", b"x y", b"99999999", b"2.16.840.1.113883.6.1", b"#"]))
            kept = b" " + name + b'="' + text + b'"' if data.draw(st.booleans()) else b""
            document = document[: one.start()] + kept + document[one.end() :]
    sound(document, data.draw(forms))


@mutation
@given(documents, st.data())
def test_elements_repeated_or_emptied(document: bytes, data: st.DataObject) -> None:
    found = [one for one in TAGS.finditer(document) if one[0].endswith(b"/>")]
    for one in sorted(data.draw(st.lists(st.sampled_from(found), max_size=20)), key=lambda one: -one.start()):
        times = data.draw(st.sampled_from([0, 2, 3]))
        document = document[: one.start()] + one[0] * times + document[one.end() :]
    sound(document)


@mutation
@given(documents, st.data())
def test_damaged_on_the_way(document: bytes, data: st.DataObject) -> None:
    """Encodings, mail and lost declarations, one on top of the other, and a bit of damage to the whole."""
    for damage in data.draw(st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3)):
        document = damage(document)
    at = data.draw(st.integers(0, len(document)))
    sound(document[:at] + data.draw(st.sampled_from([b"", b"", *JUNK])) + document[at:], data.draw(forms))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    sound(data)
