"""Writes fixtures/ccda/bench-ccd-150k.xml: a CCD of the size systems in the field send, every entry different.

Run `python tools/make_big_ccd.py`; the result is checked in and the same every time. The person is invented.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from big_ccd_rows import ALLERGIES, MEASURED, MEDICATIONS, PANELS, PROBLEMS, VACCINES, VITALS
from ccd_parts import (
    ARC,
    Code,
    author,
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

TARGET = Path(__file__).resolve().parent.parent / "fixtures" / "ccda" / "bench-ccd-150k.xml"
DONE = '<statusCode code="completed"/>'
ASSERTION = '<code code="ASSERTION" codeSystem="2.16.840.1.113883.5.4"/>'
CONCERN = '<code code="CONC" codeSystem="2.16.840.1.113883.5.6"/>'
WRITER = ("9990000041", "Severin", "Holloway")


def concern(template: str, arc: str, number: int, low: str, high: str, inner: str) -> str:
    state = "completed" if high else "active"
    return entry(
        f'<act classCode="ACT" moodCode="EVN">{template}{identifier(arc, f"C{number}")}{CONCERN}'
        f'<statusCode code="{state}"/>{interval(low, high)}{related("SUBJ", inner)}</act>'
    )


def status(code: Code) -> str:
    return related(
        "REFR",
        observation(
            templates("22.4.6", "2019-06-20")
            + coded("code", ("ln", "33999-4", "Status"))
            + DONE
            + coded("value", code, kind="CD")
        ),
    )


def problems() -> Iterator[str]:
    for number, (snomed, display, icd, icd_display, low, high) in enumerate(PROBLEMS, 1):
        translation = coded("translation", ("icd", icd, icd_display))
        state: Code = ("sct", "413322009", "Problem resolved") if high else ("sct", "55561003", "Active")
        yield concern(
            templates("22.4.3", "2015-08-01"),
            "7",
            number,
            low,
            high,
            observation(
                templates("22.4.4", "2015-08-01")
                + identifier("7", f"P{number}")
                + coded("code", ("sct", "64572001", "Condition"), coded("translation", ("ln", "75323-6", "Condition")))
                + reference(f"problem{number}")
                + DONE
                + interval(low, high)
                + coded("value", ("sct", snomed, display), original(f"problem{number}-0") + translation, kind="CD")
                + author(low, *WRITER)
                + status(state)
            ),
        )


def allergies() -> Iterator[str]:
    for number, (substance, kind, (finding, effect), degree, low) in enumerate(ALLERGIES, 1):
        severity = observation(
            templates("22.4.8", "2014-06-09")
            + '<code code="SEV" codeSystem="2.16.840.1.113883.5.4"/>'
            + DONE
            + coded("value", degree, kind="CD")
        )
        reaction = observation(
            templates("22.4.9", "2014-06-09")
            + identifier("8", f"R{number}")
            + ASSERTION
            + reference(f"allergy{number}-1")
            + DONE
            + coded("value", ("sct", finding, effect), kind="CD")
            + related("SUBJ", severity, inverted=True)
        )
        material = coded("code", substance, original(f"allergy{number}-0"))
        yield concern(
            templates("22.4.30", "2015-08-01"),
            "8",
            number,
            low,
            "",
            observation(
                templates("22.4.7", "2014-06-09")
                + identifier("8", f"A{number}")
                + ASSERTION
                + reference(f"allergy{number}")
                + DONE
                + interval(low)
                + coded("value", kind, kind="CD")
                + '<participant typeCode="CSM"><participantRole classCode="MANU"><playingEntity classCode="MMAT">'
                + f"{material}</playingEntity></participantRole></participant>"
                + related("MFST", reaction, inverted=True)
            ),
        )


def administration(template: str, arc: str, name: str, before: str, material: str, after: str = "") -> str:
    return entry(
        f'<substanceAdministration classCode="SBADM" moodCode="EVN">{template}{identifier(arc, name)}{before}'
        f'<consumable><manufacturedProduct classCode="MANU">{material}</manufacturedProduct></consumable>{after}'
        "</substanceAdministration>"
    )


def medications() -> Iterator[str]:
    for number, (rxnorm, display, low, high, period, unit, _) in enumerate(MEDICATIONS, 1):
        dosing = element(
            "effectiveTime",
            quantity("period", period, unit),
            ' xsi:type="PIVL_TS" institutionSpecified="true" operator="A"',
        )
        yield administration(
            templates("22.4.16", "2014-06-09"),
            "9",
            f"M{number}",
            reference(f"medication{number}-1")
            + f'<statusCode code="{"completed" if high else "active"}"/>'
            + interval(low, high, kind="IVL_TS")
            + dosing
            + coded("routeCode", ("nci", "C38288", "Oral Route of Administration"))
            + quantity("doseQuantity", "2" if number == 6 else "1"),
            templates("22.4.23", "2014-06-09")
            + element(
                "manufacturedMaterial", coded("code", ("rx", rxnorm, display), original(f"medication{number}-0"))
            ),
            author(low, *WRITER),
        )


def immunizations() -> Iterator[str]:
    for number, (cvx, display, when, lot) in enumerate(VACCINES, 1):
        material = coded("code", ("cvx", cvx, display)) + f"<lotNumberText>{lot}</lotNumberText>"
        yield administration(
            templates("22.4.52", "2015-08-01"),
            "10",
            f"I{number}",
            reference(f"vaccine{number}")
            + DONE
            + f'<effectiveTime value="{when}"/>'
            + coded("routeCode", ("nci", "C28161", "Intramuscular Route of Administration"))
            + quantity("doseQuantity", "0.5", "mL"),
            templates("22.4.54", "2014-06-09")
            + element("manufacturedMaterial", material)
            + "<manufacturerOrganization><name>Aldermoor Vaccines</name></manufacturerOrganization>",
        )


def organizer(template: str, kind: str, arc: str, name: str, code: str, when: str, inner: str) -> str:
    return entry(
        f'<organizer classCode="{kind}" moodCode="EVN">{template}{identifier(arc, name)}{code}{DONE}'
        f"{interval(when, when)}{inner}</organizer>"
    )


def flag(value: str, low: str, high: str) -> str:
    letter = "L" if float(value) < float(low) else "H" if float(value) > float(high) else "N"
    return coded("interpretationCode", ("interpretation", letter, {"L": "Low", "H": "High", "N": "Normal"}[letter]))


def results() -> Iterator[str]:
    for number, (panel, when, tests) in enumerate(PANELS, 1):
        inner = ""
        for index, (loinc, display, value, unit, low, high) in enumerate(tests):
            bounds = quantity("low", low, unit) + quantity("high", high, unit)
            inner += element(
                "component",
                observation(
                    templates("22.4.2", "2015-08-01")
                    + identifier("11", f"R{number}.{index}")
                    + coded("code", ("ln", loinc, display), original(f"result{number}.{index}-0"))
                    + reference(f"result{number}.{index}")
                    + DONE
                    + f'<effectiveTime value="{when}"/>'
                    + quantity("value", value, unit, kind="PQ")
                    + flag(value, low, high)
                    + element(
                        "referenceRange", element("observationRange", element("value", bounds, ' xsi:type="IVL_PQ"'))
                    )
                ),
            )
        template = templates("22.4.1", "2015-08-01")
        yield organizer(template, "BATTERY", "11", f"R{number}", coded("code", panel), when, inner)


def vitals() -> Iterator[str]:
    for number, (when, values) in enumerate(MEASURED, 1):
        inner = "".join(
            element(
                "component",
                observation(
                    templates("22.4.27", "2014-06-09")
                    + identifier("12", f"V{number}.{loinc}")
                    + coded("code", ("ln", loinc, display))
                    + DONE
                    + f'<effectiveTime value="{when}"/>'
                    + quantity("value", value, unit, kind="PQ")
                ),
            )
            for (loinc, display, unit), value in zip(VITALS, values, strict=True)
        )
        code = coded("code", ("sct", "46680005", "Vital signs"), coded("translation", ("ln", "74728-7", "Vital signs")))
        yield organizer(templates("22.4.26", "2015-08-01"), "CLUSTER", "12", f"V{number}", code, when, inner)


def body() -> str:
    return "".join(
        (
            section(
                templates("22.2.6.1", "2015-08-01"),
                ("ln", "48765-2", "Allergies and adverse reactions"),
                "Allergies",
                table(
                    ["Substance", "Reaction", "Severity"],
                    [(f"allergy{n}", [row[0][2], row[2][1], row[3][2]]) for n, row in enumerate(ALLERGIES, 1)],
                ),
                "".join(allergies()),
            ),
            section(
                templates("22.2.1.1", "2014-06-09"),
                ("ln", "10160-0", "History of Medication use Narrative"),
                "Medications",
                table(
                    ["Medicine", "Directions"],
                    [(f"medication{n}", [row[1], row[6]]) for n, row in enumerate(MEDICATIONS, 1)],
                ),
                "".join(medications()),
            ),
            section(
                templates("22.2.5.1", "2015-08-01"),
                ("ln", "11450-4", "Problem list - Reported"),
                "Problems",
                table(
                    ["Problem", "Since", "Until"],
                    [(f"problem{n}", [row[1], row[4], row[5]]) for n, row in enumerate(PROBLEMS, 1)],
                ),
                "".join(problems()),
            ),
            section(
                templates("22.2.2.1", "2015-08-01"),
                ("ln", "11369-6", "History of Immunization Narrative"),
                "Immunizations",
                table(
                    ["Vaccine", "Date", "Lot"],
                    [(f"vaccine{n}", [row[1], row[2], row[3]]) for n, row in enumerate(VACCINES, 1)],
                ),
                "".join(immunizations()),
            ),
            section(
                templates("22.2.3.1", "2015-08-01"),
                ("ln", "30954-2", "Relevant diagnostic tests/laboratory data Narrative"),
                "Results",
                table(
                    ["Test", "Value", "Unit", "Range"],
                    [
                        (f"result{n}.{index}", [test[1], test[2], test[3], f"{test[4]} to {test[5]}"])
                        for n, (_, _, tests) in enumerate(PANELS, 1)
                        for index, test in enumerate(tests)
                    ],
                ),
                "".join(results()),
            ),
            section(
                templates("22.2.4.1", "2015-08-01"),
                ("ln", "8716-3", "Vital signs"),
                "Vital signs",
                table(
                    ["Measured", *(display for _, display, _ in VITALS)],
                    [(f"vitals{n}", [when, *values]) for n, (when, values) in enumerate(MEASURED, 1)],
                ),
                "".join(vitals()),
            ),
        )
    )


def header() -> str:
    clinic = (
        f"{identifier('3', 'MILLBRAE')}<name>Millbrae Medical Group</name>"
        '<telecom use="WP" value="tel:+1(202)555-0160"/>'
        '<addr use="WP"><streetAddressLine>300 Station Parade</streetAddressLine><city>Millbrae Cross</city>'
        "<state>WI</state><postalCode>53999</postalCode><country>US</country></addr>"
    )
    return (
        '<realmCode code="US"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>'
        f"{templates('22.1.1', '2015-08-01')}{templates('22.1.2', '2015-08-01')}{identifier('5', 'BENCH-1')}"
        f"{coded('code', ('ln', '34133-9', 'Summarization of Episode Note'))}<title>Continuity of care document</title>"
        '<effectiveTime value="20250818162000-0400"/>'
        '<confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="en-US"/>'
        f"<recordTarget><patientRole>{identifier('1', 'MRN-0200')}"
        '<addr use="HP"><streetAddressLine>77 Orchard Terrace</streetAddressLine><city>Millbrae Cross</city>'
        "<state>WI</state><postalCode>53999</postalCode><country>US</country></addr>"
        '<telecom use="HP" value="tel:+1(202)555-0161"/><telecom use="MC" value="tel:+1(202)555-0162"/>'
        f'<patient><name use="L">{person("Leopold", "Winterbourne")[6:-7]}</name>'
        '<administrativeGenderCode code="M" codeSystem="2.16.840.1.113883.5.1" displayName="Male"/>'
        '<birthTime value="19510219"/>'
        '<maritalStatusCode code="W" codeSystem="2.16.840.1.113883.5.2" displayName="Widowed"/>'
        '<raceCode code="2106-3" codeSystem="2.16.840.1.113883.6.238" displayName="White"/>'
        '<ethnicGroupCode code="2186-5" codeSystem="2.16.840.1.113883.6.238" displayName="Not Hispanic or Latino"/>'
        '<languageCommunication><languageCode code="en-US"/></languageCommunication></patient>'
        f"<providerOrganization>{clinic}</providerOrganization></patientRole></recordTarget>"
        '<author><time value="20250818162000-0400"/><assignedAuthor>'
        f'<id root="2.16.840.1.113883.4.6" extension="{WRITER[0]}"/>'
        f"<assignedPerson>{person(WRITER[1], WRITER[2])}</assignedPerson>"
        f"<representedOrganization>{clinic}</representedOrganization></assignedAuthor></author>"
        "<custodian><assignedCustodian><representedCustodianOrganization>"
        f"{clinic}</representedCustodianOrganization></assignedCustodian></custodian>"
    )


def document() -> bytes:
    """The whole document, indented as exports are."""
    namespaces = (
        'xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    )
    text = (
        f"<ClinicalDocument {namespaces}>{header()}<component><structuredBody>{body()}</structuredBody></component>"
        "</ClinicalDocument>"
    )
    root = etree.fromstring(text.encode())
    etree.indent(root, space="  ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + etree.tostring(root, encoding="UTF-8") + b"\n"


if __name__ == "__main__":
    TARGET.write_bytes(document())
    print(f"{TARGET.name}: {len(document()) / 1000:.1f} kB, ids under {ARC}")
