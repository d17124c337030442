"""Reader: every read there is, in one transaction."""

from __future__ import annotations

from .health import Health
from .incidents import Incidents
from .partners import Partners
from .repeats import Repeats
from .resources import Resources
from .runs import Runs
from .search import Search
from .traffic import Traffic


class Reader(Resources, Search, Partners, Traffic, Health, Incidents, Runs, Repeats):
    """What a query or a job may ask; every answer is of the same moment."""
