"""The entries of Canvas' Patient, one by one: what it takes of ours, and what it shows of what it was given.

Source: canvas-medical/documentation, `_api/patient.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.fhir.json import Resource
from gateway.translators.json.usps import find_state

OWN: Final = "http://schemas.canvasmedical.com/fhir/extensions/"

_CONSENT: Final = f"{OWN}has-consent"
_DEFAULT_PERIOD: Final = {"start": "1970-01-01", "end": "2100-12-31"}
_UNITED_STATES: Final = ("us", "usa", "united states", "united states of america", "")


def without(one: Resource, *names: str) -> Resource:
    return {name: value for name, value in one.items() if name not in names}


def only(one: Resource, *names: str) -> Resource:
    return {name: one[name] for name in names if name in one}


def filled(value: Any) -> Any:
    """Without what is null or empty, which FHIR leaves out (FHIR R4 §2.6.2)."""
    if isinstance(value, dict):
        return {name: made for name, one in value.items() if (made := filled(one)) not in (None, [], {})}
    if isinstance(value, list):
        return [made for one in value if (made := filled(one)) not in (None, [], {})]
    return value


def displays(element: str, item: Any) -> Any:
    """One value of an element as Canvas shows it, as far as it changes what it is given."""
    change = _DISPLAYS.get(element)
    return change(item) if change else item


def whole_date(text: Any) -> Any:
    """Partial birth dates become the 1st there."""
    return text + "-01" * ((10 - len(text)) // 3) if isinstance(text, str) and len(text) in (4, 7) else text


# What Canvas shows by itself.


def unbounded(one: Resource) -> tuple[str, ...]:
    return ("period",) if one.get("period") == _DEFAULT_PERIOD else ()


def without_consent(one: Resource) -> Resource:
    """Consent that was not given is what it shows of everybody."""
    kept = [each for each in one.get("extension", []) if each["url"] != _CONSENT or each.get("valueBoolean")]
    return {**without(one, "extension"), **({"extension": kept} if kept else {})}


def without_flags(one: Resource) -> Resource:
    kept = [each for each in one.get("extension", []) if each.get("valueBoolean") is not False]
    return {**without(one, "extension"), **({"extension": kept} if kept else {})}


# What it takes.


def to_telecom(one: Resource) -> Resource:
    return only(one, "extension", "system", "value", "use", "rank")


def to_address(one: Resource) -> Resource | None:
    """The state as two letters or not at all; what is only a text cannot be kept there."""
    kept = only(one, "use", "type", "line", "city", "state", "postalCode", "country")
    state = find_state(kept.pop("state", "") or "")
    filled_in = kept | ({"state": state} if state else {})
    return filled_in if filled_in.keys() - {"use", "type"} else None


def to_contact(one: Resource) -> Resource | None:
    """A contact has a name there; one without cannot be kept there."""
    text = name_text(one.get("name", {}))
    if not text:
        return None
    telecoms = [kept for each in one.get("telecom", []) if (kept := _contact_telecom(each))]
    shown = only(one, "extension") | {"name": {"text": text}}
    if relationship := [only(each, "coding", "text") for each in one.get("relationship", [])]:
        shown["relationship"] = relationship
    return shown | ({"telecom": telecoms} if telecoms else {})


def _contact_telecom(one: Resource) -> Resource | None:
    """A contact's phone has exactly 10 digits there; another one cannot be kept there."""
    if one.get("system") != "phone":
        return only(one, "system", "value") if one.get("value") else None
    digits = re.sub(r"\D", "", one.get("value", ""))
    national = digits[1:] if len(digits) == 11 and digits.startswith("1") else digits
    return {"system": "phone", "value": national} if len(national) == 10 else None


def name_text(name: Resource) -> str:
    return name.get("text") or " ".join([*name.get("given", []), *([name["family"]] if name.get("family") else [])])


# What Canvas shows of what it was given.


def _identifier_shown(one: Any) -> Any:
    shown = without(one, "type", "assigner", *unbounded(one))
    return without(shown, "use") if shown.get("use") == "usual" else shown


def _telecom_shown(one: Any) -> Any:
    shown = without_consent(only(one, "extension", "system", "value", "use", "rank"))
    return without(shown, "rank") if shown.get("rank") == 1 else shown


def _address_shown(one: Any) -> Any:
    shown = to_address(one)
    if shown is None:
        return None
    lines = shown.get("line") or []
    country = str(shown.pop("country", "")).strip()
    shown |= {"line": [*lines[:1], ", ".join(lines[1:])]} if len(lines) > 2 else {}
    shown = without(shown, "type") if shown.get("type") == "both" else shown
    return shown | ({} if country.lower() in _UNITED_STATES else {"country": country})


def _contact_shown(one: Any) -> Any:
    made = to_contact(one)
    return without_flags(made) if made else None


def _communication_shown(one: Any) -> Any:
    return [coding.get("code") for coding in one.get("language", {}).get("coding", [])] or one


def _extension_shown(one: Any) -> Any:
    """Race and ethnicity get a text and displays of its own."""
    parts = [each["valueCoding"] for each in one.get("extension", []) if "valueCoding" in each]
    if not parts or not one["url"].endswith(("us-core-race", "us-core-ethnicity")):
        return one
    return {"url": one["url"], "codes": [[part.get("system"), part.get("code")] for part in parts]}


_DISPLAYS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "identifier": _identifier_shown,
    "telecom": _telecom_shown,
    "address": _address_shown,
    "contact": _contact_shown,
    "communication": _communication_shown,
    "extension": _extension_shown,
    "birthDate": whole_date,
}
