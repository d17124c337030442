"""Documents that were damaged on the way: read where the meaning is certain and told, else one clear error."""

from __future__ import annotations

from base64 import encodebytes
from quopri import encodestring

import pytest

from gateway.errors import Unparsable
from gateway.translators.ccda import Converted, convert
from tests.unit.translators.ccda.written import PATIENT, document, only

PLAIN = document(header=PATIENT.replace("Sample", "Müller–Lüdenscheid"))
TEXT = PLAIN.decode()
BARE = TEXT.partition("?>")[2].lstrip()


def read(data: bytes) -> Converted:
    return convert(data, patient_id="p1")


def told(result: Converted) -> list[str]:
    return [issue.diagnostics for issue in result.issues if issue.code == "structure"]


def family(result: Converted) -> str:
    return str(only(result, "Patient")["name"][0]["family"])


MULTIPART = b"""MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="sep"

--sep
Content-Type: text/plain

Please see the attached summary.
--sep
Content-Type: text/xml
Content-Transfer-Encoding: %b

%b
--sep--
"""


@pytest.mark.parametrize(
    ("data", "repair"),
    [
        (b"\r\n  " + PLAIN, "before the XML declaration"),
        (b"\xef\xbb\xbf\n" + PLAIN, "before the XML declaration"),
        (PLAIN.decode().encode("windows-1252"), "windows-1252"),
        (TEXT.replace('"UTF-8"', '"ISO-8859-1"').encode("windows-1252"), "windows-1252"),
        (TEXT.replace('"UTF-8"', '"us-ascii"').encode(), "utf-8"),
        (TEXT.replace('"UTF-8"', '"utf-16"').encode(), "utf-8"),
        (MULTIPART % (b"base64", encodebytes(PLAIN)), "MIME"),
        (MULTIPART % (b"quoted-printable", encodestring(PLAIN)), "MIME"),
        (MULTIPART % (b"8bit", PLAIN), "MIME"),
        (MULTIPART.partition(b"\n\n")[2] % (b"8bit", PLAIN), "MIME"),
        (b"Content-Type: text/xml\r\n\r\n" + PLAIN, "MIME"),
        (MULTIPART.replace(b"multipart/mixed;", b"multipart/related;\r\n\t") % (b"BASE64", encodebytes(PLAIN)), "MIME"),
        (b"From: a@b.example\r\nContent-Type: text/xml\r\n\r\n" + PLAIN + b"\r\n", "MIME"),
        (TEXT.replace('"UTF-8"', '"ISO-8859-1"').encode(), "utf-8"),
        (TEXT.replace('"UTF-8"', '"windows-1252"').encode(), "utf-8"),
        (TEXT.replace('"UTF-8"', '"windows-1252"').encode("windows-1252"), ""),
        (PLAIN + b"\0", "after its end"),
        (PLAIN + b"\r\n\x1a", "after its end"),
        (b"\t" + PLAIN + b"\0", "before the XML declaration"),
        (TEXT.replace("<ClinicalDocument ", "<ClinicalDocument lang:en='' ").replace("lang:en=''", "").encode(), ""),
    ],
)
def test_what_is_certain_is_read_and_told(data: bytes, repair: str) -> None:
    result = read(data)

    assert family(result) == "Müller–Lüdenscheid"
    assert [repair in one for one in told(result)] == ([True] if repair else [])


@pytest.mark.parametrize("name", ["utf-8-sig", "utf-8", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("declared", ["UTF-8", "UTF-16"])
def test_what_the_bytes_say_counts(name: str, declared: str) -> None:
    assert family(read(TEXT.replace("UTF-8", declared).encode(name))) == "Müller–Lüdenscheid"


def test_a_byte_order_mark_is_nothing_wrong() -> None:
    assert told(read(b"\xef\xbb\xbf" + PLAIN)) == []


def test_prefixes_of_cda_need_no_declaration() -> None:
    header = PATIENT.replace("</patient>", '<sdtc:deceasedInd value="true"/></patient>')
    data = document(header=header).decode()
    for prefix in ("sdtc", "xsi"):
        start = data.index(f" xmlns:{prefix}=")
        data = data[:start] + data[data.index('"', start + len(prefix) + 10) + 1 :]

    result = read(data.encode())

    assert only(result, "Patient")["deceasedBoolean"] is True
    assert told(result) == ["prefixes that nobody declared: sdtc"]


def test_a_prefix_that_is_declared_where_it_is_used_is_no_repair() -> None:
    """What was wrong is told, and nothing else."""
    data = TEXT.replace(' xmlns:sdtc="urn:hl7-org:sdtc"', "", 1)
    within = '<sdtc:deceasedInd xmlns:sdtc="urn:hl7-org:sdtc" value="true"/></patient>'

    result = read(("\n" + data.replace("</patient>", within)).encode())

    assert only(result, "Patient")["deceasedBoolean"] is True
    assert told(result) == ["what stood before the XML declaration is left out"]


def test_several_things_at_once_are_all_told() -> None:
    start = TEXT.index(" xmlns:xsi=")
    data = "\n" + TEXT[:start] + TEXT[TEXT.index('"', start + 12) + 1 :].replace("<title>", '<title xsi:type="ST">')

    result = read(MULTIPART % (b"base64", encodebytes(data.encode("windows-1252"))))

    assert family(result) == "Müller–Lüdenscheid"
    wanted = ("MIME", "before the XML declaration", "windows-1252", "xsi")
    assert all(part in one for part, one in zip(wanted, told(result), strict=True))


def test_a_letter_that_only_looks_like_utf_8_in_part_stays() -> None:
    """As soon as one byte is none of UTF-8, the declared encoding holds."""
    text = TEXT.replace('"UTF-8"', '"ISO-8859-1"').replace("Müller–Lüdenscheid", "Ã¼ and ü")
    assert family(read(text.encode("iso-8859-1"))) == "Ã¼ and ü"


def test_a_prefix_on_every_element_is_hl7_v3() -> None:
    body = '<cda:ClinicalDocument><cda:recordTarget><cda:patientRole><cda:id root="1.2" extension="7"/>'
    result = read(f"{body}</cda:patientRole></cda:recordTarget></cda:ClinicalDocument>".encode())

    assert only(result, "Patient")["identifier"][0]["value"] == "7"
    assert told(result) == ["prefixes that nobody declared: cda"]


@pytest.mark.parametrize(
    "data",
    [
        PLAIN.replace(b"<title>", b"<odd:title>").replace(b"</title>", b"</odd:title>"),
        PLAIN.replace(b"Summary", b"Summary \xfc"),
        document().replace(b"Summary", b"\xff\xfe"),
        PLAIN.replace(b"</title>", b""),
        b"see below\n" + PLAIN,
        MULTIPART % (b"base64", encodebytes(PLAIN)[:-40] + b"!"),
        MULTIPART % (b"8bit", PLAIN + b"\n--sep\n\n" + PLAIN),
        b"Content-Type: text/xml\r\n\r\n<!DOCTYPE x [<!ENTITY a 'b'>]>" + BARE.encode(),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]>" + BARE).encode("utf-16-le"),
    ],
)
def test_what_is_not_certain_is_one_error(data: bytes) -> None:
    with pytest.raises(Unparsable):
        read(data)


def test_a_repaired_document_is_the_document() -> None:
    whole = read(PLAIN)

    assert read(b"\n" + PLAIN).encoded == whole.encoded
    assert read(MULTIPART % (b"base64", encodebytes(PLAIN))).encoded == whole.encoded
