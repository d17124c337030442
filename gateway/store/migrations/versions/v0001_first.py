"""The first schema.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
CLAIMABLE = sa.text("state IN ('due', 'unknown')")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("principal", KEY, nullable=True),
        sa.Column("connector", KEY, nullable=True),
        sa.Column("action", KEY, nullable=False),
        sa.Column("type", KEY, nullable=True),
        sa.Column("id", KEY, nullable=True),
        sa.Column("status", NUMBER, autoincrement=False, nullable=False),
        sa.Column("message_id", KEY, nullable=True),
        sa.Column("request_id", KEY, nullable=True),
        sa.PrimaryKeyConstraint("audit_id"),
    )
    op.create_table(
        "conflict",
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.Column("slot", KEY, nullable=False),
        sa.Column("connectors", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("rid", "slot"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "connector",
        sa.Column("name", KEY, nullable=False),
        sa.Column("connector_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("changed", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "counter",
        sa.Column("name", KEY, nullable=False),
        sa.Column("next", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "delivery",
        sa.Column("delivery_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.Column("remote_id", KEY, nullable=False),
        sa.Column("patient", NUMBER, autoincrement=False, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("attempt", NUMBER, autoincrement=False, nullable=False),
        sa.Column("due_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("lease_until", NUMBER, autoincrement=False, nullable=True),
        sa.Column("fence", NUMBER, autoincrement=False, nullable=True),
        sa.Column("want", NUMBER, autoincrement=False, nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("delivery_id"),
    )
    op.create_index(
        "delivery_due", "delivery", ["due_at"], unique=False, sqlite_where=CLAIMABLE, postgresql_where=CLAIMABLE
    )
    op.create_index(
        "delivery_group",
        "delivery",
        ["patient", "connector"],
        unique=False,
        sqlite_where=CLAIMABLE,
        postgresql_where=CLAIMABLE,
    )
    op.create_index("delivery_order", "delivery", ["rid", "connector", "remote_id"], unique=True)
    op.create_table(
        "identifier",
        sa.Column("type", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.Column("system", KEY, nullable=False),
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("type", "value", "system", "rid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "identity_key",
        sa.Column("type", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("system", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("type", "kind", "system", "value"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "link",
        sa.Column("link_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("remote_id", KEY, nullable=False),
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("undone_at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("link_id"),
    )
    op.create_index("link_live", "link", ["connector", "type", "remote_id", "undone_at"], unique=True)
    op.create_index("link_rid", "link", ["rid"], unique=False)
    op.create_table(
        "message",
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("principal", KEY, nullable=True),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("media_type", KEY, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("dedupe", KEY, nullable=True),
        sa.Column("state", KEY, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("issues", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index("message_dedupe", "message", ["connector", "dedupe"], unique=True)
    op.create_index(
        "message_state",
        "message",
        ["state", "message_id"],
        unique=False,
        sqlite_where=sa.text("state <> 'applied'"),
        postgresql_where=sa.text("state <> 'applied'"),
    )
    op.create_table(
        "principal",
        sa.Column("principal_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("revoked_at", NUMBER, autoincrement=False, nullable=True),
        sa.Column("last_used", NUMBER, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("principal_id"),
    )
    op.create_index("principal_key", "principal", ["key_hash"], unique=True)
    op.create_table(
        "record",
        sa.Column("record_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("remote_id", KEY, nullable=False),
        sa.Column("rid", NUMBER, autoincrement=False, nullable=True),
        sa.Column("revision", NUMBER, autoincrement=False, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("read_at", NUMBER, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("record_id"),
    )
    op.create_index("record_key", "record", ["connector", "type", "remote_id"], unique=True)
    op.create_index("record_rid", "record", ["rid"], unique=False)
    op.create_table(
        "resource",
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("id", KEY, nullable=False),
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("patient", NUMBER, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("rid"),
    )
    op.create_index("resource_id", "resource", ["type", "id"], unique=True)
    op.create_index("resource_patient", "resource", ["patient", "type"], unique=False)
    op.create_index("resource_seq", "resource", ["type", "seq"], unique=False)
    op.create_table(
        "secret",
        sa.Column("connector", KEY, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("token", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("connector", "name"),
    )
    op.create_table(
        "version",
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("rid", NUMBER, autoincrement=False, nullable=False),
        sa.Column("number", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("message_id", KEY, nullable=True),
        sa.Column("source", KEY, nullable=False),
        sa.Column("method", KEY, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("version_number", "version", ["rid", "number"], unique=True)
    op.execute("INSERT INTO counter (name, next) VALUES ('key', 1)")


def downgrade() -> None:
    op.drop_table("version")
    op.drop_table("secret")
    op.drop_table("resource")
    op.drop_table("record")
    op.drop_table("principal")
    op.drop_table("message")
    op.drop_table("link")
    op.drop_table("identity_key")
    op.drop_table("identifier")
    op.drop_table("delivery")
    op.drop_table("counter")
    op.drop_table("connector")
    op.drop_table("conflict")
    op.drop_table("audit")
