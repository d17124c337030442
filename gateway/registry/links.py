"""Links: an operator's word that a system no longer holds a resource of ours, where it only says that it finds none."""

from __future__ import annotations

from gateway.errors import AmbiguousMatch, InvalidInput, Missing
from gateway.planning.records import end_record
from gateway.store import AuditRow, Changes, ConnectorRow, LinkRow, Reader, Tx

_GIVEN_UP = ("rejected", "exhausted")


def end(tx: Tx, row: ConnectorRow, resource: str, there: str | None, by: str | None) -> LinkRow:
    """Its link is undone, as by a delete of theirs: nothing is sent to it any more, what it had said stays known.

    `resource`: `Type/id` here; `there`: their id, needed where they hold several. What was given up of it is tried
    again, and found to need nothing. Raises Missing, AmbiguousMatch.
    """
    link = _find(tx, row.name, resource, there)
    changes = Changes(audits=[AuditRow(tx.now, by, row.name, "D", "Link", resource, 200)])
    end_record(tx, changes, row.name, link.type, link.remote_id)
    tx.write(changes)
    orders = tx.deliveries_of([link.rid]).get(link.rid, ())
    own = [one for one in orders if (one.connector, one.remote_id) == (row.name, link.remote_id)]
    tx.replay([one for one in own if one.state in _GIVEN_UP])
    return link


def _find(reader: Reader, connector: str, resource: str, there: str | None) -> LinkRow:
    """The one link that is meant; what a FHIR client of the same connector was shown goes by our own id."""
    type_, mark, id_ = resource.partition("/")
    if not mark or not id_:
        raise InvalidInput("name the resource as Type/id, such as Patient/0199...", expression="resource")
    head = reader.heads([(type_, id_)]).get((type_, id_))
    links = reader.links([head.rid]).get(head.rid, []) if head else []
    own = [one for one in links if one.connector == connector and one.remote_id != id_]
    meant = [one for one in own if there in (None, one.remote_id)]
    if not meant:
        raise Missing(f"no copy of this resource at {connector} is linked to it" + (" by that id" if there else ""))
    if len(meant) > 1:
        raise AmbiguousMatch(f"{connector} holds {len(meant)} copies of this resource: say which of them")
    return meant[0]
