"""C-CDA documents through `POST /api/documents`, and the converter that keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.fhir.json import Resource

from .desk import Desk, bundle, decoded, patient

pytestmark = pytest.mark.anyio

FIXTURES = Path(__file__).parents[2] / "fixtures" / "ccda"
ARC = "2.25.59778615075790855151715354782056170808"
MRN = f"urn:oid:{ARC}.1"
CONVERT = "/convert/v1/ccda/to/fhir"

ACCEPTED = sorted(
    path.stem for path in FIXTURES.glob("*.xml") if path.stem not in ("doctype", "not-well-formed", "no-record-target")
)


def fixture(name: str) -> bytes:
    return (FIXTURES / f"{name}.xml").read_bytes()


def document(
    *ids: str,
    family: str = "Sample",
    given: str = "Ada",
    born: str = "19800222",
    time: str = "20240501120000-0500",
    status: str = "completed",
    phone: str = "",
) -> bytes:
    """A document with one problem; `ids`: `root^extension` of its patient, `root` alone, or `-` for a null one."""
    telecom = f'<telecom use="HP" value="tel:{phone}"/>' if phone else ""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="{ARC}.5" extension="written-{time}"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/>
<title>Summary</title><effectiveTime value="{time}"/>
<recordTarget><patientRole>{"".join(map(_id, ids))}{telecom}
<patient><name use="L"><given>{given}</given><family>{family}</family></name>
<administrativeGenderCode code="F" codeSystem="2.16.840.1.113883.5.1"/><birthTime value="{born}"/></patient>
</patientRole></recordTarget>
<component><structuredBody><component><section>
<templateId root="2.16.840.1.113883.10.20.22.2.5.1" extension="2015-08-01"/>
<code code="11450-4" codeSystem="2.16.840.1.113883.6.1"/><title>Problems</title><text>as told</text>
<entry><act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.3" extension="2015-08-01"/>
<id root="{ARC}.90" extension="concern-1"/><code code="CONC" codeSystem="2.16.840.1.113883.5.6"/>
<statusCode code="{status}"/><effectiveTime><low value="2019"/></effectiveTime>
<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN">
<templateId root="2.16.840.1.113883.10.20.22.4.4" extension="2015-08-01"/><id root="{ARC}.90" extension="problem-1"/>
<code code="55607006" codeSystem="2.16.840.1.113883.6.96"/><statusCode code="completed"/>
<effectiveTime><low value="2019"/></effectiveTime>
<value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96" displayName="Asthma"/>
</observation></entryRelationship></act></entry>
</section></component></structuredBody></component></ClinicalDocument>""".encode()


def _id(text: str) -> str:
    if text == "-":
        return '<id nullFlavor="UNK"/>'
    root, _, extension = text.partition("^")
    return f'<id root="{root}" extension="{extension}"/>' if extension else f'<id root="{root}"/>'


@pytest.fixture
async def clinic(desk: Desk) -> AsyncIterator[str]:
    """The key of one who sends documents; medical record numbers are a key system."""
    desk.connect({"name": "registrar", "profile": "intake", "push": False, "keySystems": [MRN]})
    yield desk.add_key("clinic", "clinic", "documents convert")


async def posted(desk: Desk, key: str, data: bytes) -> Resource:
    answer = await desk.document(data, key=key)
    assert answer.status_code == 200, answer.text
    return decoded(answer)


@pytest.mark.parametrize("name", ACCEPTED)
async def test_every_fixture_is_taken_and_again_changes_nothing(desk: Desk, clinic: str, name: str) -> None:
    first = await posted(desk, clinic, fixture(name))
    assert set(first) == {"patient", "message", "report", "issues"}
    person = await desk.read(f"/Patient/{first['patient']}")
    assert person["resourceType"] == "Patient" and person["identifier"]
    assert [one.message_id for one in desk.messages()] == [first["message"]]
    before = desk.sequence()
    again = await posted(desk, clinic, fixture(name))
    assert again["patient"] == first["patient"] and desk.sequence() == before
    for kind in desk.counts():
        for one in await desk.found(f"/{kind}?_count=1000"):
            answer = await desk.fhir("GET", f"/{kind}/{one['id']}")
            assert answer.status_code == 200


