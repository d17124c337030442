"""Which XHTML a narrative may hold."""

from __future__ import annotations

import pytest

from gateway.fhir.narrative import XHTML, fault_in


def div(inside: str) -> str:
    return f'<div xmlns="{XHTML}">{inside}</div>'


@pytest.mark.parametrize(
    "inside",
    [
        "text",
        "<p>Grüße &amp; &#160;&lt;b&gt;</p>",
        "<table border='1'><caption>c</caption><thead><tr><th colspan='2'>x</th></tr></thead></table>",
        "<ul><li class='a' id='b' style='color: red' title='t'>x</li></ul>",
        "<a href='https://example.org/?a=javascript:'>x</a><a name='here'>y</a>",
        "<img src='#picture' alt='x'/>",
        "<p xml:lang='de' lang='de'>x</p>",
        "<!-- a remark --> x",
        "<![CDATA[<script>shown as text</script>]]>",
    ],
)
def test_allowed(inside: str) -> None:
    assert fault_in(div(inside)) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (div("<script>x</script>"), "element"),
        (div("<SCRIPT>x</SCRIPT>"), "element"),
        (div("<svg xmlns='http://www.w3.org/2000/svg'>x</svg>"), "element"),
        (div("<iframe src='x'>x</iframe>"), "element"),
        (div("<form>x</form>"), "element"),
        (div("<p onload='x'>x</p>"), "attribute"),
        (div("<p href='x'>x</p>"), "attribute"),
        (div("<a href=' JavaScript:x'>x</a>"), "script"),
        (div("<a href='java&#9;script:x'>x</a>"), "script"),
        (div("<a href='data:text/html,x'>x</a>"), "script"),
        (div("<?php x ?>x"), "instruction"),
        (div("&nbsp;x"), "well-formed"),
        (div("x < y"), "well-formed"),
        (div(""), "no text"),
        (div("<br/> \n"), "no text"),
        ("<div>x</div>", "namespace"),
        (f"<p xmlns='{XHTML}'>x</p>", "root"),
        (f"{div('x')}<?y?>", "root"),
        (f"{div('x')}{div('y')}", "well-formed"),
        ("", "well-formed"),
        ("plain text", "well-formed"),
        (f"<?xml version='1.0' encoding='UTF-7'?>{div('x')}", "begins"),
        (f"<!DOCTYPE div [<!ENTITY a 'b'>]>{div('&a;')}", "begins"),
        (div("\ud800"), "well-formed"),
        (div("<p>" * 5000 + "x" + "</p>" * 5000), "well-formed"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    assert reason in (fault_in(text) or "")
