"""Scores a conversion against an example pair of HL7 C-CDA on FHIR: input fragment, expected resource, field by field.

The expected resources have defects of their own: EXCUSED names each one that is not scored, with the reason.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.translators.ccda import convert

Resource = dict[str, Any]
Leaf = tuple[str, str]

NAMESPACES = (
    'xmlns="urn:hl7-org:v3" xmlns:sdtc="urn:hl7-org:sdtc" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
PATIENT = (
    '<recordTarget><patientRole><id root="2.25.59778615075790855151715354782056170808.1" extension="PAIR"/><patient>'
    "<name><given>Pair</given><family>Example</family></name></patient></patientRole></recordTarget>"
)
SECTIONS = {
    "allerg": "48765-2",
    "encounter": "46240-8",
    "immunization": "11369-6",
    "problem": "11450-4",
    "procedure": "47519-4",
    "result": "30954-2",
    "social": "29762-2",
}

# Never scored: ids and references are ours, the rest is presentation that the mapping leaves free.
FREE = re.compile(
    r"(^|\.)(id|reference|language|meta\..*|text\.(div|status)|resourceType|unit)$"
    r"|^(name|address|contact\.name|contact\.address)\.text$|^_primarySource"
    r"|\._value\.extension\."  # quantity-precision: our decimals keep their zeros
    r"|^(clinicalStatus|verificationStatus|category|class)\..*display$|^contact\.relationship\.coding\.display$"
)
EXCUSED: dict[tuple[str, str], str] = {
    ("CF-problems-1", "onsetDate=2012-08-06"): "R4 has no onsetDate",
    ("CF-problems-1", "onsetAge.*"): "the fragment has a date of onset as well: R4 allows one of them",
    ("CF-results-1", "issued.extension.url=*"): "an object where R4 has an instant",
    ("CF-results-1", "issued.extension.valueCode=unknown"): "an object where R4 has an instant",
    ("CF-immunizations-1", "doseQuantity.system=http://unitofmeasure.org"): "misspelt: unitsofmeasure.org",
    ("CF-immunization", "vaccineCode.text=Influenza Virus Vaccine"): "its originalText points out of the fragment",
    ("CF-immunizations-1", "manufacturer.*"): "a display without a reference; ours is an Organization",
    (
        "CF-immunizations-1",
        "route.coding.system=http://ncithesaurus-stage.nci.nih.gov",
    ): "a staging host, not the system's URI",
    ("CF-patient-1", "identifier.system=urn:uuid:068f3166-5721-4d69-94ed-8278ff035b8a"): "system and value exchanged",
    ("CF-patient-1", "identifier.value=urn:ietf:rfc:3986"): "system and value exchanged",
    ("CF-social-1", "valueCodeableConcept.coding.system=http://www.snomed.org/"): "SNOMED CT is http://snomed.info/sct",
    (
        "CF-procedures-1",
        "code.coding.system=http://www.cms.gov/Medicare/Coding/ICD10",
    ): "the fragment says ICD-10-CM (2.16.840.1.113883.6.90)",
    (
        "CF-procedure",
        "code.coding.system=http://www.cms.gov/Medicare/Coding/ICD10",
    ): "the fragment says ICD-10-CM (2.16.840.1.113883.6.90)",
}


@dataclass(frozen=True, slots=True)
class Score:
    name: str
    matched: list[str]
    missed: list[str]

    @property
    def share(self) -> float:
        return len(self.matched) / (len(self.matched) + len(self.missed))

    def __str__(self) -> str:
        return f"{self.name}: {self.share:.0%}" + "".join(f"\n  missed {miss}" for miss in self.missed)


def pairs(folder: Path) -> Iterator[tuple[str, bytes, Resource]]:
    """Name, whole document and expected resource of every pair whose input is a fragment."""
    for path in sorted(folder.glob("ig-*/*.xml")):
        expected = json.loads(path.with_suffix(".json").read_text(), parse_float=str)
        document = wrap(path.stem, path.read_text())
        yield path.stem, document, {key: value for key, value in expected.items() if key != "contained"}
        for inner in expected.get("contained", []):
            yield f"{path.stem}-{inner['id']}", document, inner


def whole_document(folder: Path) -> Iterator[tuple[str, bytes, Resource]]:
    """The recommended output for one whole document, drafts left out."""
    document = (folder / "myra-jones" / "input.xml").read_bytes()
    for path in sorted(folder.glob("myra-jones/recommended/*.json")):
        if "draft" not in path.stem:
            yield path.stem, document, json.loads(path.read_text(), parse_float=str)["resource"]


def wrap(name: str, fragment: str) -> bytes:
    """A document around a fragment: as its recordTarget, else as the entry of the section that its name tells."""
    inner = re.sub(r"<\?xml[^>]*>|</?(ClinicalDocumentFragment|entry)\b[^>]*>", "", fragment).replace("...", "")
    if "<recordTarget" in inner:
        head, body = inner, ""
    else:
        code = next(code for word, code in SECTIONS.items() if word in name.lower())
        head = PATIENT
        body = (
            f'<component><structuredBody><component><section><code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>'
            f"<text/><entry>{inner}</entry></section></component></structuredBody></component>"
        )
    return f"<ClinicalDocument {NAMESPACES}>{head}{body}</ClinicalDocument>".encode()


def score(name: str, document: bytes, expected: Resource) -> Score:
    """How much of the expected resource ours says: the best of our resources of that type."""
    bundle = convert(document, patient_id="pair").bundle
    every = list(leaves(expected))
    wanted = [leaf for leaf in every if scored(name, leaf, document) and not repeated(leaf, every)]
    ours = [r for r in (e["resource"] for e in bundle["entry"]) if r["resourceType"] == expected["resourceType"]]
    scores = [compare(name, wanted, resource) for resource in ours] or [
        Score(name, [], [f"{p}={v}" for p, v in wanted])
    ]
    return max(scores, key=lambda each: each.share)


def compare(name: str, wanted: list[Leaf], ours: Resource) -> Score:
    said = Counter((path, normal(value)) for path, value in leaves(ours))
    matched: list[str] = []
    missed: list[str] = []
    for path, value in wanted:
        key = (path, normal(value))
        (matched if said[key] else missed).append(f"{path}={value}")
        said[key] -= 1
    return Score(name, matched, missed)


def leaves(node: Any, path: str = "") -> Iterator[Leaf]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, path)
    else:
        yield path, str(node)


def scored(name: str, leaf: Leaf, document: bytes) -> bool:
    path, value = leaf
    if FREE.search(path) or any(excuse in EXCUSED for excuse in excuses(name, path, value)):
        return False
    return not re.search(r"(^|\.)(display|text|valueString)$", path) or stands_in(document, value)


def stands_in(document: bytes, words: str) -> bool:
    """Whether the document itself says these words, as an attribute or as the text of an element."""
    said = re.sub(r"<!--.*?-->", "", document.decode(), flags=re.S).casefold()
    return f'"{words.casefold()}"' in said or f">{words.casefold()}<" in said


def repeated(leaf: Leaf, wanted: list[Leaf]) -> bool:
    """A concept's text that only repeats the display of its coding says nothing more; the pages write it or not."""
    path, value = leaf
    concept = path.removesuffix(".text")
    same = [v for p, v in wanted if p == f"{concept}.coding.display" and v.casefold() == value.casefold()]
    return path.endswith(".text") and bool(same)


def excuses(name: str, path: str, value: str) -> list[tuple[str, str]]:
    top = path.split(".")[0]
    return [(name, f"{path}={value}"), (name, f"{path}=*"), (name, f"{top}.*")]


def normal(value: str) -> str:
    """Values that mean the same compare the same: letter case of words, digits of numbers, spelling of an instant."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT.*", value):
        return str(datetime.fromisoformat(value).timestamp())
    if re.fullmatch(r"-?\d+\.\d+", value):
        return value.rstrip("0").rstrip(".")
    return value.casefold()