async def test_what_a_document_does_not_know_takes_nothing_away(desk: Desk, clinic: str) -> None:
    desk.connect({"name": "clinic", "profile": "intake", "push": False, "priority": 1})
    known = patient("Vandersea", (MRN, "MRN-0100"), name=[{"family": "Vandersea", "given": ["Noor"]}], gender="female")
    made = await desk.made_id(known)
    report = await posted(desk, clinic, fixture("minimal"))
    assert b'<administrativeGenderCode nullFlavor="UNK"/>' in fixture("minimal") and report["patient"] == made
    now = await desk.read(f"/Patient/{made}")
    assert (now["gender"], now["birthDate"]) == ("female", "1980-02-22")


async def test_a_known_patient_is_enriched(desk: Desk, clinic: str) -> None:
    made = await desk.made_id(
        patient("Example", (MRN, "MRN-0001"), name=[{"family": "Example", "given": ["Maria"]}], birthDate="1984-06-17")
    )
    report = await posted(desk, clinic, fixture("demo-ccd"))
    assert report["patient"] == made and desk.counts()["Patient"] == 1
    now = await desk.read(f"/Patient/{made}")
    assert {one["value"] for one in now["identifier"]} >= {"MRN-0001", "P-77-0001"}
    assert now["telecom"][0]["value"] and now["address"][0]["city"] == "Larkfield"
    allergies = await desk.found(f"/AllergyIntolerance?patient={made}")
    assert len(allergies) == 1 and allergies[0]["patient"]["reference"] == f"Patient/{made}"


async def test_the_original_is_kept_and_named_by_one_provenance(desk: Desk, clinic: str) -> None:
    import base64

    data = fixture("demo-ccd")
    report = await posted(desk, clinic, data)
    [reference] = await desk.found(f"/DocumentReference?patient={report['patient']}")
    attachment = reference["content"][0]["attachment"]
    binary = await desk.read("/" + attachment["url"])
    assert base64.b64decode(binary["data"]) == data and attachment["size"] == len(data)
    [provenance] = await desk.found("/Provenance")
    assert provenance["entity"][0]["what"]["identifier"]["value"] == report["message"]
    named = {one["reference"].partition("/_history/")[0] for one in provenance["target"]}
    assert {f"Patient/{report['patient']}", f"DocumentReference/{reference['id']}", attachment["url"]} <= named


async def test_an_older_document_after_a_newer_one_overwrites_nothing(desk: Desk, clinic: str) -> None:
    new = document(f"{ARC}.1^M-1", time="20240501120000-0500", phone="+1-202-555-0101", status="completed")
    old = document(f"{ARC}.1^M-1", time="20230501120000-0500", phone="+1-202-555-0199", status="active")
    made = (await posted(desk, clinic, new))["patient"]
    [problem] = await desk.found(f"/Condition?patient={made}")
    assert (await posted(desk, clinic, old))["patient"] == made
    now = await desk.read(f"/Patient/{made}")
    assert [one["value"] for one in now["telecom"]] == ["+1-202-555-0101"]
    [after] = await desk.found(f"/Condition?patient={made}")
    assert after == problem, "the entry of the newer document stands"
    newest = document(f"{ARC}.1^M-1", time="20250501120000-0500", phone="+1-202-555-0102", status="active")
    await posted(desk, clinic, newest)
    assert [one["value"] for one in (await desk.read(f"/Patient/{made}"))["telecom"]] == ["+1-202-555-0102"]
    [last] = await desk.found(f"/Condition?patient={made}")
    assert last["clinicalStatus"] != problem["clinicalStatus"]


async def test_a_document_of_a_time_to_come_does_not_stand_against_those_that_follow(desk: Desk, clinic: str) -> None:
    """2062 typed for 2026: what that document says is as old as the day on which it was received."""
    typed = document(f"{ARC}.1^M-1", time="20620501120000-0500", phone="+15550100", status="active")
    made = (await posted(desk, clinic, typed))["patient"]
    soon = f"{datetime.now(UTC) + timedelta(hours=1):%Y%m%d%H%M%S}+0000"
    right = document(f"{ARC}.1^M-1", time=soon, phone="+15550199", status="completed")
    assert (await posted(desk, clinic, right))["patient"] == made
    assert (await desk.read(f"/Patient/{made}"))["telecom"][0]["value"] == "+15550199"
    [problem] = await desk.found(f"/Condition?patient={made}")
    assert problem["clinicalStatus"]["coding"][0]["code"] == "inactive"


