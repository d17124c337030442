"""The statements that write, and the rows each takes."""

from __future__ import annotations

from . import schema
from .sql import Flavour


class Mutations:
    """Compiled once per database; the order of a row's values is the order of the names here."""

    def __init__(self, flavour: Flavour) -> None:
        self.heads_new = flavour.insert(schema.resource)
        self.heads_updated = flavour.update(
            schema.resource, ("number", "seq", "at", "deleted", "patient"), {"rid": "rid", "expected": "number"}
        )
        self.belongs_removed = flavour.delete(schema.belongs, ("rid",))
        self.belongs_new = flavour.insert(schema.belongs)
        self.versions = flavour.insert(schema.version)
        self.keys_added = flavour.insert(schema.identity_key)
        self.keys_removed = flavour.delete(schema.identity_key, ("type", "kind", "system", "value", "rid"))
        self.identifiers_added = flavour.insert(schema.identifier)
        self.identifiers_removed = flavour.delete(schema.identifier, ("type", "system", "value", "rid"))
        self.records_new = flavour.insert(schema.record)
        self.records_updated = flavour.update(
            schema.record,
            ("remote_id", "rid", "state", "digest", "read_at", "revision"),
            {"record_id": "record_id", "expected": "revision"},
        )
        self.links_new = flavour.insert(schema.link)
        self.links_undone = flavour.update(schema.link, ("undone_at",), {"link_id": "link_id"})
        self.deliveries = flavour.upsert(
            schema.delivery,
            ("rid", "connector", "remote_id"),
            ("patient", "state", "attempt", "due_at", "want", "error", "at"),
        )
        self.claimed = flavour.update(schema.delivery, ("lease_until", "fence"), {"delivery_id": "delivery_id"})
        self.renewed = flavour.update(
            schema.delivery, ("lease_until",), {"delivery_id": "delivery_id", "held": "fence"}
        )
        self.settled = flavour.update(
            schema.delivery,
            ("remote_id", "state", "attempt", "due_at", "lease_until", "fence", "error", "at"),
            {"delivery_id": "delivery_id", "held": "fence"},
        )
        self.deliveries_made_due = flavour.update(
            schema.delivery, ("due_at",), {"delivery_id": "delivery_id", "before": "state"}
        )
        self.deliveries_replayed = flavour.update(
            schema.delivery,
            ("state", "attempt", "due_at", "error", "at"),
            {"delivery_id": "delivery_id", "before": "state"},
        )
        self.deliveries_removed = flavour.delete(schema.delivery, ("delivery_id",))
        self.messages_new = flavour.insert(schema.message)
        self.messages_updated = flavour.update(
            schema.message, ("state", "result", "error", "issues"), {"message_id": "message_id"}
        )
        self.audits = flavour.insert(schema.audit)
        self.conflicts_removed = flavour.delete(schema.conflict, ("rid",))
        self.conflicts_new = flavour.insert(schema.conflict)
        self.connectors = flavour.upsert(schema.connector, ("name",), ("config", "state", "at", "changed"))
        self.connector_states = flavour.update(schema.connector, ("state", "at", "changed"), {"name": "name"})
        self.secrets = flavour.upsert(schema.secret, ("connector", "name"), ("token",))
        self.locks_new = flavour.insert(schema.lock)
        self.locks_taken = flavour.update(schema.lock, ("fence", "until"), {"name": "name", "held": "fence"})
        self.principals_new = flavour.insert(schema.principal)
        self.principals_revoked = flavour.update(schema.principal, ("revoked_at",), {"principal_id": "principal_id"})
        self.principals_used = flavour.update(schema.principal, ("last_used",), {"principal_id": "principal_id"})
        self.secrets_removed = flavour.delete(schema.secret, ("connector", "name"))
        self.runs = flavour.upsert(
            schema.run, ("run_id",), ("state", "asked", "at", "finished_at", "cursor", "report", "error")
        )
        self.digests = flavour.upsert(schema.poll_digest, ("connector", "type", "remote_id"), ("digest",))
        self.healths = flavour.upsert(
            schema.health, ("connector",), tuple(column.name for column in schema.health.c if not column.primary_key)
        )
        self.requests_new = flavour.insert(schema.request)
        self.incidents = flavour.upsert(schema.incident, ("incident_id",), ("last_at", "closed_at", "count", "detail"))
        self.stops = flavour.upsert(schema.stopped, ("connector", "patient"), ("at",))
        self.stops_ended = flavour.delete(schema.stopped, ("connector", "patient"))
        self.subscribers = flavour.upsert(
            schema.subscriber, ("subscriber_id",), ("name", "connector", "config", "state", "at")
        )
        self.subscribers_moved = flavour.update(
            schema.subscriber, ("seq",), {"subscriber_id": "subscriber_id", "before": "seq"}
        )
        self.subscribers_removed = flavour.delete(schema.subscriber, ("subscriber_id",))
        self.outgoing_new = flavour.insert(schema.outgoing)
        self.outgoing_held = flavour.update(
            schema.outgoing, ("lease_until", "fence"), {"outgoing_id": "outgoing_id", "held": "fence"}
        )
        self.outgoing_told = flavour.update(
            schema.outgoing,
            ("state", "attempt", "due_at", "lease_until", "status", "error", "at"),
            {"outgoing_id": "outgoing_id"},
        )
        self.outgoing_removed = flavour.delete(schema.outgoing, ("subscriber_id",))
        self.requests = flavour.upsert(schema.request, ("request_id",), ("state", "result", "expires_at"))
