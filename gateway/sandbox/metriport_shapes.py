"""What Metriport takes as a patient or a facility, checked field by field (metriport.md, "Patient model")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from gateway.sandbox.metriport_http import Refusal, invalid

SEXES = ("F", "M", "O", "U")
_STATES = (
    "AL AK AZ AR CA CO CT DE DC FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR "
    "PA RI SC SD TN TX UT VT VA WA WV WI WY AS GU MP PR VI"
)
STATES = frozenset(_STATES.split())
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ZIP = re.compile(r"\d{5}", re.ASCII)
_NPI = re.compile(r"\d{10}", re.ASCII)
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")

Problem = tuple[str, str]
Check = Callable[[Any], str | None]


def patient(body: Mapping[str, Any]) -> dict[str, Any]:
    """The demographics of a body, normalised. Raises Refusal naming every field that is wrong."""
    addresses, contacts = _listed(body.get("address")), _listed(body.get("contact"))
    identifiers = body.get("personalIdentifiers") or []
    problems = [*_fields(body, _PATIENT), *_addresses(body, addresses), *_contacts(contacts)]
    problems += _identifiers(identifiers)
    if problems:
        raise invalid(*problems)
    kept: dict[str, Any] = {name: body[name].strip() for name in _PATIENT}
    kept["address"] = [_address(one) for one in addresses]
    if contacts:
        kept["contact"] = [_contact(one) for one in contacts]
    if identifiers:
        kept["personalIdentifiers"] = [
            {key: one[key].strip() for key in ("type", "value", "state") if key in one} for one in identifiers
        ]
    if isinstance(body.get("externalId"), str) and body["externalId"]:
        kept["externalId"] = body["externalId"]
    return kept


def facility(body: Mapping[str, Any]) -> dict[str, Any]:
    """A facility of the account. Raises Refusal."""
    address = body.get("address")
    problems = [*_fields(body, {"name": _text, "npi": _npi}), *_fields_of(address, _ADDRESS, "address")]
    if problems:
        raise invalid(*problems)
    kept = {"name": body["name"].strip(), "npi": body["npi"], "address": _address(dict(address or {}))}
    return kept | {key: body[key] for key in ("tin",) if body.get(key)} | {"active": bool(body.get("active", True))}


def organization(body: Mapping[str, Any]) -> dict[str, Any]:
    """The account's organization. Raises Refusal."""
    location = body.get("location")
    problems = [*_fields(body, {"name": _text, "type": _text}), *_fields_of(location, _ADDRESS, "location")]
    if problems:
        raise invalid(*problems)
    return {"name": body["name"].strip(), "type": body["type"], "location": _address(dict(location or {}))}


def metadata(body: Any) -> dict[str, str] | None:
    """`metadata` of a query: at most 50 pairs of text, keys up to 40 and values up to 500 characters."""
    found = body.get("metadata") if isinstance(body, dict) else None
    if found is None or found == {}:
        return None
    good = isinstance(found, dict) and len(found) <= 50
    if not good or not all(isinstance(v, str) and len(k) <= 40 and len(v) <= 500 for k, v in found.items()):
        raise invalid(("Metadata may have 50 pairs, keys of 40 and values of 500 characters", "metadata"))
    return dict(found)


def day(text: str | None, name: str) -> str | None:
    """A date parameter. Raises Refusal."""
    if text and _date(text):
        raise invalid((_date(text) or "", f"query,{name}"))
    return text or None


def require_media(asked: str, allowed: tuple[str, ...]) -> str:
    if asked not in allowed:
        expected = " | ".join(f"'{one}'" for one in allowed)
        raise invalid((f"Invalid enum value. Expected {expected}, received '{asked}'", "query,conversionType"))
    return asked


def sandbox_limit(most: int) -> Refusal:
    """The sandbox says this in a form of its own."""
    message = f"Cannot create more than {most} patients in Sandbox mode!"
    return Refusal(400, message, body={"message": message})