async def test_a_restated_entry_is_as_new_as_its_document(desk: Desk, clinic: str) -> None:
    first = document(f"{ARC}.1^M-1", time="20230101", status="completed")
    third = document(f"{ARC}.1^M-1", time="20250101", status="completed")
    second = document(f"{ARC}.1^M-1", time="20240101", status="active")
    made = (await posted(desk, clinic, first))["patient"]
    [problem] = await desk.found(f"/Condition?patient={made}")
    for data in (third, second):
        await posted(desk, clinic, data)
    assert await desk.found(f"/Condition?patient={made}") == [problem]


async def test_what_a_document_leaves_out_stays(desk: Desk, clinic: str) -> None:
    made = (await posted(desk, clinic, document(f"{ARC}.1^M-1", time="20230101", phone="+1-202-555-0101")))["patient"]
    await posted(desk, clinic, document(f"{ARC}.1^M-1", time="20240101"))
    assert (await desk.read(f"/Patient/{made}"))["telecom"][0]["value"] == "+1-202-555-0101"


SHARED = {
    "SSN": "2.16.840.1.113883.4.1^123-45-6789",
    "example arc": "2.16.840.1.113883.19.5^998991",
    "licence": "2.16.840.1.113883.4.3.36^D-1",
    "placeholder": f"{ARC}.2^UNKNOWN",
    "zeros": f"{ARC}.1^0000000",
    "an OID alone": f"{ARC}.2",
}


@pytest.mark.parametrize("shared", SHARED.values(), ids=SHARED)
async def test_two_people_whose_documents_share_a_number_stay_two(desk: Desk, clinic: str, shared: str) -> None:
    ada = document(shared, given="Ada")
    twin = document(shared, given="Bea")
    other = document(shared, given="Zoe", family="Zed", born="19500505")
    people = [(await posted(desk, clinic, data))["patient"] for data in (ada, twin, other)]
    assert len(set(people)) == 3
    again = [(await posted(desk, clinic, data))["patient"] for data in (ada, twin, other)]
    assert again == people, "the next export finds them"
    assert len(await desk.found("/Condition")) == 3, "equal entry ids, but never one resource for two people"


@pytest.mark.parametrize(("one", "other"), [("Ada", "Bea"), ("Baby Girl", "Baby Boy")])
async def test_twins_whose_documents_share_an_unlisted_number_are_not_merged(
    desk: Desk, clinic: str, one: str, other: str
) -> None:
    """A family's insurance number as the first id, nobody listed its system: the birth date is the twins' too."""
    made = await posted(desk, clinic, document(f"{ARC}.77^FAMILY-1", given=one))
    answer = await desk.document(document(f"{ARC}.77^FAMILY-1", given=other), key=clinic)
    assert answer.status_code == 409
    assert (await desk.read(f"/Patient/{made['patient']}"))["name"][0]["given"] == [one]


async def test_a_number_that_may_serve_wins_over_those_that_may_not(desk: Desk, clinic: str) -> None:
    ids = ("-", SHARED["SSN"], SHARED["example arc"], f"{ARC}.2^P-1")
    made = (await posted(desk, clinic, document(*ids)))["patient"]
    married = document(f"{ARC}.2^P-1", family="Married")
    assert (await posted(desk, clinic, married))["patient"] == made


async def test_two_clinics_with_the_same_number_are_two(desk: Desk, clinic: str) -> None:
    """The number is of no listed system, so it says nothing between senders but with name and birth date."""
    other = desk.add_key("other-clinic", "other-clinic", "documents")
    one = (await posted(desk, clinic, document(f"{ARC}.2^P-1")))["patient"]
    two = (await posted(desk, other, document(f"{ARC}.2^P-1", given="Zoe")))["patient"]
    same = (await posted(desk, other, document(f"{ARC}.2^P-1", given="Zoe")))["patient"]
    assert one != two and same == two
    assert len(await desk.found("/Condition")) == 2


async def test_a_contradiction_is_held(desk: Desk, clinic: str) -> None:
    made = (await posted(desk, clinic, document(f"{ARC}.1^M-1")))["patient"]
    before = desk.sequence()
    answer = await desk.document(document(f"{ARC}.1^M-1", given="Zoe", family="Zed", born="19500505"), key=clinic)
    assert answer.status_code == 409 and answer.headers["content-type"] == "application/problem+json"
    assert f"Patient/{made}" in answer.json()["detail"] and desk.sequence() == before
    [held] = desk.messages("held")
    assert held.kind == "document" and b"Zed" in held.body


