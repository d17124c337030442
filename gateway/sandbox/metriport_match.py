"""Who is the same person to Metriport: equal birth date and sex, then an identifier or a mean likeness of 0.96
(metriport.md, "Matching and de-duplication")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_ENOUGH = 0.96
_PREFIX = 4
_SCALE = 0.1


def match(body: Mapping[str, Any], known: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The first of those it knows that are this person."""
    return next((one for one in known if _same(body, one)), None)


def _same(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    if (a["dob"], a["genderAtBirth"]) != (b["dob"], b["genderAtBirth"]):
        return False
    if _identifiers(a) & _identifiers(b):
        return True
    left, right = _texts(a), _texts(b)
    scores = [likeness(left[name], right[name]) for name in left if left[name] and right[name]]
    return sum(scores) / len(scores) >= _ENOUGH


def _identifiers(one: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    listed = one.get("personalIdentifiers") or ()
    return {(found["type"], found["value"], found.get("state", "")) for found in listed}


def _texts(one: Mapping[str, Any]) -> dict[str, str]:
    address = one["address"][0]
    contact = (one.get("contact") or [{}])[0]
    parts = {name: address.get(name, "") for name in ("addressLine1", "addressLine2", "city", "state", "zip")}
    names = {name: one[name].replace(",", " ").split()[0] for name in ("firstName", "lastName")}
    found = {**names, **parts, "phone": contact.get("phone", ""), "email": contact.get("email", "")}
    return {name: text.strip().lower() for name, text in found.items()}


def likeness(a: str, b: str) -> float:
    """Jaro-Winkler similarity, 0 to 1."""
    if a == b:
        return 1.0
    jaro = _jaro(a, b)
    common = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return jaro + min(common, _PREFIX) * _SCALE * (1 - jaro)


def _jaro(a: str, b: str) -> float:
    reach = max(0, max(len(a), len(b)) // 2 - 1)
    taken = [False] * len(b)
    left = []
    for at, letter in enumerate(a):
        for other in range(max(0, at - reach), min(len(b), at + reach + 1)):
            if not taken[other] and b[other] == letter:
                taken[other] = True
                left.append(letter)
                break
    if not left:
        return 0.0
    right = [letter for letter, used in zip(b, taken, strict=True) if used]
    moved = sum(x != y for x, y in zip(left, right, strict=True)) / 2
    return (len(left) / len(a) + len(left) / len(b) + (len(left) - moved) / len(left)) / 3
