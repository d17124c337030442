"""The summary as a page to read: one HTML file without script, everything escaped."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, Template

from .rows import COLUMNS, Summary


@cache
def _template() -> Template:
    loader = PackageLoader("gateway.consolidated", "templates")
    return Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        "summary.html"
    )


def html(summary: Summary) -> bytes:
    return _template().render(summary=summary, columns=COLUMNS).encode()