async def test_a_document_for_a_deleted_patient_is_held(desk: Desk, clinic: str) -> None:
    made = (await posted(desk, clinic, document(f"{ARC}.1^M-1")))["patient"]
    assert (await desk.fhir("DELETE", f"/Patient/{made}")).status_code == 204
    answer = await desk.document(document(f"{ARC}.1^M-1", time="20250101"), key=clinic)
    assert answer.status_code == 409 and len(desk.messages("held")) == 1
    assert (await desk.fhir("GET", f"/Patient/{made}")).status_code == 410


REFUSED: dict[str, tuple[bytes, str, int]] = {
    "no recordTarget": (fixture("no-record-target"), "application/xml", 422),
    "not well-formed": (fixture("not-well-formed"), "application/xml", 400),
    "a DOCTYPE": (fixture("doctype"), "application/xml", 400),
    "empty": (b"", "application/xml", 400),
    "blank": (b" \n ", "application/xml", 400),
    "JSON": (b'{"resourceType":"Patient"}', "application/xml", 400),
    "other XML": (b"<Patient xmlns='http://hl7.org/fhir'/>", "application/xml", 400),
    "NUL": (b"<ClinicalDocument>\0</ClinicalDocument>", "application/xml", 400),
    "media type": (fixture("minimal"), "application/json", 415),
    "no media type": (fixture("minimal"), "", 415),
    "form": (fixture("minimal"), "multipart/form-data; boundary=x", 415),
    "unknown charset": (fixture("minimal"), "application/xml; charset=klingon", 415),
    "another charset": (fixture("minimal"), "application/xml; charset=iso-8859-1", 400),
    "declared EBCDIC": (b"<?xml version='1.0' encoding='cp037'?><ClinicalDocument/>", "application/xml", 400),
    "broken UTF-8": (fixture("minimal").replace(b"Noor", b"\xff\xfe"), "application/xml", 400),
    "billion laughs": (
        b"<!DOCTYPE a [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><ClinicalDocument>&b;</ClinicalDocument>",
        "application/xml",
        400,
    ),
    "deep": (b"<ClinicalDocument xmlns='urn:hl7-org:v3'>" + b"<component>" * 100_000, "application/xml", 400),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_used_is_refused_and_stores_nothing(desk: Desk, clinic: str, name: str) -> None:
    data, kind, status = REFUSED[name]
    for path in ("/api/documents", f"{CONVERT}?patientId=p1"):
        if name == "no recordTarget" and path != "/api/documents":
            continue
        answer = await desk.call("POST", path, data, key=clinic, kind=kind)
        assert answer.status_code == status, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert desk.counts() == {} and desk.messages() == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/xml",
        "text/xml",
        "application/hl7-v3+xml",
        "text/xml; charset=UTF-8",
        'Application/XML; charset="utf8"',
    ],
)
async def test_the_media_types_that_are_read(desk: Desk, clinic: str, kind: str) -> None:
    assert (await desk.document(fixture("minimal"), key=clinic, kind=kind)).status_code == 200


async def test_other_encodings_are_read(desk: Desk, clinic: str) -> None:
    text = document(f"{ARC}.1^M-1", family="Müller").decode()
    for encoding, declared in (("iso-8859-1", "ISO-8859-1"), ("utf-16", "UTF-16")):
        data = text.replace("UTF-8", declared).encode(encoding)
        made = (await posted(desk, clinic, data))["patient"]
        assert (await desk.read(f"/Patient/{made}"))["name"][0]["family"] == "Müller"
        kind = f"application/xml; charset={declared}"
        assert (await desk.document(data, key=clinic, kind=kind)).status_code == 200


