"""The last step, when all is valid R4: what US Core asks for beyond it, and the claim where a resource meets that."""

from __future__ import annotations

from functools import cache

from gateway.fhir.json import Resource

from .context import Context
from .patient import CORE
from .profiles import profile_of
from .stand_ins import add_stand_ins


def complete(ctx: Context, *, person: bool) -> None:
    """`person`: the Patient too."""
    resources = [made.body for made in ctx.made]
    if person:
        resources.append(ctx.person)
    add_stand_ins(resources)
    for resource in resources:
        if name := profile_of(resource):
            claim = _claim(name)
            resource["meta"] = {**resource["meta"], **claim} if "meta" in resource else claim


@cache
def _claim(name: str) -> Resource:
    """One for all who claim it: nobody changes it any more."""
    return {"profile": [CORE + name]}
