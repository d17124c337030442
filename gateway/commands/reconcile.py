"""`gateway reconcile`: their side read, compared field by field, reported and, when asked, repaired."""

from __future__ import annotations

from gateway.commands.opening import log_apart
from gateway.reconciling.comparing import Difference
from gateway.settings import Settings

COLUMNS = ("difference", "resource", "there", "field", "why")
EMPTY = "No differences: they hold what they should, and nothing that is unknown here."


async def differences(settings: Settings, connector: str, *, repair: bool) -> list[Difference]:
    """Everything in which that system differs. Raises Missing for an unknown connector, PartnerError while it cannot
    be read."""
    from gateway.app import comparer

    log_apart()
    async with comparer(settings) as (comparing, directory):
        config = directory.peer(connector)
        return [one async for one in comparing.differences(config, repair=repair)]


def cells(one: Difference) -> tuple[object, ...]:
    """As COLUMNS: without values, which are patient data."""
    return (one.kind, one.resource or "new here", one.there, one.field, one.why)
