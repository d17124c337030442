"""Scores a conversion against an example pair of HL7 C-CDA on FHIR: input, expected resource, every field of it.

A field is a leaf of HL7's output with its value. What we do not give equally has its reason in
docs/reference/ccda-pairs/differences.tsv: HL7's outputs have defects of their own, and fragments refer to what they
do not have.
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
from tests.conformance.ccda_starts import NAMESPACES

Resource = dict[str, Any]
Leaf = tuple[str, str]

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
NARRATIVE = {
    "Encounter1_type": "Office outpatient visit",
    "ImmunizationProduct_100": "Influenza virus vaccine",
    "_8a7ed342-967a-400e-88d5-2f8c2b7cdda0": "Wheal",
    "_dfcf353c-538f-498a-9a53-80dda209e456": "Excision of appendix",
    "_ea838e08-d5eb-4ed4-a176-e5f9a831a780": "Specific gravity of Urine by Test strip",
    "_panel1Name": "Urinanalysis macro (dipstick) panel",
}
"""The words of the narrative to which the fragments refer and that they do not have, as HL7's outputs have them."""

EVERY = "*"


@dataclass(frozen=True, slots=True)
class Score:
    """The fields of one expected resource, as `path=value`: those that ours has too, and the others."""

    name: str
    matched: list[str]
    missed: list[str]

    @property
    def share(self) -> float:
        return len(self.matched) / (len(self.matched) + len(self.missed))

    def __str__(self) -> str:
        return f"{self.name}: {self.share:.0%}" + "".join(f"\n  missed {miss}" for miss in self.missed)


def pairs(folder: Path) -> Iterator[tuple[str, bytes, Resource]]:
    """Name, whole document and expected resource of every pair whose input is a fragment; contained resources are
    pairs of their own."""
    for path in sorted(folder.glob("ig-*/*.xml")):
        expected = json.loads(path.with_suffix(".json").read_text(), parse_float=str)
        inner = expected.pop("contained", [])
        document = wrap(path.stem, path.read_text())
        for one in [expected, *inner]:
            yield (path.stem if one is expected else f"{path.stem}-{one['id']}"), document, one


def whole_document(folder: Path) -> Iterator[tuple[str, bytes, Resource]]:
    """The recommended output for one whole document, drafts among them."""
    document = (folder / "myra-jones" / "input.xml").read_bytes()
    for path in sorted(folder.glob("myra-jones/recommended/*.json")):
        yield path.stem, document, json.loads(path.read_text(), parse_float=str)["resource"]


def wrap(name: str, fragment: str) -> bytes:
    """A document around a fragment: as its recordTarget, else as the entry of the section that its name tells."""
    inner = re.sub(r"<\?xml[^>]*>|</?(ClinicalDocumentFragment|entry)\b[^>]*>", "", fragment).replace("...", "")
    if "<recordTarget" in inner:
        head, body = inner, ""
    else:
        code = next(code for word, code in SECTIONS.items() if word in name.lower())
        words = "".join(f'<content ID="{key}">{text}</content>' for key, text in NARRATIVE.items())
        head = PATIENT
        body = (
            f'<component><structuredBody><component><section><code code="{code}" codeSystem="2.16.840.1.113883.6.1"/>'
            f"<text>{words}</text><entry>{inner}</entry></section></component></structuredBody></component>"
        )
    return f"<ClinicalDocument {NAMESPACES}>{head}{body}</ClinicalDocument>".encode()


def score(name: str, document: bytes, expected: Resource) -> Score:
    """How much of the expected resource ours says: the best of our resources of that type."""
    bundle = convert(document, patient_id="pair").bundle
    wanted = [leaf for leaf in leaves(expected) if leaf[0] not in ("id", "resourceType")]
    ours = [r for r in (e["resource"] for e in bundle["entry"]) if r["resourceType"] == expected["resourceType"]]
    scores = [compare(name, wanted, resource) for resource in ours] or [
        Score(name, [], [f"{path}={value}" for path, value in wanted])
    ]
    return max(scores, key=lambda each: each.share)


def compare(name: str, wanted: list[Leaf], ours: Resource) -> Score:
    said = Counter((path, normal(path, value)) for path, value in leaves(ours))
    matched: list[str] = []
    missed: list[str] = []
    for path, value in wanted:
        key = (path, normal(path, value))
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


def normal(path: str, value: str) -> str:
    """Values that mean the same compare the same: words in any letter case, digits of numbers, spelling of an instant;
    a reference by what it refers to, as every converter makes its own ids."""
    if path.endswith("reference"):
        return "Observation" if value.startswith("#") else value.split("/")[0]
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)", value):
        return str(datetime.fromisoformat(value).timestamp())
    if re.fullmatch(r"-?\d+\.\d+", value):
        return value.rstrip("0").rstrip(".")
    return value.casefold()


def excused(missed: str, reasons: dict[str, str]) -> str | None:
    """The reason for which a field is not as HL7 has it: of exactly that value, of its path, or of all below a path."""
    path = missed.partition("=")[0]
    parts = path.split(".")
    below = [f"{'.'.join(parts[:depth])}.{EVERY}" for depth in range(1, len(parts) + 1)]
    return next((reasons[key] for key in (missed, f"{path}={EVERY}", *below) if key in reasons), None)
