"""Fragments of a C-CDA R2.1 document as text: what the fixture generators put together."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

ARC = "2.25.59778615075790855151715354782056170808"

SYSTEMS = {
    "ln": "2.16.840.1.113883.6.1",
    "sct": "2.16.840.1.113883.6.96",
    "rx": "2.16.840.1.113883.6.88",
    "cvx": "2.16.840.1.113883.12.292",
    "icd": "2.16.840.1.113883.6.90",
    "cpt": "2.16.840.1.113883.6.12",
    "nci": "2.16.840.1.113883.3.26.1.1",
    "act": "2.16.840.1.113883.5.4",
    "class": "2.16.840.1.113883.5.6",
    "reason": "2.16.840.1.113883.5.8",
    "interpretation": "2.16.840.1.113883.5.83",
    "observation": "2.16.840.1.113883.5.1063",
}

Code = tuple[str, str, str]
"""System (a key of SYSTEMS), code, display."""


def coded(tag: str, code: Code, inner: str = "", *, kind: str = "") -> str:
    """A CD or CE element; `kind` is its xsi:type where the schema needs one."""
    system, value, display = code
    name = f" displayName={quoteattr(display)}" if display else ""
    return element(tag, inner, f'{xsi(kind)} code="{value}" codeSystem="{SYSTEMS[system]}"{name}')


def element(tag: str, inner: str, attributes: str = "") -> str:
    return f"<{tag}{attributes}>{inner}</{tag}>" if inner else f"<{tag}{attributes}/>"


def xsi(kind: str) -> str:
    return f' xsi:type="{kind}"' if kind else ""


def templates(root: str, date: str = "") -> str:
    """The identifiers of a template: the R1.1 form beside the dated one, if it has a date (C-CDA R2.1 §1.6)."""
    full = f"2.16.840.1.113883.10.20.{root}"
    plain = f'<templateId root="{full}"/>'
    return f'<templateId root="{full}" extension="{date}"/>{plain}' if date else plain


def identifier(arc: str, extension: str) -> str:
    return f'<id root="{ARC}.{arc}" extension="{extension}"/>'


def quantity(tag: str, value: str, unit: str = "", *, kind: str = "") -> str:
    """A PQ; without a unit the element has none, as C-CDA wants for counts of tablets."""
    return element(tag, "", f"{xsi(kind)} value={quoteattr(value)}" + (f" unit={quoteattr(unit)}" if unit else ""))


def interval(low: str = "", high: str = "", *, tag: str = "effectiveTime", kind: str = "") -> str:
    """An IVL_TS of the bounds that are known."""
    bounds = "".join(f'<{name} value="{value}"/>' for name, value in (("low", low), ("high", high)) if value)
    return element(tag, bounds, xsi(kind))


def reference(anchor: str) -> str:
    return f'<text><reference value="#{anchor}"/></text>'


def original(anchor: str) -> str:
    return f'<originalText><reference value="#{anchor}"/></originalText>'


def related(kind: str, inner: str, *, inverted: bool = False) -> str:
    mark = ' inversionInd="true"' if inverted else ""
    return f'<entryRelationship typeCode="{kind}"{mark}>{inner}</entryRelationship>'


def observation(inner: str, *, mood: str = "EVN") -> str:
    return f'<observation classCode="OBS" moodCode="{mood}">{inner}</observation>'


def entry(inner: str) -> str:
    return f'<entry typeCode="DRIV">{inner}</entry>'


def person(given: str, family: str) -> str:
    return f"<name><given>{escape(given)}</given><family>{escape(family)}</family></name>"


def author(time: str, npi: str, given: str, family: str) -> str:
    """Author Participation (C-CDA R2.1 2.16.840.1.113883.10.20.22.4.119)."""
    return (
        f'<author>{templates("22.4.119")}<time value="{time}"/><assignedAuthor>'
        f'<id root="2.16.840.1.113883.4.6" extension="{npi}"/>'
        f"<assignedPerson>{person(given, family)}</assignedPerson></assignedAuthor></author>"
    )


def table(headings: list[str], rows: list[tuple[str, list[str]]]) -> str:
    """Narrative of a section: one row an entry, the row and each of its cells with an id that entries can point to."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f'<tr ID="{anchor}">'
        + "".join(f'<td ID="{anchor}-{index}">{escape(cell)}</td>' for index, cell in enumerate(cells))
        + "</tr>"
        for anchor, cells in rows
    )
    return f'<table border="1"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def section(template: str, code: Code, title: str, narrative: str, entries: str = "") -> str:
    return (
        f"<component><section>{template}{coded('code', code)}<title>{escape(title)}</title>"
        f"<text>{narrative}</text>{entries}</section></component>"
    )
