"""Narrative: XHTML that FHIR allows, whatever the document holds; every word of it kept."""

from __future__ import annotations

import pytest

from gateway.fhir import gate
from gateway.fhir.narrative import fault_in

from .written import codes, converted, of_type, only, section

PROBLEM = """<act classCode="ACT" moodCode="EVN"><templateId root="2.16.840.1.113883.10.20.22.4.3"/>
<entryRelationship typeCode="SUBJ"><observation classCode="OBS" moodCode="EVN">
<templateId root="2.16.840.1.113883.10.20.22.4.4"/><id root="1.1" extension="1"/>
<value xsi:type="CD" nullFlavor="UNK"><originalText><reference value="#{id}"/></originalText></value>
</observation></entryRelationship></act>"""


def div(text: str) -> str:
    composition = only(converted(section("11450-4", text=f"<text>{text}</text>")), "Composition")
    written: str = composition["section"][0]["text"]["div"]
    assert fault_in(written) is None
    assert gate.check(composition) == []
    return written


@pytest.mark.parametrize(
    ("cda", "html"),
    [
        ("<paragraph>a</paragraph>", "<p>a</p>"),
        ("<list><item>a</item></list>", "<ul><li>a</li></ul>"),
        ('<list listType="ordered"><item>a</item></list>', "<ol><li>a</li></ol>"),
        ("<list><caption>c</caption><item>a</item></list>", "<ul><li>c</li><li>a</li></ul>"),
        ("a<br/>b", "a<br/>b"),
        ("H<sub>2</sub>O", "H<sub>2</sub>O"),
        ('<content styleCode="Bold Underline">a</content>', "font-weight:bold;text-decoration:underline"),
        ('<content styleCode="Rrule">a</content>', 'class="Rrule"'),
        ('<table><tr><td colspan="2" rowspan="x">a</td></tr></table>', '<td colspan="2">a</td>'),
        ("<table><caption>c</caption><tr><td>a</td></tr></table>", "<caption>c</caption>"),
        ('<linkHtml href="https://example.org/?a=1&amp;b=2">a</linkHtml>', 'href="https://example.org/?a=1&amp;b=2"'),
        ('<content ID="p1">a</content>', '<span id="p1">a</span>'),
        ("5 &lt; 6 &amp; 7", "5 &lt; 6 &amp; 7"),
        ("<paragraph>a<list><item>b</item></list></paragraph>", "<div>a<ul><li>b</li></ul></div>"),
    ],
)
def test_each_element_has_its_html(cda: str, html: str) -> None:
    assert html in div(cda)


@pytest.mark.parametrize(
    "hostile",
    [
        "a<script>alert(1)</script>",
        '<linkHtml href="javascript:alert(1)">a</linkHtml>',
        '<content onclick="alert(1)">a</content>',
        '<content ID="x&quot; onload=&quot;y">a</content>',
        '<content styleCode="x&quot;y">a</content>',
        '<td xmlns="http://www.w3.org/1999/xhtml" onclick="x">a</td>',
        '<iframe src="https://example.org"/>a',
        "a<style>body{}</style>",
    ],
)
def test_nothing_hostile_comes_through(hostile: str) -> None:
    written = div(hostile)

    assert not any(part in written for part in ("<script", "javascript:", "onclick=", "onload=", "<iframe", "<style"))


def test_text_that_is_only_blank_is_none() -> None:
    result = converted(section("11450-4", text="<text>  <paragraph> </paragraph></text>"))

    assert "section" not in only(result, "Composition")


@pytest.mark.parametrize(
    ("narrative", "said"),
    [
        ('<content ID="x">Asthma, <content styleCode="Bold">mild</content></content>', "Asthma, mild"),
        ('<table><tr ID="x"><td>Asthma</td><td>2012</td></tr></table>', "Asthma 2012"),
        ('<paragraph ID="x">H<sub>2</sub>O  allergy</paragraph>', "H2O allergy"),
    ],
)
def test_a_reference_gives_the_words_of_the_narrative(narrative: str, said: str) -> None:
    text = f"<text>{narrative}</text>"

    condition = only(converted(section("11450-4", PROBLEM.replace("{id}", "x"), text=text)), "Condition")

    assert condition["code"] == {"text": said}


def test_a_reference_reaches_the_narrative_of_a_later_section() -> None:
    later = section("10164-2", text='<text><content ID="late">Gout</content></text>')

    condition = only(converted(section("11450-4", PROBLEM.replace("{id}", "late")), later), "Condition")

    assert condition["code"] == {"text": "Gout"}


def test_a_reference_to_nothing_makes_nothing() -> None:
    result = converted(section("11450-4", PROBLEM.replace("{id}", "gone")))

    (row,) = result.report["sections"]
    assert row["converted"] == 0
    assert row["notUnderstood"][0]["xpath"].endswith("section/entry/act")


def test_codes_keep_their_translations() -> None:
    value = """<value xsi:type="CD" code="195967001" codeSystem="2.16.840.1.113883.6.96">
        <translation code="J45.909" codeSystem="2.16.840.1.113883.6.90"/>
        <translation code="17" codeSystem="1.2.3.99"/><translation nullFlavor="NI"/></value>"""
    start, _, rest = PROBLEM.partition("<value")
    entry = start + value + rest.partition("</value>")[2]

    condition = only(converted(section("11450-4", entry)), "Condition")

    assert codes(condition["code"]) == [
        ("http://snomed.info/sct", "195967001"),
        ("http://hl7.org/fhir/sid/icd-10-cm", "J45.909"),
        ("urn:oid:1.2.3.99", "17"),
    ]


def test_an_id_that_every_section_has_means_the_row_of_its_own() -> None:
    sections = [
        section("11450-4", PROBLEM.format(id="row1").replace('extension="1"', f'extension="{words}"'), text=row)
        for words in ("Asthma", "Gout")
        for row in [f'<text><content ID="row1">{words}</content></text>']
    ]

    found = of_type(converted(*sections), "Condition")

    assert [one["code"]["text"] for one in found] == ["Asthma", "Gout"]
