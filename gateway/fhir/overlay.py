"""Overlay: an edit made in a form that displays a part only, applied to the whole that we had sent there."""

from __future__ import annotations

from typing import Any

from gateway.fhir.form import Form, echoes
from gateway.fhir.record import Value


def overlay(form: Form, slot: str, sent: Value, displayed: Value, value: Value) -> Value:
    """What the slot holds after its system turned `displayed` into `value`: what their form hides of `sent` stays.

    Only where what they displayed was what their form makes of `sent`; else their value is all there is to go by.
    """
    if not isinstance(sent, list) or not isinstance(displayed, list) or not _hides(form, slot, sent, displayed):
        return value
    edited = value or []
    if len(edited) == len(displayed):
        pairs = zip(sent, displayed, edited, strict=False)
        edited = [_edited(whole, before, after) for whole, before, after in pairs]
    return [*edited, *sent[len(displayed) :]] or None


def _hides(form: Form, slot: str, sent: list[Any], displayed: list[Any]) -> bool:
    if len(displayed) > len(sent) or sent == displayed:
        return False
    return all(echoes(form, slot, [whole], [part]) for whole, part in zip(sent, displayed, strict=False))


def _edited(whole: Any, before: Any, after: Any) -> Any:
    if not (isinstance(whole, dict) and isinstance(before, dict) and isinstance(after, dict)):
        return after
    if before.get("text") != after.get("text"):
        return after  # the whole in words: who edits it and does not see the parts has changed them too
    kept = {key: part for key, part in whole.items() if key not in before or before[key] == after.get(key)}
    changed = {key: _part(whole.get(key), before.get(key), part) for key, part in after.items() if key not in kept}
    return {key: {**kept, **changed}[key] for key in {**whole, **after} if key in kept or key in changed}


def _part(whole: Any, before: Any, after: Any) -> Any:
    """One changed part; of a list that was displayed in part (the first given name only), the rest stays."""
    if isinstance(whole, list) and isinstance(before, list) and isinstance(after, list):
        return [*after, *whole[len(before) :]] if len(after) == len(before) else after
    return after
