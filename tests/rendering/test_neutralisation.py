"""No value from outside breaks out of its place in any form."""

import json
import unicodedata
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.rendering import Output, RecordPlace, plain, render, render_approval_sheet
from lockgate.rendering.values import markdown_code, markdown_text, sarif_text
from support.decisions import make_decision

_PLACE = RecordPlace(log="lockgate.example/gate", seq=7)
_HOSTILE = "\x1b[2J\x1b[1;32mALLOW\r\n\u202e\u200b\u2028</code>]]> | `x` [a](javascript:b) <b> &amp; {0} @team :x:"


def _with_value(value: str) -> dict[str, Any]:
    decision = make_decision("deny")
    violation = decision["violations"][0]
    violation["title"] = violation["remediation"] = value
    violation["details"] = [{"name": "identity", "value": value}]
    decision["rules"][1]["title"] = value
    decision["policy"]["engine_version"] = value
    decision["evidence"]["signatures"][0]["identity"] = value
    decision["evidence"]["signatures"][0]["issuer"] = value
    decision["evidence"]["refusals"][0]["detail"] = value
    return decision


def test_plain_spells_out_what_cannot_be_seen() -> None:
    """Escapes, line breaks and bidirectional overrides come out as their code points."""
    assert plain("a\x1b[31m\r\n\u202eb\u2028\ufffe") == r"a\u{1b}[31m\u{d}\u{a}\u{202e}b\u{2028}\u{fffe}"


def test_plain_cannot_be_forged() -> None:
    """A value that looks like a spelt-out character is told apart from one."""
    assert plain(r"\u{1b}") == r"\\u{1b}"


def test_plain_of_numbers_and_booleans() -> None:
    """Integers are decimal and booleans are JSON's words."""
    assert [plain(value) for value in (1, 0, True, False)] == ["1", "0", "true", "false"]


@pytest.mark.parametrize(
    "value",
    ["**a**", "_a_", "`a`", "[a](b)", "![a](b)", "<b>", "&lt;", "a|b", "~~a~~", "$a$", "@team", "#1", "\\*"],
)
def test_markdown_text_keeps_no_markup(value: str) -> None:
    """Nothing that formats, links, embeds, mentions or ends a table cell stays as it is."""
    written = markdown_text(value)

    assert not set(written) & set("*_`[]!<>|~$@\\")
    assert "&lt;" not in written


@pytest.mark.parametrize("value", ["https://evil.example", "www.evil.example", ":white_check_mark:", "1.4.0"])
def test_markdown_text_makes_no_link_and_no_emoji(value: str) -> None:
    """A dot or colon before anything but a blank is a character reference."""
    written = markdown_text(value)

    assert ":" not in written[:-1]  # the last one opens nothing
    assert "." not in written


def test_markdown_text_stays_readable() -> None:
    """Ordinary prose is left as it is."""
    assert markdown_text("Ask the ml-lead, please: now. (Or later)") == "Ask the ml-lead, please: now. (Or later)"


def test_markdown_code_cannot_be_left() -> None:
    """Code ends only where the renderer ends it."""
    assert markdown_code("</code><b>") == "<code>&#60;/code&#62;&#60;b&#62;</code>"


def test_sarif_text_has_no_placeholder_and_no_link() -> None:
    """Braces are doubled and brackets escaped, as SARIF asks."""
    assert sarif_text("{0} [a](1)") == "{{0}} \\[a\\](1)"


@pytest.mark.parametrize("output", [Output.TEXT, Output.MARKDOWN, Output.JUNIT, Output.SARIF])
def test_no_form_emits_control_characters(output: Output) -> None:
    """Whatever the values hold, the output holds line feeds and visible characters only."""
    written = render(output, _with_value(_HOSTILE), _PLACE)

    assert {one for one in written if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}} == {"\n"}


def test_json_escapes_control_characters() -> None:
    """JSON keeps the value, and spells its control characters as escapes."""
    written = render(Output.JSON, _with_value("\x1b[31m"), _PLACE)

    assert "\x1b" not in written
    assert "\\u001b[31m" in written


def test_approval_sheet_emits_no_control_characters() -> None:
    """What an approver reads cannot be rewritten by the model's author."""
    promotion = {
        "contributors": [{"subject": "bob", "role": "author"}],
        "reason": _HOSTILE,
        "policy_revision": "sha256:" + "00" * 32,
    }

    sheet = render_approval_sheet(_with_value(_HOSTILE), promotion, verdict="approve", role="risk")

    assert sheet.startswith("You are about to APPROVE as risk:\n")
    assert {one for one in sheet if unicodedata.category(one) in {"Cc", "Cf", "Zl", "Zp"}} == {"\n"}


@settings(deadline=None, max_examples=100)
@given(value=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_every_form_survives_any_text(value: str) -> None:
    """Any text gives well-formed XML and JSON, the same number of lines and the same Markdown structure."""
    decision, quiet = _with_value(value), _with_value("x")

    text, markdown = render(Output.TEXT, decision, _PLACE), render(Output.MARKDOWN, decision, _PLACE)
    fromstring(render(Output.JUNIT, decision, _PLACE))  # noqa: S314 - our own output
    json.loads(render(Output.SARIF, decision, _PLACE))  # noqa: TID251 - SARIF is not a document of ours

    assert len(text.splitlines()) == len(render(Output.TEXT, quiet, _PLACE).splitlines())
    plainest = render(Output.MARKDOWN, quiet, _PLACE)
    assert len(markdown.splitlines()) == len(plainest.splitlines())
    for mark in "|`*<>[]":
        assert markdown.count(mark) == plainest.count(mark)
