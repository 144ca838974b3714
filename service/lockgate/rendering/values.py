"""Making values from outside harmless, once for each form.

Titles, remediations and the values that a rule read come from policies, requests and certificates. A value could hold
an escape sequence that rewrites the terminal's verdict line, a bidirectional override that swaps two names, a Markdown
link, or a character that XML cannot hold. Each renderer passes every string of the decision through this file.
"""

import re
import unicodedata
from typing import Final

# Cc: controls and escapes. Cf: bidirectional overrides, zero-width characters. Cs, Co, Cn: no agreed glyph, and the
# non-characters U+FFFE and U+FFFF, which XML 1.0 cannot hold. Zl, Zp: line breaks that splitlines() sees.
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Left alone: letters, digits, blanks, and punctuation that opens nothing in CommonMark or GFM. A dot or colon before a
# letter could make a link (www.example, https://) or an emoji (:x:), so those two are left alone only before a blank.
_MARKDOWN_SPECIAL: Final = re.compile(r"""[^\w ,;'"/()=%.:-]|_|[.:](?=\S)""")


def plain(value: str | int | bool) -> str:  # noqa: FBT001 - a JSON value, not a switch
    r"""Write one value on one line, with everything invisible spelt out as `\u{hex}`.

    A backslash is doubled, so that the spelling of an invisible character cannot be forged.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return "".join(_visible(character) for character in str(value))


def markdown_text(value: str | int | bool) -> str:  # noqa: FBT001 - as above
    """Write one value as CommonMark text that formats, links and embeds nothing.

    Numeric character references are text wherever they stand; backslash escapes are not (inside code they show).

    Source: CommonMark 0.31.2, section 2.5.
    """
    return _MARKDOWN_SPECIAL.sub(lambda match: f"&#{ord(match.group())};", plain(value))


def markdown_code(value: str | int | bool) -> str:  # noqa: FBT001 - as above
    """Write one value as inline code; sites that turn `@name` into a mention leave code alone."""
    return f"<code>{markdown_text(value)}</code>"


def sarif_text(value: str | int | bool) -> str:  # noqa: FBT001 - as above
    """Write one value as part of a SARIF plain text message, without placeholders and embedded links.

    Source: SARIF 2.1.0, sections 3.11.5 (braces are doubled) and 3.11.6 (brackets are escaped).
    """
    # After `plain` a backslash is a doubled one, so that an escaped bracket cannot be un-escaped by what precedes it.
    text = plain(value).replace("{", "{{").replace("}", "}}")
    return text.replace("[", "\\[").replace("]", "\\]")


def _visible(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if unicodedata.category(character) in _INVISIBLE:
        return f"\\u{{{ord(character):x}}}"
    return character
