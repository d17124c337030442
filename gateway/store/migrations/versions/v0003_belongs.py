"""What belongs to several patients is found under each.

Revision ID: 0003
Revises: 0002
"""

import json
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ELEMENTS = {
    "Account": "subject",
    "Appointment": "participant",
    "Contract": "subject",
    "Provenance": "target",
    "Schedule": "actor",
}
LIVE = sa.text(
    "SELECT resource.seq, resource.rid, version.body FROM resource JOIN version ON version.seq = resource.seq"
    " WHERE resource.type = :type AND resource.seq > :after AND NOT resource.deleted ORDER BY resource.seq LIMIT 500"
)
NAMED = sa.text("SELECT rid, patient FROM resource WHERE type = :type AND id = :id")
PUT = sa.text("INSERT INTO belongs (rid, patient) VALUES (:rid, :patient)")


def upgrade() -> None:
    op.create_table(
        "belongs",
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.Column("patient", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("rid", "patient"),
        sqlite_with_rowid=False,
    )
    op.create_index("belongs_patient", "belongs", ["patient", "rid"], unique=False)
    for type_ in ELEMENTS:
        after = 0
        while page := op.get_bind().execute(LIVE, {"type": type_, "after": after}).all():
            rows = [{"rid": rid, "patient": one} for _, rid, body in page for one in _patients(type_, body)]
            if rows:
                op.get_bind().execute(PUT, rows)
            after = page[-1][0]


def downgrade() -> None:
    op.drop_table("belongs")


def _patients(type_: str, body: bytes) -> list[int | None]:
    """Whose it is, where they are several. Our own Provenance is that of the patients of all that it names."""
    resource = json.loads(bytes(body))
    is_ours = type_ == "Provenance" and _is_ours(resource)
    found: dict[int | None, None] = {}
    for name in _named(resource.get(ELEMENTS[type_])):
        kind, _, id_ = name.partition("/_history/")[0].partition("/")
        if id_ and (kind == "Patient" or is_ours):
            for rid, patient in op.get_bind().execute(NAMED, {"type": kind, "id": id_}):
                found[rid if kind == "Patient" else patient] = None
    found.pop(None, None)
    return list(found) if len(found) > 1 else []


def _named(value: object) -> Iterator[str]:
    for one in value if isinstance(value, list) else [value]:
        held = one.get("actor", one) if isinstance(one, dict) else None
        reference = held.get("reference") if isinstance(held, dict) else None
        if isinstance(reference, str):
            yield reference


def _is_ours(provenance: dict[str, object]) -> bool:
    entity = provenance.get("entity")
    what = entity[0].get("what", {}) if isinstance(entity, list) and entity else {}
    return str(what.get("identifier", {}).get("system", "")).endswith("/messages")
