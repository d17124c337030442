"""Writes fixtures/ccda/personas: for each persona of Metriport's sandbox a C-CDA, three PDFs and two pictures.

Run `python tools/make_personas.py`; what the personas have is in personas.json there, the results are checked in and
the same every time.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ccd_parts import (
    coded,
    element,
    entry,
    identifier,
    interval,
    observation,
    original,
    person,
    quantity,
    reference,
    related,
    section,
    table,
    templates,
)
from lxml import etree

FOLDER = Path(__file__).resolve().parent.parent / "fixtures" / "ccda" / "personas"
DONE = '<statusCode code="completed"/>'
ASSERTION = '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>'
CONCERN = '<code code="CONC" codeSystem="2.16.840.1.113883.5.6"/>'
VITALS = {
    "8480-6": ("Systolic blood pressure", "mm[Hg]"),
    "8462-4": ("Diastolic blood pressure", "mm[Hg]"),
    "29463-7": ("Body weight", "kg"),
}
SEX = {"F": "Female", "M": "Male"}
LETTERS = ("Referral letter", "Discharge summary", "Care plan")

Facts = dict[str, Any]


def ts(day: str) -> str:
    """A FHIR date as an HL7 TS, as precise as it is."""
    return day.replace("-", "")


class Persona:
    """One persona's document."""

    def __init__(self, name: str, facts: Facts) -> None:
        self.name = name
        self.facts = facts

    def id(self, arc: str, number: object) -> str:
        return identifier(arc, f"{self.name.upper()}-{number}")

    def concern(self, template: str, arc: str, number: int, since: str, inner: str) -> str:
        return entry(
            f'<act classCode="ACT" moodCode="EVN">{templates(template, "2015-08-01")}{self.id(arc, f"C{number}")}'
            f'{CONCERN}<statusCode code="active"/>{interval(ts(since))}{related("SUBJ", inner)}</act>'
        )

    def conditions(self) -> Iterator[str]:
        for number, one in enumerate(self.facts["conditions"], 1):
            code: tuple[str, str, str] = ("sct", one["sct"], one["display"])
            translation = coded("translation", ("icd", one["icd"], one["display"]))
            problem = observation(
                templates("22.4.4", "2015-08-01")
                + self.id("7", f"P{number}")
                + coded("code", ("sct", "64572001", "Condition"), coded("translation", ("ln", "75323-6", "Condition")))
                + reference(f"problem{number}")
                + DONE
                + interval(ts(one["since"]))
                + coded("value", code, original(f"problem{number}-0") + translation, kind="CD")
            )
            yield self.concern("22.4.3", "7", number, one["since"], problem)

    def allergies(self) -> Iterator[str]:
        for number, one in enumerate(self.facts["allergies"], 1):
            reaction = observation(
                templates("22.4.9", "2014-06-09")
                + self.id("8", f"R{number}")
                + ASSERTION
                + reference(f"allergy{number}-1")
                + DONE
                + coded("value", ("sct", *one["reaction"]), kind="CD")
            )
            material = coded("code", ("rx", one["rx"], one["display"]), original(f"allergy{number}-0"))
            allergy = observation(
                templates("22.4.7", "2014-06-09")
                + self.id("8", f"A{number}")
                + ASSERTION
                + reference(f"allergy{number}")
                + DONE
                + interval(ts(one["since"]))
                + coded("value", ("sct", "416098002", "Allergy to drug"), kind="CD")
                + '<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">'
                + f"{material}</playingEntity></participantRole></participant>"
                + related("MFST", reaction, inverted=True)
            )
            yield self.concern("22.4.30", "8", number, one["since"], allergy)

    def medications(self) -> Iterator[str]:
        for number, one in enumerate(self.facts["medications"], 1):
            period = quantity("period", one["hours"], "h")
            every = element("effectiveTime", period, ' xsi:type="PIVL_TS" institutionSpecified="true" operator="A"')
            material = coded("code", ("rx", one["rx"], one["display"]), original(f"medication{number}-0"))
            product = templates("22.4.23", "2014-06-09") + element("manufacturedMaterial", material)
            yield self.administration(
                templates("22.4.16", "2014-06-09")
                + self.id("9", f"M{number}")
                + reference(f"medication{number}")
                + '<statusCode code="active"/>'
                + interval(ts(one["since"]), kind="IVL_TS")
                + every
                + coded("routeCode", ("nci", "C38288", "Oral Route of Administration"))
                + quantity("doseQuantity", one["dose"], one["unit"]),
                product,
            )

    def immunizations(self) -> Iterator[str]:
        for number, one in enumerate(self.facts["immunizations"], 1):
            material = element("manufacturedMaterial", coded("code", ("cvx", one["cvx"], one["display"])))
            yield self.administration(
                templates("22.4.52", "2015-08-01")
                + self.id("10", f"I{number}")
                + reference(f"vaccine{number}")
                + DONE
                + f'<effectiveTime value="{ts(one["at"])}"/>',
                templates("22.4.54", "2014-06-09") + material,
            )

    def administration(self, before: str, product: str) -> str:
        return entry(
            f'<substanceAdministration classCode="SBADM" moodCode="EVN">{before}<consumable>'
            f'<manufacturedProduct classCode="MANU">{product}</manufacturedProduct></consumable>'
            "</substanceAdministration>"
        )

    def results(self) -> Iterator[str]:
        for number, panel in enumerate(self.facts["results"], 1):
            inner = "".join(
                element("component", self.result(f"{number}.{at}", panel["at"], test))
                for at, test in enumerate(panel["tests"], 1)
            )
            yield self.organizer("22.4.1", "BATTERY", ("11", f"R{number}"), panel["panel"], panel["at"], inner)

    def result(self, number: str, at: str, test: Facts) -> str:
        bounds = quantity("low", test["low"], test["unit"]) + quantity("high", test["high"], test["unit"])
        normal = element("observationRange", element("value", bounds, ' xsi:type="IVL_PQ"'))
        return observation(
            templates("22.4.2", "2015-08-01")
            + self.id("11", f"R{number}")
            + coded("code", ("ln", test["ln"], test["display"]), original(f"result{number}-0"))
            + reference(f"result{number}")
            + DONE
            + f'<effectiveTime value="{ts(at)}"/>'
            + quantity("value", test["value"], test["unit"], kind="PQ")
            + element("referenceRange", normal)
        )

    def organizer(self, template: str, kind: str, ids: tuple[str, str], panel: list[str], at: str, inner: str) -> str:
        code = coded("code", ("ln", *panel))
        return entry(
            f'<organizer classCode="{kind}" moodCode="EVN">{templates(template, "2015-08-01")}{self.id(*ids)}{code}'
            f"{DONE}{interval(ts(at), ts(at))}{inner}</organizer>"
        )

    def vitals(self) -> Iterator[str]:
        for number, one in enumerate(self.facts["vitals"], 1):
            inner = "".join(
                element(
                    "component",
                    observation(
                        templates("22.4.27", "2014-06-09")
                        + self.id("12", f"V{number}.{loinc}")
                        + coded("code", ("ln", loinc, VITALS[loinc][0]))
                        + DONE
                        + f'<effectiveTime value="{ts(one["at"])}"/>'
                        + quantity("value", value, VITALS[loinc][1], kind="PQ")
                    ),
                )
                for loinc, value in one["values"].items()
            )
            panel = ["85353-1", "Vital signs panel"]
            yield self.organizer("22.4.26", "CLUSTER", ("12", f"V{number}"), panel, one["at"], inner)

    def encounters(self) -> Iterator[str]:
        for number, one in enumerate(self.facts["encounters"], 1):
            code = '<code code="99213" codeSystem="2.16.840.1.113883.6.12" displayName="Office visit, established"/>'
            yield entry(
                f'<encounter classCode="ENC" moodCode="EVN">{templates("22.4.49", "2015-08-01")}'
                f"{self.id('13', f'E{number}')}{code}{reference(f'encounter{number}')}"
                f"{interval(ts(one['at']), ts(one['end']))}</encounter>"
            )

    def body(self) -> str:
        facts = self.facts
        tests = [
            (f"result{n}.{at}", [test["display"], test["value"], test["unit"]])
            for n, panel in enumerate(facts["results"], 1)
            for at, test in enumerate(panel["tests"], 1)
        ]
        return "".join(
            (
                self.section("22.2.6.1", "48765-2", "Allergies", ["display", "since"], "allergies", "allergy"),
                self.section("22.2.1.1", "10160-0", "Medications", ["display", "dose", "unit"], "medications"),
                self.section("22.2.5.1", "11450-4", "Problems", ["display", "since"], "conditions", "problem"),
                self.section("22.2.2.1", "11369-6", "Immunizations", ["display", "at"], "immunizations", "vaccine"),
                section(
                    templates("22.2.3.1", "2015-08-01"),
                    ("ln", "30954-2", "Results"),
                    "Results",
                    table(["test", "value", "unit"], tests),
                    "".join(self.results()),
                ),
                section(
                    templates("22.2.4.1", "2015-08-01"),
                    ("ln", "8716-3", "Vital signs"),
                    "Vital signs",
                    table(
                        ["measured", *(VITALS[loinc][0] for loinc in facts["vitals"][0]["values"])],
                        [(f"vitals{n}", [v["at"], *v["values"].values()]) for n, v in enumerate(facts["vitals"], 1)],
                    ),
                    "".join(self.vitals()),
                ),
                self.section("22.2.22.1", "46240-8", "Encounters", ["reason", "at"], "encounters"),
            )
        )

    def section(self, template: str, loinc: str, title: str, columns: list[str], kind: str, anchor: str = "") -> str:
        anchor = anchor or kind.removesuffix("s")
        rows = [(f"{anchor}{n}", [one[column] for column in columns]) for n, one in enumerate(self.facts[kind], 1)]
        date = "2014-06-09" if kind == "medications" else "2015-08-01"
        entries: Iterator[str] = getattr(self, kind)()
        return section(templates(template, date), ("ln", loinc, title), title, table(columns, rows), "".join(entries))

    def header(self) -> str:
        patient, address = self.facts["patient"], self.facts["patient"]["address"][0]
        written = ts(self.facts["encounters"][0]["at"])
        clinic = f"{identifier('3', 'HOLLIN')}<name>Hollin Reach Clinic</name>" + (
            '<telecom use="WP" value="tel:+1(202)555-0170"/>'
            '<addr use="WP"><streetAddressLine>9 Tiller Row</streetAddressLine><city>Hollin Reach</city>'
            "<state>DE</state><postalCode>19999</postalCode><country>US</country></addr>"
        )
        sex = patient["genderAtBirth"]
        return (
            '<realmCode code="US"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>'
            f"{templates('22.1.1', '2015-08-01')}{templates('22.1.2', '2015-08-01')}{self.id('5', 'CCD')}"
            f"{coded('code', ('ln', '34133-9', 'Summarization of Episode Note'))}"
            f"<title>{escape(self.name)}: {escape(self.facts['story'])}</title>"
            f'<effectiveTime value="{written}120000+0000"/>'
            '<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="en-US"/>'
            f"<recordTarget><patientRole>{self.id('14', 'MRN')}"
            f'<addr use="HP"><streetAddressLine>{escape(address["addressLine1"])}</streetAddressLine>'
            f"<city>{escape(address['city'])}</city><state>{address['state']}</state>"
            f"<postalCode>{address['zip']}</postalCode><country>US</country></addr>"
            f'<patient><name use="L">{person(patient["firstName"], patient["lastName"])[6:-7]}</name>'
            f'<administrativeGenderCode code="{sex}" codeSystem="2.16.840.1.113883.5.1" displayName="{SEX[sex]}"/>'
            f'<birthTime value="{ts(patient["dob"])}"/></patient></patientRole></recordTarget>'
            f'<author><time value="{written}120000+0000"/><assignedAuthor>'
            '<id root="2.16.840.1.113883.4.6" extension="9990000051"/>'
            f"<assignedPerson>{person('Imelda', 'Farrow')}</assignedPerson>"
            f"<representedOrganization>{clinic}</representedOrganization></assignedAuthor></author>"
            "<custodian><assignedCustodian><representedCustodianOrganization>"
            f"{clinic}</representedCustodianOrganization></assignedCustodian></custodian>"
        )

    def document(self) -> bytes:
        names = (
            'xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        )
        body = f"<component><structuredBody>{self.body()}</structuredBody></component>"
        root = etree.fromstring(f"<ClinicalDocument {names}>{self.header()}{body}</ClinicalDocument>".encode())
        etree.indent(root, space="  ")
        return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, encoding="UTF-8") + b"\n"