async def test_over_the_limit_is_413_declared_or_not(desk: Desk, clinic: str) -> None:
    limit = desk.context.settings.max_bytes
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(2 * limit // 1_000_000):
            sent += 1_000_000
            yield b" " * 1_000_000

    headers = {"content-type": "application/xml", "authorization": f"Bearer {clinic}"}
    for path in ("/api/documents", f"{CONVERT}?patientId=p1"):
        sent = 0
        answer = await desk.client.post(path, content=chunks(), headers=headers)
        assert answer.status_code == 413
        answer = await desk.client.post(path, content=b"x", headers={**headers, "content-length": str(limit + 1)})
        assert answer.status_code == 413
    assert desk.messages() == []


async def test_an_embedded_pdf_of_eleven_megabytes_is_taken(desk: Desk, clinic: str) -> None:
    data = fixture("unstructured")
    start = data.index(b"<text", data.index(b"<nonXMLBody"))
    begin, end = data.index(b">", start) + 1, data.index(b"</text>", start)
    grown = data[:begin] + b"QUJD" * 2_800_000 + data[end:]
    report = await posted(desk, clinic, grown)
    assert (await desk.read(f"/Patient/{report['patient']}"))["name"][0]["family"] == "Copperthwaite"


# --- the converter ----------------------------------------------------------------------------------------------------


async def converted(desk: Desk, key: str, query: str, data: bytes) -> Any:
    return await desk.call("POST", f"{CONVERT}{query}", data, key=key, kind="application/xml")


async def test_converting_keeps_nothing_and_is_the_same_every_time(desk: Desk, clinic: str) -> None:
    data = fixture("full-ccd")
    first, second = [await converted(desk, clinic, "?patientId=p-1", data) for _ in "12"]
    assert first.status_code == 200 and first.content == second.content
    result = decoded(first)
    assert (result["resourceType"], result["type"]) == ("Bundle", "batch")
    assert all(one["request"]["method"] == "PUT" for one in result["entry"])
    [person] = [one["resource"] for one in result["entry"] if one["resource"]["resourceType"] == "Patient"]
    assert person["id"] == "p-1"
    other = decoded(await converted(desk, clinic, "?patientId=p-2", data))
    assert not {one["fullUrl"] for one in result["entry"]} & {one["fullUrl"] for one in other["entry"]}
    assert desk.counts() == {} and desk.messages() == [] and desk.sequence() == 0


async def test_the_form_of_the_bundle_is_the_callers_choice(desk: Desk, clinic: str) -> None:
    data = fixture("full-ccd")
    for form in ("document", "transaction"):
        assert decoded(await converted(desk, clinic, f"?patientId=p-1&form={form}", data))["type"] == form
    assert (await converted(desk, clinic, "?patientId=p-1&form=nonsense", data)).status_code == 400


async def test_a_document_of_a_day_is_assembled_when_the_caller_says(desk: Desk, clinic: str) -> None:
    data = fixture("minimal").replace(b"20260115103000-0500", b"20260115")
    query = "?patientId=p-1&form=document"
    assert (await converted(desk, clinic, query, data)).status_code == 422
    answer = decoded(await converted(desk, clinic, f"{query}&assembled=2026-01-16T08:00:00Z", data))
    assert (answer["type"], answer["timestamp"]) == ("document", "2026-01-16T08:00:00Z")
    assert (await converted(desk, clinic, f"{query}&assembled=today", data)).status_code == 400


async def test_what_was_not_understood_is_an_operation_outcome(desk: Desk, clinic: str) -> None:
    headers = {"Prefer": "return=OperationOutcome"}
    url, data = f"{CONVERT}?patientId=p-1", fixture("unknown-entries")
    answer = await desk.call("POST", url, data, key=clinic, kind="application/xml", headers=headers)
    told = decoded(answer)
    assert told["resourceType"] == "OperationOutcome"
    assert any(issue["code"] == "not-supported" and issue["expression"][0].startswith("/") for issue in told["issue"])


async def test_without_a_record_target_the_converter_gives_the_callers_patient(desk: Desk, clinic: str) -> None:
    answer = await converted(desk, clinic, "?patientId=p-1", fixture("no-record-target"))
    assert answer.status_code == 200
    [person] = [one["resource"] for one in decoded(answer)["entry"] if one["resource"]["resourceType"] == "Patient"]
    assert person["id"] == "p-1"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?patientId=",
        "?patientId=a%20b",
        "?patientId=a/b",
        "?patientId=" + "x" * 65,
        "?patientId=%00",
        "?patientId=..%2F..",
        "?patientId=ü",
        "?patientid=p1",
    ],
)
async def test_a_patient_id_that_is_none_is_400(desk: Desk, clinic: str, query: str) -> None:
    answer = await converted(desk, clinic, query, fixture("minimal"))
    assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"


async def test_what_the_converter_gives_can_be_posted(desk: Desk, clinic: str) -> None:
    """As a batch its PUTs name ids that nobody gave here: refused one by one, never a failure of the whole."""
    result = decoded(await converted(desk, clinic, "?patientId=p-1", fixture("demo-ccd")))
    answer = await desk.fhir("POST", "", bundle("batch", *result["entry"]))
    assert answer.status_code == 200
    assert {one["response"]["status"][:3] for one in decoded(answer)["entry"]} <= {"400", "405"}
