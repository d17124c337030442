"""Connectors at work, and those whom we tell.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
CLAIMABLE = sa.text("state IN ('due', 'unknown')")
DEAD = sa.text("state IN ('rejected', 'exhausted')")
OUTSTANDING = sa.text("state IN ('due', 'unknown', 'exhausted')")
OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    op.drop_index("delivery_due", "delivery")
    op.create_index(
        "delivery_due",
        "delivery",
        ["connector", "due_at", "delivery_id"],
        unique=False,
        sqlite_where=CLAIMABLE,
        postgresql_where=CLAIMABLE,
    )
    op.create_index(
        "delivery_dead",
        "delivery",
        ["connector", "delivery_id"],
        unique=False,
        sqlite_where=DEAD,
        postgresql_where=DEAD,
    )
    op.create_table(
        "health",
        sa.Column("connector", KEY, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("since", NUMBER, autoincrement=False, nullable=False),
        sa.Column("failures", NUMBER, autoincrement=False, nullable=False),
        sa.Column("open_until", NUMBER, autoincrement=False, nullable=True),
        sa.Column("last_sync_at", NUMBER, autoincrement=False, nullable=True),
        sa.Column("last_success_at", NUMBER, autoincrement=False, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("registration", KEY, nullable=True),
        sa.PrimaryKeyConstraint("connector"),
    )
    op.create_table(
        "incident",
        sa.Column("incident_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("cause", KEY, nullable=False),
        sa.Column("opened_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("last_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("closed_at", NUMBER, autoincrement=False, nullable=True),
        sa.Column("count", NUMBER, autoincrement=False, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id"),
    )
    op.create_index(
        "incident_open",
        "incident",
        ["connector", "cause"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_table(
        "stopped",
        sa.Column("connector", KEY, nullable=False),
        sa.Column("patient", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("connector", "patient"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run",
        sa.Column("run_id", KEY, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("mode", KEY, nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("dry", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("started_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("finished_at", NUMBER, autoincrement=False, nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index(
        "run_connector",
        "run",
        ["connector", "started_at"],
        unique=False,
    )
    op.create_table(
        "poll_digest",
        sa.Column("connector", KEY, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("remote_id", KEY, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("connector", "type", "remote_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lock",
        sa.Column("name", KEY, nullable=False),
        sa.Column("fence", NUMBER, autoincrement=False, nullable=False),
        sa.Column("until", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "subscriber",
        sa.Column("subscriber_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("connector", KEY, nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("subscriber_id"),
    )
    op.create_index(
        "subscriber_name",
        "subscriber",
        ["name"],
        unique=True,
    )
    op.create_table(
        "outgoing",
        sa.Column("outgoing_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("subscriber_id", NUMBER, autoincrement=False, nullable=False),
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("type", KEY, nullable=False),
        sa.Column("patient", NUMBER, autoincrement=False, nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("state", KEY, nullable=False),
        sa.Column("attempt", NUMBER, autoincrement=False, nullable=False),
        sa.Column("due_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("lease_until", NUMBER, autoincrement=False, nullable=True),
        sa.Column("fence", NUMBER, autoincrement=False, nullable=False),
        sa.Column("status", NUMBER, autoincrement=False, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("outgoing_id"),
    )
    op.create_index(
        "outgoing_event",
        "outgoing",
        ["subscriber_id", "event_id"],
        unique=True,
    )
    op.create_index(
        "outgoing_open",
        "outgoing",
        ["subscriber_id", "outgoing_id"],
        unique=False,
        sqlite_where=OUTSTANDING,
        postgresql_where=OUTSTANDING,
    )
    op.create_index(
        "outgoing_order",
        "outgoing",
        ["subscriber_id", "outgoing_id"],
        unique=False,
    )
    op.create_table(
        "request",
        sa.Column("request_id", KEY, nullable=False),
        sa.Column("kind", KEY, nullable=False),
        sa.Column("principal", KEY, nullable=False),
        sa.Column("subject", KEY, nullable=True),
        sa.Column("state", KEY, nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("result", sa.LargeBinary(), nullable=True),
        sa.Column("at", NUMBER, autoincrement=False, nullable=False),
        sa.Column("expires_at", NUMBER, autoincrement=False, nullable=True),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index(
        "request_subject",
        "request",
        ["kind", "principal", "subject"],
        unique=False,
    )


def downgrade() -> None:
    op.drop_index("delivery_dead", "delivery")
    op.drop_index("delivery_due", "delivery")
    op.create_index(
        "delivery_due", "delivery", ["due_at"], unique=False, sqlite_where=CLAIMABLE, postgresql_where=CLAIMABLE
    )
    op.drop_table("stopped")
    for table in ("request", "outgoing", "subscriber", "lock", "poll_digest", "run", "incident", "health"):
        op.drop_table(table)