def pdf(lines: list[str]) -> bytes:
    """A page with these lines of text (PDF 1.4)."""
    text = "".join(f"({line}) Tj T* " for line in lines)
    stream = f"BT /F1 12 Tf 16 TL 72 760 Td {text}ET"
    parts = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        "/Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{part}\nendobj\n"
    table_ = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(parts) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table_}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return f"{out}{end}startxref\n{len(out)}\n%%EOF\n".encode("ascii")


def png(seed: int, side: int = 48) -> bytes:
    """A grey pattern, different for each seed (PNG 1.2)."""
    rows = b"".join(b"\x00" + bytes((x * seed + y * (seed + 3)) % 256 for x in range(side)) for y in range(side))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def files() -> Iterator[tuple[str, bytes]]:
    """Every file with its name."""
    personas: dict[str, Facts] = json.loads((FOLDER / "personas.json").read_text())
    for number, (name, facts) in enumerate(personas.items(), 1):
        stem, patient = name.lower(), facts["patient"]
        yield f"{stem}.xml", Persona(name, facts).document()
        for at, title in enumerate(LETTERS, 1):
            lines = [title, f"{patient['firstName']} {patient['lastName']}, born {patient['dob']}", facts["story"]]
            yield f"{stem}-{at}.pdf", pdf(lines)
        for at in (1, 2):
            yield f"{stem}-{at}.png", png(number * 7 + at)


if __name__ == "__main__":
    for file, data in files():
        (FOLDER / file).write_bytes(data)
        print(f"{file}: {len(data)} bytes")
