"""Whose document it is, before it is converted: the ids of its patient name the record that it speaks about."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.identity.agree import fold
from gateway.identity.keys import never

from .document import MAX_BYTES, parse
from .node import Element, Node
from .values import URI, identifier


@dataclass(frozen=True, slots=True)
class Identity:
    """`key`: the document's own id for its patient, None when it has none that may serve; `ids`: all of them; `who`:
    name and birth date, which tell apart those who share ids that may not serve (a family's insurance number)."""

    key: str | None
    ids: tuple[str, ...]
    who: str


def identify(data: bytes, *, limit: int = MAX_BYTES) -> Identity:
    """The patient ids of a document. Raises Unparsable and TooLarge like `convert`."""
    document = Node(parse(data, [], limit=limit))
    role = next((found for target in document.nodes("recordTarget") if (found := target.node("patientRole"))), None)
    ids = [one for one in (role.all("id") if role else ()) if one.get("root")]
    key = next((_name(one) for one in ids if _may_serve(one)), None)
    return Identity(key, tuple(sorted(map(_name, ids))), _who(role.node("patient")) if role else "")


def _name(id_: Element) -> str:
    return f"{id_.get('root')}^{id_.get('extension', '')}"


def _may_serve(id_: Element) -> bool:
    """No social security number, no placeholder, no example: what may be a key, listed or not. An OID alone names
    who numbers the patients, not the patient."""
    found = identifier(id_)
    if not found or (found.get("system") == URI and not str(found["value"]).startswith("urn:uuid:")):
        return False
    return never({"system": "", **found}) is None


def _who(person: Node | None) -> str:
    if person is None:
        return ""
    name = next((fold("".join(str(part) for part in one.itertext())) for one in person.all("name")), "")
    birth = person.get("birthTime")
    return f"{name}\n{(birth.get('value') or '')[:8] if birth is not None else ''}"
