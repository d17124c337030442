"""Documents: a C-CDA as resources, and whose record it speaks about. Runs in a worker process, so it imports little."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from dataclasses import dataclass

from .ccda import Converted, convert
from .ccda.identity import identify

NAMESPACE = uuid.UUID("6f0f3f0e-3a3d-5c9c-9d0e-0f5b7f6f2b11")
"""Of the ids that are made from whose document it is."""


@dataclass(frozen=True, slots=True)
class Document:
    """A converted document and whose record it speaks about."""

    remote_id: str
    patient_id: str
    converted: Converted


def read(data: bytes, connector: str, secret: bytes, limit: int) -> Document:
    """Bytes -> resources, in a worker process. Without an id that may serve, a keyed hash of all ids with name and
    birth date names the record, without any id the document itself does: demographics never link by themselves."""
    identity = identify(data, limit=limit)
    ids = "\n".join((*identity.ids, identity.who)).encode() if identity.ids else b""
    remote_id = identity.key or (
        f"ids:{hmac.new(secret, ids, hashlib.sha256).hexdigest()}"
        if ids
        else f"document:{hashlib.sha256(data).hexdigest()}"
    )
    patient_id = str(uuid.uuid5(NAMESPACE, f"{connector}\n{remote_id}"))
    converted = convert(data, patient_id=patient_id, require_patient=True, stand_ins=False, limit=limit)
    return Document(remote_id, patient_id, converted)
