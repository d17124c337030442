"""The last step, when all is valid R4: what US Core asks for beyond it, and the claim where a resource meets that."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.fhir.json import Resource

from .context import Context
from .profiles import profile_of
from .stand_ins import add_stand_ins


def complete(ctx: Context, *, person: bool) -> None:
    """`person`: the Patient too."""
    resources = [*_resources(ctx, person=person)]
    add_stand_ins(resources)
    for resource in resources:
        if profile := profile_of(resource):
            resource["meta"] = {**resource.get("meta", {}), "profile": [profile]}


def _resources(ctx: Context, *, person: bool) -> Iterator[Resource]:
    if person:
        yield ctx.person
    for made in ctx.made:
        yield made.body
