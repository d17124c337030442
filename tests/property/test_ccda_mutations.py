"""Whatever a document is turned into, converting it gives a sound Bundle or one of the project's input errors."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.translators.ccda.bundles import FORMS
from tests.conftest import ROOT, shared_files
from tests.fuzz import law, mutations

FOLDER = ROOT / "fixtures" / "ccda"
PATHS: list[Path] = [*sorted(FOLDER.glob("*.xml")), *shared_files("ccda/docs/hl7-*.xml")[:4]]
DOCUMENTS = [path.read_bytes() for path in PATHS if path.stat().st_size < 110_000]
OUTER = b'<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'

forms = st.sampled_from(FORMS)
documents = st.sampled_from(DOCUMENTS)
chance = st.integers(0, 2**32).map(Random)
mutation = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@mutation
@given(documents, st.sampled_from(mutations.CHANGES), chance, forms)
def test_one_kind_of_change(document: bytes, change: mutations.Change, rng: Random, form: str) -> None:
    """Elements deleted, doubled, moved, grafted, nested, renamed; values, types and nullFlavors exchanged."""
    written = mutations.changed(document, rng.choice(DOCUMENTS), rng, 2, (change,))
    if written is not None:
        law.check(written, form)


@mutation
@given(documents, chance, forms)
def test_many_changes_and_damage_to_the_bytes(document: bytes, rng: Random, form: str) -> None:
    for _ in range(rng.randint(1, 3)):
        document = mutations.mutated(document, DOCUMENTS, rng)
    law.check(document, form)


@mutation
@given(documents, chance, forms)
def test_damaged_on_the_way(document: bytes, rng: Random, form: str) -> None:
    """Encodings, mail and lost declarations, one on top of the other."""
    for _ in range(rng.randint(1, 3)):
        document = mutations.damaged(document, rng)
    law.check(document, form)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    law.check(data)


@pytest.mark.parametrize("flavor", ["UNK", "NA", "OTH", "NINF", "nonsense"])
@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_null_everywhere(path: Path, flavor: str) -> None:
    """Every element null, its content beside it or gone."""
    root = mutations.root_of(path.read_bytes())
    if root is None:
        return
    for bare in (False, True):
        for one in mutations.elements_of(root):
            if bare and len(one) == 0:
                one.attrib.clear()
            one.set("nullFlavor", flavor)
        law.check(mutations.written(root))


def nested(names: tuple[bytes, ...], times: int) -> bytes:
    opened = b"".join(b"<%b>" % name for name in names)
    return opened * times + b"".join(b"</%b>" % name for name in reversed(names)) * times


def body(inner: bytes) -> bytes:
    return OUTER + b"<component><structuredBody><component>" + inner + b"</component></structuredBody></component>"


STATEMENT = b'<entryRelationship typeCode="COMP"><observation classCode="OBS" moodCode="EVN"><code code="1"/>%b'
NAMED = b'<component><organizer classCode="CLUSTER" moodCode="EVN"><id root="1.2.%d"/><code code="c"/><statusCode/>'


def relationships(times: int) -> bytes:
    inner = STATEMENT % b"" * times + b"</observation></entryRelationship>" * times
    return b'<section><entry><act classCode="ACT" moodCode="EVN">' + inner + b"</act></entry></section>"


def organizers(times: int) -> bytes:
    inner = b"".join(NAMED % at for at in range(times)) + b"</organizer></component>" * times
    return b'<section><entry><organizer classCode="BATTERY" moodCode="EVN">' + inner + b"</organizer></entry></section>"


@pytest.mark.parametrize("times", [50, 110, 10_000])
@pytest.mark.parametrize(
    "deep",
    [
        lambda times: body(nested((b"section", b"component"), times)),
        lambda times: body(b"<section><text>" + nested((b"list", b"item"), times) + b"</text></section>"),
        lambda times: body(b"<section><text>" + nested((b"content",), 2 * times) + b"</text></section>"),
        lambda times: body(relationships(times)),
        lambda times: body(organizers(times)),
        lambda times: OUTER + nested((b"x",), times),
    ],
    ids=["sections", "lists", "spans", "relationships", "organizers", "foreign"],
)  # fmt: skip
def test_deep_nesting(deep: mutations.Nesting, times: int) -> None:
    """Over libxml2's 256 levels one clear error, in a document of any size; below them all is read."""
    closed = deep(times)
    for data in (closed + b"</ClinicalDocument>", closed, b" " * 9_500_000 + closed + b"</ClinicalDocument>"):
        law.check(data)


