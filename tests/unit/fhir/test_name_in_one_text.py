"""A system that shows a name in one text: its display is no edit, its edit is not half of ours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.fhir import deliver, form, observe
from gateway.fhir.form import ONE_NAME, ONE_PHONE, Form
from gateway.fhir.record import Coverage, Record

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = Form(
    Coverage(frozenset({"name[-]"})), frozenset({"name[-]"}), (ONE_NAME,), rewriting=("name-text",), partial=True
)
ADA: list[dict[str, Any]] = [{"use": "official", "family": "Lovelace", "given": ["Ada"]}]


def shown(text: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"text": text}]}


def sent() -> Record:
    """What we sent, its answer lost."""
    announced = {"name[official]": ADA}
    return deliver.intend(Record("s", "Patient", "1"), announced, {}, sent_at=NOW, until=NOW + timedelta(minutes=1))


def read(record: Record, text: str, minutes: int) -> Record:
    at = NOW + timedelta(minutes=minutes)
    return observe.observe(record, shown(text), TEXT.reads, None, at, now=at, form=TEXT)


def test_our_name_in_their_words_is_ours() -> None:
    record = read(sent(), "Ada Lovelace", 1)
    assert record.own == {} and record.bound == {"name[-]": "name[official]"}


def test_their_edit_of_the_words_replaces_the_whole_name() -> None:
    record = read(read(sent(), "Ada Lovelace", 1), "Ada King", 2)
    assert record.own["name[official]"].value == [{"text": "Ada King", "use": "official"}], (
        "no old family name beside it"
    )


def test_only_the_value_that_fills_a_field_is_left() -> None:
    phones = [{"system": "phone", "use": use, "value": use} for use in ("work", "mobile")]
    one = Form(fields=(ONE_PHONE,), writes=frozenset({"telecom[phone]"}))
    patient = {"resourceType": "Patient", "gender": "male", "telecom": [*phones, {"system": "fax", "value": "f"}]}
    rendered = form.render(patient, one, Record("s", "Patient", "1"))
    assert list(rendered) == ["telecom[phone,mobile]"], "a fax is none of theirs"
    assert form.narrow(patient, one, rendered)["telecom"] == [phones[1], {"system": "fax", "value": "f"}]
    assert form.narrow(patient, Form(), {}) is patient
