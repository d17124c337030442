"""The code tables of the translator: data files with their source, read once at import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

_OID = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NO_LETTER = re.compile(r"[^A-Z0-9]")
_URI = re.compile(r"(?:https?://|urn:)[^\s\"<>^`{|}\\]+")


class Concept(NamedTuple):
    """One target of a concept map."""

    code: str
    display: str


def _rows(name: str) -> Iterator[list[str]]:
    for line in (files(__package__) / name).read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


def _concept_maps() -> dict[str, dict[str, Concept]]:
    maps: dict[str, dict[str, Concept]] = {}
    for name, source, target, display in _rows("concept-maps.tsv"):
        maps.setdefault(name, {})[source] = Concept(target, display)
    return maps


def _sections() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    codes: dict[str, str] = {}
    roots: dict[str, str] = {}
    titles: dict[str, str] = {}
    for code, others, templates, names in _rows("sections.tsv"):
        codes.update(dict.fromkeys([code, *others.split()], code))
        roots.update(dict.fromkeys(templates.split(), code))
        titles.update(dict.fromkeys(names.split("|"), code))
    return codes, roots, titles


SYSTEMS: dict[str, str] = {oid: uri for oid, uri, _ in _rows("systems.tsv")}
_NAMES: dict[str, str] = {name: uri for uri, names in _rows("system-names.tsv") for name in names.split()}
CONCEPTS = _concept_maps()
UNITS: dict[str, list[str]] = {kind: symbols.split() for kind, symbols in _rows("ucum.tsv")}
KIN = frozenset(code for _, codes in _rows("kin.tsv") for code in codes.split())
"""What somebody is to the patient, among the role codes of HL7."""
_LANGUAGES = {three: two for two, codes in _rows("languages.tsv") for three in codes.split()}
SECTION_CODES, SECTION_ROOTS, SECTION_TITLES = _sections()


@lru_cache(maxsize=4096)
def system_uri(root: str | None) -> str | None:
    """OID -> the URI that FHIR gave it, else `urn:oid:`; a UUID -> `urn:uuid:`; what is neither has no URI."""
    root = (root or "").strip()
    if root in SYSTEMS:
        return SYSTEMS[root]
    if _OID.fullmatch(root):
        return f"urn:oid:{root}"
    if _UUID.fullmatch(root):
        return f"urn:uuid:{root.lower()}"
    return root if _URI.fullmatch(root) else None


def language_tag(said: str | None) -> str | None:
    """A language as BCP 47 has it: two letters where there are two (RFC 5646 §2.2.1), as C-CDA R1.1 had three."""
    first, dash, rest = (said or "").partition("-")
    return f"{_LANGUAGES.get(first.lower(), first)}{dash}{rest}" or None


@lru_cache(maxsize=4096)
def code_system_uri(root: str | None) -> str | None:
    """Of a code: some write the name of its system (`ICD9CM`) where the OID belongs, or have the name alone."""
    return system_uri(root) or _NAMES.get(_NO_LETTER.sub("", (root or "").upper()))