def _text(value: Any) -> str | None:
    if value is None:
        return "Required"
    if not isinstance(value, str):
        return "Expected string"
    return None if value.strip() else "String must contain at least 1 character(s)"


def _date(value: Any) -> str | None:
    if problem := _text(value):
        return problem
    try:
        found = date.fromisoformat(value) if _DAY.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None:
        return "Date must be a valid ISO 8601 date formatted YYYY-MM-DD. Example: 2023-03-15"
    return "Date cannot be in the future" if found > datetime.now(UTC).date() else None


def _sex(value: Any) -> str | None:
    if value is None:
        return "Required"
    expected = " | ".join(f"'{one}'" for one in SEXES)
    return None if value in SEXES else f"Invalid enum value. Expected {expected}"


def _state(value: Any) -> str | None:
    return _text(value) or (None if value in STATES else "Invalid US state")


def _zip(value: Any) -> str | None:
    return _text(value) or (None if _ZIP.fullmatch(value) else "Zip must be a string consisting of 5 numbers")


def _country(value: Any) -> str | None:
    return "Required" if value is None else None if value == "USA" else 'Invalid literal value, expected "USA"'


def _npi(value: Any) -> str | None:
    return _text(value) or (None if _NPI.fullmatch(value) else "NPI must have 10 digits")


_PATIENT: Mapping[str, Check] = {"firstName": _text, "lastName": _text, "dob": _date, "genderAtBirth": _sex}
_ADDRESS: Mapping[str, Check] = {
    "addressLine1": _text,
    "city": _text,
    "state": _state,
    "zip": _zip,
    "country": _country,
}


def _fields(body: Mapping[str, Any], checks: Mapping[str, Check], where: str = "") -> Iterator[Problem]:
    for name, check in checks.items():
        if problem := check(body.get(name)):
            yield problem, f"{where}{name}"


def _fields_of(value: Any, checks: Mapping[str, Check], where: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield "Required" if value is None else "Expected object", where
    else:
        yield from _fields(value, checks, f"{where},")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _addresses(body: Mapping[str, Any], addresses: list[Any]) -> Iterator[Problem]:
    if not addresses:
        yield ("Required" if body.get("address") is None else "Array must contain at least 1 element(s)"), "address"
    for at, one in enumerate(addresses):
        yield from _fields_of(one, _ADDRESS, f"address,{at}")


def _contacts(contacts: list[Any]) -> Iterator[Problem]:
    for at, one in enumerate(contacts):
        if not isinstance(one, dict) or not (one.get("phone") or one.get("email")):
            yield "Either phone or email must be present", f"contact,{at}"
            continue
        if one.get("phone") and len(_phone(one["phone"])) != 10:
            yield "Phone must be a string consisting of 10 numbers. For example: 4153245540", f"contact,{at},phone"
        if one.get("email") and not _MAIL.fullmatch(str(one["email"])):
            yield "Invalid email", f"contact,{at},email"


def _identifiers(identifiers: Any) -> Iterator[Problem]:
    if not isinstance(identifiers, list):
        yield "Expected array", "personalIdentifiers"
        return
    for at, one in enumerate(identifiers):
        where = f"personalIdentifiers,{at}"
        if not isinstance(one, dict) or one.get("type") not in ("driversLicense", "ssn"):
            yield "Invalid discriminator value. Expected 'driversLicense' | 'ssn'", f"{where},type"
            continue
        yield from _fields(one, {"value": _text}, f"{where},")
        if one["type"] == "driversLicense":
            yield from _fields(one, {"state": _state}, f"{where},")


def _address(one: Mapping[str, Any]) -> dict[str, Any]:
    names = ("addressLine1", "addressLine2", "city", "state", "zip", "country")
    return {name: one[name].strip() for name in names if isinstance(one.get(name), str) and one[name].strip()}


def _contact(one: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"phone": _phone(one["phone"])} if one.get("phone") else {}
    return kept | ({"email": one["email"].strip().lower()} if one.get("email") else {})


def _phone(value: Any) -> str:
    digits = re.sub(r"\D", "", str(value), flags=re.ASCII)
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
