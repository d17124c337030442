"""`gateway serve`: one server process."""

from __future__ import annotations

import structlog
import uvicorn

from gateway import telemetry
from gateway.app import create
from gateway.commands.bounded import BoundedProtocol
from gateway.settings import Settings
from gateway.store import open_store

log = structlog.get_logger(__name__)

_GRACE = 10
"""Seconds that requests under way have to finish when the server is told to stop."""


def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM. No access log: a URL may hold an identifier; the audit has every access.

    Raises GatewayError when the database or its key cannot be used: said in one line before anything starts.
    """
    open_store(settings).close()
    telemetry.configure(settings.log_level)
    if settings.is_elsewhere:
        log.warning(
            "the addresses we hand out have another port: set GATEWAY_PUBLIC_URL", public_url=settings.public_url
        )
    uvicorn.run(
        create(settings),
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who a proxy says is calling
        timeout_graceful_shutdown=_GRACE,
    )
