"""What the documents name is there: files, tests, code."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

_ROOT: Final = Path(__file__).parents[1]
_DOCUMENTS: Final = sorted(
    path for place in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in _ROOT.glob(place) if path.is_file()
)
_NAMES: Final = [path.relative_to(_ROOT).as_posix() for path in _DOCUMENTS]
_LINK: Final = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")
_ANCHOR: Final = re.compile(r"\]\(([^)#:\s]*\.md|)#([^)\s]+)\)")
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)
_PATH: Final = re.compile(
    r"`((?:benchmarks|docs|examples|scripts|service|tests)/[A-Za-z0-9_./-]+|[a-z_/]+/[a-z_]+\.py)`"
)
_PLACES: Final = (_ROOT / "service", _ROOT / "service" / "lockgate")
_TEST: Final = re.compile(r"`(test_[a-z0-9_]+)`")
_THREATS: Final = "| threat | met by | shown by |"


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_NAMES)
def test_links_lead_somewhere(document: Path) -> None:
    """Each link to a file of the repository leads to one."""
    for target in _LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_NAMES)
def test_anchors_are_headings(document: Path) -> None:
    """Each link to a place in a document leads to a heading there, as GitHub makes anchors of headings."""
    for target, anchor in _ANCHOR.findall(document.read_text()):
        headings = _HEADING.findall((document.parent / target if target else document).read_text())
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

        assert anchor in anchors, (target, anchor)


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_NAMES)
def test_paths_are_there(document: Path) -> None:
    """Each path that is named, from the root or within the package, is there."""
    for path in _PATH.findall(document.read_text()):
        assert any((place / path).exists() for place in (_ROOT, *_PLACES, document.parent)), path


@pytest.mark.parametrize("document", _DOCUMENTS, ids=_NAMES)
def test_lines_to_copy_bind_the_deploy(document: Path) -> None:
    """Whoever copies a deploy that waits for an allow copies what keeps it from another artifact's allow."""
    for line in re.findall(r"lockgate status .* && .*", document.read_text()):
        assert "--digest" in line, line
        assert "--to" in line, line


def test_named_tests_are_there() -> None:
    """Each test that a document names is one."""
    tests = set(re.findall(r"def (test_\w+)", "".join(path.read_text() for path in _ROOT.glob("tests/**/*.py"))))
    named = {name for document in _DOCUMENTS for name in _TEST.findall(document.read_text())}

    assert named - tests == set()


def test_the_glossarys_words_are_used() -> None:
    """A word that stands nowhere else is no word of ours; what is not built yet has none."""
    glossary = _ROOT / "docs" / "glossary.md"
    places = [*_DOCUMENTS, *_ROOT.glob("service/**/*.py"), *_ROOT.glob("schemas/v1/**/*.json")]
    text = "\n".join(path.read_text() for path in places if path != glossary).lower()
    defined = [row.split("|")[1] for row in glossary.read_text().splitlines() if row.startswith("| **")]
    words = {word for cell in defined for term in re.findall(r"\*\*([^*]+)\*\*", cell) for word in term.lower().split()}

    assert {word for word in words if not re.search(rf"\b{re.escape(word)}", text)} == set()


def test_each_threat_names_its_tests() -> None:
    """What meets a threat is shown by a test at least; the threat model has no row without one."""
    tables = (_ROOT / "docs" / "threat-model.md").read_text().split(_THREATS)[1:]
    rows = [row for table in tables for row in table.partition("\n\n")[0].splitlines()[2:]]

    assert len(rows) > len(tables) > 1
    assert [row for row in rows if not _TEST.search(row.rpartition(" | ")[2])] == []


def test_every_benchmark_is_named() -> None:
    """The page of figures names each benchmark that `make bench` runs."""
    page = (_ROOT / "docs" / "performance.md").read_text()

    assert [
        path.name for path in (_ROOT / "benchmarks").glob("bench_*.py") if f"benchmarks/{path.name}`" not in page
    ] == []


def test_the_benchmark_of_logs_leaves_out_what_it_cannot_measure() -> None:
    """Without a PostgreSQL it says so in one line, and `make bench` goes on."""
    command: list[str | Path] = [sys.executable, _ROOT / "benchmarks" / "bench_logs.py", "--quick"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert re.fullmatch(r"!!! .*want --postgresql URL.* !!!\n", done.stdout)
