"""Reader: every read there is, in one transaction."""

from __future__ import annotations

from .health import Health
from .incidents import Incidents
from .partners import Partners
from .resources import Resources
from .search import Search
from .traffic import Traffic


class Reader(Resources, Search, Partners, Traffic, Health, Incidents):
    """What a query or a job may ask; every answer is of the same moment."""