KINDS = (
    b'observation classCode="OBS"',
    b'act classCode="ACT"',
    b'organizer classCode="CLUSTER"',
    b'procedure classCode="PROC"',
    b'encounter classCode="ENC"',
    b'supply classCode="SPLY"',
    b'substanceAdministration classCode="SBADM"',
)


@pytest.mark.parametrize("template", ["4.3", "4.131", "4.16"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.split()[0].decode())
def test_one_entry_that_nests_too_deep_costs_no_other(kind: bytes, template: str) -> None:
    """As deep as is read, and one level more: by Python's own limit on calls neither is in danger."""
    wrap = b"component" if kind.startswith(b"organizer") else b"entryRelationship"
    name = kind.split()[0]
    start = b'<%b typeCode="SUBJ"><%b moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.%b"/><code code="7"/>'
    shell = start % (wrap, kind, template.encode())
    inner = shell * 28 + b"<x/>%b" + b"</%b></%b>" % (name, wrap) * 28
    fine = b'<entry><observation classCode="OBS" moodCode="EVN"><code code="1"/></observation></entry>'
    entry = b'<entry><%b moodCode="EVN"><code code="1"/>%b</%b></entry>' % (kind, inner, name)
    deep = b"<a>" * 12 + b"</a>" * 12
    for more, missed in ((b"", 0), (deep, 1)):
        section = b"<section>" + entry.replace(b"%b", more) + fine + b"</section>"
        result = law.check(body(section) + b"</ClinicalDocument>")
        assert result is not None
        [row] = result.report["sections"]
        reasons = [one["reason"] for one in row["notUnderstood"] if "deeper" in one["reason"]]
        assert len(reasons) == missed and row["seen"] == 2


@pytest.mark.parametrize("path", [path for path in PATHS if path.stem != "doctype"], ids=lambda path: path.stem)
def test_no_longer_than_so_many_times_the_parse(path: Path) -> None:
    assert law.times_the_parse(path.read_bytes(), 3) <= law.TIMES_THE_PARSE


REPEATED = {
    "entries of one id": b'<entry><observation classCode="OBS" moodCode="EVN"><id root="1.2.3"/><code code="%d"/>'
    b"</observation></entry>",
    "words with one anchor": b'<entry><act classCode="ACT"><text><reference value="#a%d"/></text></act></entry>',
    "rows of one anchor": b"<text><content ID='a'>%d</content></text>"
    b'<entry><act classCode="ACT"><text><reference value="#a"/></text></act></entry></section></component>'
    b"<component><section>",
    "people": b'<author><time value="2020"/><assignedAuthor><id root="1.2" extension="%d"/></assignedAuthor></author>',
    "codes": b'<code code="%d"/>',
    "entries of one author": b'<entry><observation classCode="OBS" moodCode="EVN"><id root="1.2.%d"/><code code="1"/>'
    b'<author><time value="2020"/><assignedAuthor><id root="1.3"/></assignedAuthor></author></observation></entry>',
    "events": b"</section></component></structuredBody></component><documentationOf><serviceEvent>"
    b'<performer typeCode="PRF"><assignedEntity><id root="1.2" extension="%d"/></assignedEntity></performer>'
    b"</serviceEvent></documentationOf><component><structuredBody><component><section>",
    "ids": b'<entry><observation classCode="OBS"><id root="1.2" extension="%d"/><code code="1"/></observation></entry>',
    "acts": b'<entry><act classCode="ACT" moodCode="EVN"><id root="1.2.%d"/><code code="7"/></act></entry>',
}


@pytest.mark.parametrize("name", REPEATED)
def test_very_many_of_a_kind(name: str) -> None:
    """Four times as many take four times as long: nothing costs more for each the more of them there are."""
    few, many = (many_of(name, number) for number in (600, 2400))
    law.check(many)
    assert law.seconds(many, 3) <= 8 * law.seconds(few, 3)


def many_of(name: str, number: int) -> bytes:
    inner = b"".join(REPEATED[name] % at for at in range(number))
    return body(b"<section><text>x</text>" + inner + b"</section>") + b"</ClinicalDocument>"
