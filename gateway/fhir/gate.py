"""The schema gate: what comes in, what a translator made and what goes out is valid FHIR R4 (4.0.1), or is refused.

Shape, cardinality, codes, dates, references and the chosen invariants are schemas (`make schemas`) run in one call;
Python follows resources within resources and keeps the nesting in bounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice

from gateway.errors import NotConformant

from . import contained
from .gate_faults import error, issues
from .gate_schemas import schema, validator
from .gate_types import REFUSED, TYPES, is_r4_type
from .issue import Issue
from .json import Json

__all__ = ["TYPES", "check", "check_depth", "is_r4_type", "require", "warm"]

MAX_DEPTH = 100
_LEAVES = frozenset({str, int, bool, float, Decimal, type(None)})


def check(resource: Json, *, limit: int = 20) -> list[Issue]:
    """What is wrong with a resource, at most `limit` issues; none when it is valid R4. Never raises."""
    if too_deep := check_depth(resource):
        return [too_deep]
    return list(islice(_once(_resource(resource, None, local=False)), limit))


def check_depth(value: Json, limit: int = MAX_DEPTH) -> Issue | None:
    """Whether the nesting is within bounds. Comes before everything else: the schema engine recurses natively and a
    document thousands of levels deep would end the process."""
    level = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if inner.__class__ not in _LEAVES
        ]
        if not level:
            return None
    return Issue("error", "too-long", f"Nested deeper than {limit} levels.")


def require(resource: Json) -> None:
    """Raises NotConformant with the issues when the resource is not valid R4."""
    if found := check(resource):
        raise NotConformant(f"not valid FHIR R4: {found[0].diagnostics}", expression=found[0].expression, issues=found)


def warm(types: Iterable[str]) -> None:
    """Builds the validators of these types ahead of their first use (about 10 ms each)."""
    for name in types:
        validator(name)


def _resource(resource: Json, path: str | None, *, local: bool) -> Iterator[Issue]:
    """The issues of a resource and of all within it. `local`: whether it is contained."""
    name = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(name, str) or name not in TYPES:
        yield _refusal(name, path)
        return
    where = path or name
    local = local or "contained" in resource
    try:
        if not validator(name, local=local).is_valid(resource):
            for fault in validator(name, local=local).iter_errors(resource):
                yield from issues(fault, schema(name, local=local), where)
    except ValueError:  # the engine meets what no JSON text can hold: a lone surrogate, a name that is no text
        yield error("structure", "Holds something that JSON cannot carry.", where)
        return
    if local and "contained" in resource:
        yield from contained.faults_in(resource, where)
    for inner, inner_path, inner_local in _inner(resource, name, where):
        yield from _resource(inner, inner_path, local=inner_local)


def _refusal(name: object, path: str | None) -> Issue:
    """Why something is no resource that we hold; REFUSED names the types that only one of R4 and R4B has."""
    where = path or "Resource"
    if not isinstance(name, str):
        return error("structure", "Must be an object with a resourceType.", where)
    if why := REFUSED.get(name):
        return error("not-supported", f"{name} {why}.", path or name)
    return error("not-supported", "resourceType must be a resource type of FHIR R4.", f"{where}.resourceType")


def _inner(resource: Json, name: str, path: str) -> Iterator[tuple[Json, str, bool]]:
    """The resources directly within a resource, each with its path and whether it is contained."""
    for at, one in enumerate(_list(resource.get("contained"))):
        yield one, f"{path}.contained[{at}]", True
    if name == "Bundle":
        yield from _entries(resource, path)
    elif name == "Parameters":
        yield from _parameters(resource.get("parameter"), f"{path}.parameter")


def _entries(bundle: Json, path: str) -> Iterator[tuple[Json, str, bool]]:
    for at, entry in enumerate(_list(bundle.get("entry"))):
        if not isinstance(entry, dict):
            continue
        if "resource" in entry:
            yield entry["resource"], f"{path}.entry[{at}].resource", False
        response = entry.get("response")
        if isinstance(response, dict) and "outcome" in response:
            yield response["outcome"], f"{path}.entry[{at}].response.outcome", False


def _parameters(parameters: Json, path: str) -> Iterator[tuple[Json, str, bool]]:
    for at, parameter in enumerate(_list(parameters)):
        if not isinstance(parameter, dict):
            continue
        if "resource" in parameter:
            yield parameter["resource"], f"{path}[{at}].resource", False
        yield from _parameters(parameter.get("part"), f"{path}[{at}].part")


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _once(found: Iterable[Issue]) -> Iterator[Issue]:
    """Each issue once: two keywords may refuse one value for the same reason."""
    seen = set()
    for issue in found:
        if issue not in seen:
            seen.add(issue)
            yield issue
