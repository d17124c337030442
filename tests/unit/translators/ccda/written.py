"""C-CDA documents written for a test: as little as the test is about."""

from __future__ import annotations

from typing import Any

from gateway.translators.ccda import Converted, convert

Resource = dict[str, Any]

PATIENT = """<recordTarget><patientRole><id root="1.2.3.4" extension="mrn-1"/>
<patient><name use="L"><given>Ada</given><family>Sample</family></name>
<administrativeGenderCode code="F"/><birthTime value="19800222"/></patient></patientRole></recordTarget>"""


def document(*sections: str, header: str = PATIENT, time: str = "20240501120000-0500") -> bytes:
    body = "".join(f"<component>{section}</component>" for section in sections)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<id root="9.8.7" extension="doc-1"/><code code="34133-9" codeSystem="2.16.840.1.113883.6.1"/><title>Summary</title>
<effectiveTime value="{time}"/>{header}<component><structuredBody>{body}</structuredBody></component>
</ClinicalDocument>""".encode()


def section(code: str, *entries: str, text: str = "<text>as told</text>", title: str = "A section") -> str:
    held = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return (
        f'<section><code code="{code}" codeSystem="2.16.840.1.113883.6.1"/><title>{title}</title>{text}{held}</section>'
    )


def converted(*sections: str, **options: Any) -> Converted:
    header = options.pop("header", PATIENT)
    return convert(document(*sections, header=header), patient_id=options.pop("patient_id", "p1"), **options)


def of_type(result: Converted, *kinds: str) -> list[Resource]:
    return [entry["resource"] for entry in result.bundle["entry"] if entry["resource"]["resourceType"] in kinds]


def only(result: Converted, kind: str) -> Resource:
    found = of_type(result, kind)
    assert len(found) == 1, [entry["request"]["url"] for entry in result.bundle["entry"]]
    return found[0]


def codes(concept: Resource) -> list[tuple[str | None, str]]:
    return [(coding.get("system"), coding["code"]) for coding in concept["coding"]]
