"""Whose document it is, before it is converted: the ids of its patient name the record that it speaks about."""

from __future__ import annotations

from dataclasses import dataclass

from .document import MAX_BYTES, parse
from .node import Node
from .patient import patient_key


@dataclass(frozen=True, slots=True)
class Identity:
    """`key`: the document's own id for its patient, None when it has none that may serve; `ids`: all of them."""

    key: str | None
    ids: tuple[str, ...]


def identify(data: bytes, *, limit: int = MAX_BYTES) -> Identity:
    """The patient ids of a document. Raises Unparsable and TooLarge like `convert`."""
    document = Node(parse(data, [], limit=limit))
    role = next((found for target in document.nodes("recordTarget") if (found := target.node("patientRole"))), None)
    ids = [
        f"{one.get('root')}^{one.get('extension', '')}" for one in (role.all("id") if role else ()) if one.get("root")
    ]
    return Identity(patient_key(role), tuple(sorted(ids)))
