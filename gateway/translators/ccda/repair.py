"""What senders do to documents on the way, undone where the meaning is certain; every repair is told.

MIME around it, blanks before the declaration, an encoding that is not the declared one, prefixes that nobody declared.
What is left is not repaired: the document is refused with one error.
"""

from __future__ import annotations

import re
from binascii import Error as NotBase64
from binascii import a2b_base64
from codecs import BOM_UTF8, lookup
from collections.abc import Iterator
from quopri import decodestring

from .node import SDTC, V3

XSI = "http://www.w3.org/2001/XMLSchema-instance"

_ROOT = re.compile(rb"<(?:([A-Za-z_][\w.\-]{0,40}):)?ClinicalDocument(?=[\s>/])")
_DECLARATION = re.compile(rb"<\?xml\b[^>]{0,200}\?>")
_ENCODING = re.compile(rb"""\bencoding\s*=\s*["']([\w.\-]+)["']""")
_HEADER = re.compile(rb"(?:--|(?:MIME-Version|Content-[A-Za-z\-]+|Message-ID|Received|From|To|Subject|Date)\s*:)", re.I)
_BOUNDARY = re.compile(rb"""boundary\s*=\s*"?([^"\s;]{1,100})""", re.IGNORECASE)
_TRANSFER = re.compile(rb"^Content-Transfer-Encoding\s*:\s*([\w\-]+)", re.IGNORECASE | re.MULTILINE)
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
_C1 = re.compile(rb"[\x80-\x9f]")
_HIGH = re.compile(rb"[\x80-\xff]")
_NOT_WINDOWS = re.compile(
    rb"\xff\xfe|\xfe\xff|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
"""Characters that are UTF-8 after all, and the mark of UTF-16: a text of two encodings has no certain meaning."""

_WINDOWS = "windows-1252"
lookup(_WINDOWS)  # Python reads the table from a file at the first use; no conversion opens one

_LATIN = (b"iso-8859-1", b"iso8859-1", b"latin1", b"latin-1")
_ONE_BYTE = (*_LATIN, b"windows-1252", b"cp1252")
_AFTER = b"\0\x1a"
"""What ends a text where the sender keeps texts: NUL, and the end of a file of old."""

_PREFIXES = {b"xsi": XSI, b"sdtc": SDTC[1:-1]}

Repair = tuple[bytes, str | None]
"""The document, and what was done to it."""


def repairs(data: bytes) -> Iterator[tuple[bytes, list[str]]]:
    """The document as it may have been meant, with what was done: first its bytes set right, then with its prefixes
    declared as well. Nothing when nothing is certain."""
    done: list[str] = []
    for step in (_unwrapped, _without_what_surrounds_it, _read_as_meant):
        data, what = step(data)
        if what:
            done.append(what)
    if done:
        yield data, done
    data, what = _declared(data)
    if what:
        yield data, [*done, what]


def is_misread(data: bytes) -> bool:
    """Whether it says that each byte is a letter, and they are UTF-8, or control characters that windows-1252 has
    letters for. It parses all the same, so that nothing else would notice."""
    return _encoding(data[:300]) in _ONE_BYTE and _read_as_meant(data)[1] is not None


def _encoding(start: bytes) -> bytes | None:
    declaration = _DECLARATION.search(start)
    found = _ENCODING.search(declaration[0]) if declaration else None
    return found[1].lower() if found else None


def _unwrapped(data: bytes) -> Repair:
    """The one part of a MIME message that is a C-CDA document."""
    start = data.lstrip()
    if not _HEADER.match(start):
        return data, None
    parts = [inner for part in _parts(start) if b"ClinicalDocument" in (inner := _decoded(part))]
    return (parts[0], "taken out of a MIME message") if len(parts) == 1 else (data, None)


def _parts(message: bytes) -> list[bytes]:
    if message.startswith(b"--"):
        return message.split(message.split(None, 1)[0])
    blank = _BLANK_LINE.search(message)
    boundary = _BOUNDARY.search(message, 0, blank.start()) if blank else None
    return message.split(b"--" + boundary[1]) if boundary else [message]


def _decoded(part: bytes) -> bytes:
    part = part.lstrip()
    blank = _BLANK_LINE.search(part) if _HEADER.match(part) else None
    if blank is None:
        return part
    told = _TRANSFER.search(part, 0, blank.start())
    coding, body = told[1].lower() if told else b"", part[blank.end() :]
    if coding == b"base64":
        return _from_base64(body)
    return decodestring(body) if coding == b"quoted-printable" else body


def _from_base64(body: bytes) -> bytes:
    try:
        return a2b_base64(body)
    except NotBase64:
        return b""


def _without_what_surrounds_it(data: bytes) -> Repair:
    start = data.removeprefix(BOM_UTF8).lstrip().removeprefix(BOM_UTF8).lstrip()
    if len(start) != len(data) and start.startswith(b"<"):
        return start.rstrip(_AFTER), "what stood before the XML declaration is left out"
    if data.endswith((b"\0", b"\x1a")) and not data.startswith((b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")):
        return data.rstrip(_AFTER), "the control characters after its end are left out"
    return data, None


def _read_as_meant(data: bytes) -> Repair:
    """As UTF-8 though it says UTF-16; as windows-1252 where no byte makes sense as UTF-8. UTF-16 itself the parser
    finds out, whatever is declared."""
    declared = _encoding(data[:300]) or b"utf-8"
    if declared.startswith(b"utf-16"):
        return _rewritten(data, "utf-8")
    if declared in _ONE_BYTE:
        return _one_byte(data, declared)
    is_utf8 = declared in (b"utf-8", b"utf8", b"us-ascii", b"ascii")
    if is_utf8 and _HIGH.search(data):
        return _rewritten(data, _WINDOWS if not _NOT_WINDOWS.search(data) else "utf-8", declared)
    return data, None


def _one_byte(data: bytes, declared: bytes) -> Repair:
    """Letters that follow each other as UTF-8 has its bytes, all of them, never do so in a text of another encoding."""
    if _HIGH.search(data) and (read := _rewritten(data, "utf-8", declared))[1]:
        return read
    return _rewritten(data, _WINDOWS) if declared in _LATIN and _C1.search(data) else (data, None)


def _rewritten(data: bytes, name: str, declared: bytes = b"") -> Repair:
    if name == "utf-8" and declared in (b"utf-8", b"utf8"):
        return data, None
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return data, None
    return _DECLARATION.sub(b"", text.encode(), count=1).lstrip(), f"read as {name}, not as the declared encoding"


def _declared(data: bytes) -> Repair:
    """Prefixes that mean one thing in every CDA document, declared on its root."""
    root = _ROOT.search(data)
    if root is None:
        return data, None
    tag = data[root.start() : data.find(b">", root.end())]
    wanted = {prefix: uri for prefix, uri in _PREFIXES.items() if b"%b:" % prefix in data}
    if root[1]:
        wanted[root[1]] = V3[1:-1]
    missing = {prefix: uri for prefix, uri in wanted.items() if b"xmlns:%b" % prefix not in tag}
    added = b"".join(b' xmlns:%b="%b"' % (prefix, uri.encode()) for prefix, uri in missing.items())
    names = ", ".join(prefix.decode("ascii", "replace") for prefix in missing)
    said = f"prefixes that nobody declared: {names}" if missing else None
    return data[: root.end()] + added + data[root.end() :], said
