"""What every registry's adapter does. A test class derives from `RegistryContract` and brings a `subject`."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

import pytest

from lockgate.outbound import OutboundRequest, exchange
from lockgate.registry import (
    Dataset,
    NamedValue,
    PointerMovedError,
    RegistryAnswerError,
    RegistryPort,
    RegistryRefusedError,
    RegistryUnsupportedError,
)
from support.gate_server import Call, GateServer, Reply, serve_gate

DATASETS: Final = (
    Dataset(name="transactions", digest="d5d8d080", source="s3://data/transactions", context="training"),
    Dataset(name="holdout", digest="", source="", context="eval"),
)
CODE_COMMIT: Final = "0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9d"
PARAMS: Final = (NamedValue(name="depth", value="3"), NamedValue(name="solver", value="lstsq"))
METRICS: Final = (NamedValue(name="mse", value="0.25"),)

# Of printable ASCII, which each of them can be asked for. Slashes and colons are for those that take them.
ODD_NAMES: Final = (
    "it's",
    'say "x"',
    'it\'s "both"',
    "q''q",
    "100%_done",
    "back\\slash\\",
    "a?b#c&d=e+f;g",
    "`tick` -- $(x) {y}",
    "Case",
    "case",
    " lead and trail ",
    "x" * 255,
)


class Subject(Protocol):
    """A registry with something behind it that a test can fill."""

    @property
    def registry(self) -> RegistryPort:
        """The adapter."""
        ...

    @property
    def keeps_files(self) -> bool:
        """Whether it serves the files of versions."""
        ...

    @property
    def states_digests(self) -> bool:
        """Whether it knows versions' digests."""
        ...

    def add_model(self, name: str, *, description: str = "", tags: Mapping[str, str] = {}) -> None:
        """Register a model; one that is there stays."""
        ...

    def add_version(self, model: str, *, run: bool = False, tags: Mapping[str, str] = {}) -> str:
        """Register a version, made by a run with everything above if so asked; return its name."""
        ...

    def add_file(self, model: str, version: str, path: str, content: bytes) -> None:
        """Put a file among those of a version."""
        ...


def pointers(registry: RegistryPort, model: str) -> dict[str, str]:
    """Return where a model's pointers stand."""
    found = registry.find_model(model)
    assert found is not None
    return {pointer.name: pointer.value for pointer in found.pointers}


class RemoteSubject(Subject, Protocol):
    """A registry that is reached over a network."""

    def through(self, url: str) -> RegistryPort:
        """Return an adapter for the same registry behind another URL."""
        ...

    @property
    def url(self) -> str:
        """Where it answers."""
        ...


@contextlib.contextmanager
def meddling_proxy(url: str, meddle: Callable[[Call], None]) -> Iterator[GateServer]:
    """Pass every request on to a registry, and let somebody act after each, before its answer goes back."""

    def pass_on(call: Call) -> Reply:
        answer = exchange(
            OutboundRequest(
                url=url + call.path,
                method=call.method,
                body=None if call.body is None else json.dumps(call.body).encode(),
                content_type=None if call.body is None else "application/json",
                timeout_s=30,
                answer_bytes_max=1024 * 1024,
            )
        )
        meddle(call)
        return Reply(status=answer.status, body=answer.body, content_type=answer.content_type)

    with serve_gate(pass_on) as server:
        yield server


class RegistryContract:
    """The behaviours. Names begin with the test's own, since a registry may be shared."""

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_a_name_is_exactly_itself(self, subject: Subject, name: str) -> None:
        """Whatever characters a name has, it is found by all of them, with its versions and no other model's."""
        subject.add_model(name)
        first, second = subject.add_version(name), subject.add_version(name)
        found = subject.registry.find_model(name)
        listed = subject.registry.list_versions(name)

        assert found is not None
        assert (found.name, found.description, found.tags, found.pointers) == (name, "", (), ())
        assert [(item.model, item.version) for item in listed.items] == [(name, second), (name, first)]
        assert listed.next_cursor == ""
        version = subject.registry.find_version(name, first)
        assert version is not None
        assert (version.model, version.version, version.stage) == (name, first, "")

    @pytest.mark.parametrize(
        "name",
        ["", ".", "..", "a/b", "a:b", "missing", "CASE", "\n", "\0", "\ud800", "☃" * 400, "x" * 2000, "%27", "it''s"],
        ids=lambda name: repr(name)[:12],
    )
    def test_what_is_not_there_is_nothing(self, subject: Subject, name: str) -> None:
        """A model that does not exist, or cannot, is None and has no versions; so is a version."""
        subject.add_model("present")
        registry = subject.registry

        assert registry.find_model(name) is None
        assert registry.list_versions(name).items == ()
        assert registry.find_version(name, "1") is None
        assert registry.find_run(name, "1") is None
        assert registry.find_version("present", name) is None

    @pytest.mark.parametrize("spelling", ["0{}", " {}", "{} ", "+{}", "{}.0", "-{}"])
    def test_a_version_has_one_spelling(self, subject: Subject, spelling: str) -> None:
        """A version is found by its exact name alone."""
        subject.add_model("spelled")
        version = subject.add_version("spelled")

        assert subject.registry.find_version("spelled", version) is not None
        assert subject.registry.find_version("spelled", spelling.format(version)) is None
        assert subject.registry.find_version("spelled", "\u0660" + version) is None

    def test_a_model_shows_its_description_and_tags(self, subject: Subject) -> None:
        """Tags are sorted by name."""
        subject.add_model("described", description="A ☃ model", tags={"team": "risk", "area": "fraud"})
        found = subject.registry.find_model("described")

        assert found is not None
        assert found.description == "A ☃ model"
        assert found.tags == (NamedValue(name="area", value="fraud"), NamedValue(name="team", value="risk"))

    def test_models_come_page_by_page(self, subject: Subject) -> None:
        """Every model once, none twice, in pages of at most what was asked for."""
        names = {f"paged-{number}" for number in range(5)}
        for name in names:
            subject.add_model(name)
        seen: list[str] = []
        cursor = ""
        while True:
            page = subject.registry.list_models(cursor=cursor, limit=2)
            assert len(page.items) <= 2
            seen += [item.name for item in page.items]
            cursor = page.next_cursor
            if not cursor:
                break

        assert names <= set(seen)
        assert len(seen) == len(set(seen))

    def test_versions_come_newest_first(self, subject: Subject) -> None:
        """Over the pages too, and with when they were made."""
        subject.add_model("many")
        made = [subject.add_version("many") for _ in range(5)]
        first = subject.registry.list_versions("many", limit=3)
        second = subject.registry.list_versions("many", limit=3, cursor=first.next_cursor)

        assert [item.version for item in (*first.items, *second.items)] == made[::-1]
        assert len(first.items) == 3
        assert second.next_cursor == ""
        times = [item.created for item in first.items]
        assert all(times)
        assert times == sorted(times, key=lambda time: time or 0, reverse=True)

    @pytest.mark.parametrize("cursor", ["nonsense", "\u2603", "a b", "\0", "-1", "e30=", "x" * 5000], ids=range(7))
    def test_a_cursor_that_it_never_gave_is_refused(self, subject: Subject, cursor: str) -> None:
        """By name, not with the first page and not with an empty one."""
        subject.add_model("cursors")
        for ask in (
            subject.registry.list_models,
            lambda cursor: subject.registry.list_versions("cursors", cursor=cursor),
        ):
            with pytest.raises(RegistryAnswerError) as caught:
                ask(cursor=cursor)
            assert caught.value.code == "registry.answer"

    def test_a_version_shows_its_tags_and_its_run(self, subject: Subject) -> None:
        """And the run, what made it: code, parameters, metrics, data sets with digests."""
        subject.add_model("trained")
        version = subject.add_version("trained", run=True, tags={"b": "2", "a": "1"})
        found = subject.registry.find_version("trained", version)
        run = subject.registry.find_run("trained", version)

        assert found is not None
        assert found.tags == (NamedValue(name="a", value="1"), NamedValue(name="b", value="2"))
        assert bool(found.digest) is subject.states_digests
        assert run is not None
        assert run.id == found.run
        assert (run.code_commit, run.source_name, run.user) == (CODE_COMMIT, "train.py", "ada")
        assert (run.params, run.metrics) == (PARAMS, METRICS)
        assert sorted(run.datasets, key=lambda item: item.name, reverse=True) == list(DATASETS)

    def test_a_version_without_a_run_has_none(self, subject: Subject) -> None:
        """Nothing is made up."""
        subject.add_model("untrained")
        version = subject.add_version("untrained")

        assert subject.registry.find_run("untrained", version) is None

    def test_a_pointer_is_set_moved_and_taken_away(self, subject: Subject) -> None:
        """Each time only from where it is expected; other pointers stay where they are."""
        subject.add_model("pointed", tags={"team": "risk"})
        first, second = subject.add_version("pointed"), subject.add_version("pointed")
        registry = subject.registry

        registry.move_pointer("pointed", "champion", first, expected=None, permit="")
        registry.move_pointer("pointed", "challenger", second, expected=None, permit="a.b.c")
        assert pointers(registry, "pointed") == {"challenger": second, "champion": first}
        registry.move_pointer("pointed", "champion", second, expected=first, permit="")
        assert pointers(registry, "pointed") == {"challenger": second, "champion": second}
        registry.move_pointer("pointed", "champion", None, expected=second, permit="")
        assert pointers(registry, "pointed") == {"challenger": second}
        registry.move_pointer("pointed", "champion", first, expected=None, permit="")
        found = registry.find_model("pointed")
        assert found is not None
        assert [pointer.name for pointer in found.pointers] == ["challenger", "champion"]
        assert found.tags == (NamedValue(name="team", value="risk"),)

    def test_a_pointer_elsewhere_stays_there(self, subject: Subject) -> None:
        """If it does not stand where it is expected, nothing is moved."""
        subject.add_model("compared")
        first, second = subject.add_version("compared"), subject.add_version("compared")
        registry = subject.registry
        registry.move_pointer("compared", "champion", first, expected=None, permit="")

        for expected in (None, second, "77"):
            for version in (second, None):
                with pytest.raises(PointerMovedError) as caught:
                    registry.move_pointer("compared", "champion", version, expected=expected, permit="")
                assert caught.value.code == "registry.pointer_moved"
        with pytest.raises(PointerMovedError):
            registry.move_pointer("compared", "other", second, expected=first, permit="")
        assert pointers(registry, "compared") == {"champion": first}

    def test_a_pointer_needs_a_version_that_is_there(self, subject: Subject) -> None:
        """Nothing points to what does not exist, of a model or of a version, and no name is one that cannot be kept."""
        subject.add_model("aimed")
        version = subject.add_version("aimed")
        registry = subject.registry
        tries = [("aimed", "champion", "77"), ("missing", "champion", version), ("aimed", "a/b", version)]
        tries += [("aimed", "", version), ("aimed", "☃", version), ("aimed", "champion", "\ud800")]

        for model, alias, aim in tries:
            with pytest.raises(RegistryRefusedError) as caught:
                registry.move_pointer(model, alias, aim, expected=None, permit="")
            assert caught.value.code == "registry.refused"
        assert pointers(registry, "aimed") == {}

    def test_files_are_listed_and_read(self, subject: Subject) -> None:
        """All of them by path, byte for byte; where none are kept, that is said."""
        subject.add_model("filed")
        version = subject.add_version("filed")
        registry = subject.registry
        if not subject.keeps_files:
            with pytest.raises(RegistryUnsupportedError):
                registry.list_files("filed", version)
            with pytest.raises(RegistryUnsupportedError):
                b"".join(registry.read_file("filed", version, "MLmodel", timeout_s=10))
            return
        large = bytes(range(256)) * 8192
        contents = {"MLmodel": b"flavors: {}\n", "data/weights ☃.bin": large, "data/deep/er/.hidden": b""}
        for path, content in contents.items():
            subject.add_file("filed", version, path, content)
        listed = registry.list_files("filed", version)

        assert [(file.path, file.size_bytes) for file in listed] == sorted(
            (path, len(content)) for path, content in contents.items()
        )
        assert {
            file.path: b"".join(registry.read_file("filed", version, file.path, timeout_s=10)) for file in listed
        } == contents
        assert registry.list_files("filed", subject.add_version("filed")) == ()
        for path in (
            "../MLmodel",
            "/MLmodel",
            "data/../MLmodel",
            "data//x",
            "",
            ".",
            "a\\b",
            "%2e%2e/x",
            "\0",
            "missing",
        ):
            with pytest.raises(RegistryAnswerError):
                b"".join(registry.read_file("filed", version, path, timeout_s=10))


class RemoteRegistryContract(RegistryContract):
    """What those do besides that are reached over a network, where more can happen between two steps."""

    def test_a_pointer_that_somebody_else_moved_is_told(self, subject: RemoteSubject) -> None:
        """Reading back shows where it stands; there is no second try."""
        subject.add_model("contended")
        first, second = subject.add_version("contended"), subject.add_version("contended")
        moves: list[str] = []

        def steal(call: Call) -> None:
            if call.method in {"POST", "PATCH"}:
                moves.append(call.method)
                subject.registry.move_pointer("contended", "champion", first, expected=second, permit="")

        with meddling_proxy(subject.url, steal) as proxy, pytest.raises(PointerMovedError) as caught:
            subject.through(proxy.url).move_pointer("contended", "champion", second, expected=None, permit="")

        assert "after the move" in str(caught.value)
        assert len(moves) == 1
        assert pointers(subject.registry, "contended") == {"champion": first}

    def test_the_permit_is_shown_where_something_is_moved(self, subject: RemoteSubject) -> None:
        """In a header of the one request that changes something, and of no other."""
        subject.add_model("permitted")
        version = subject.add_version("permitted")
        with meddling_proxy(subject.url, lambda _call: None) as proxy:
            subject.through(proxy.url).move_pointer("permitted", "champion", version, expected=None, permit="a.b.c")

        shown = {call.method: call.headers.get("Lockgate-Permit") for call in proxy.calls}
        assert shown.pop("GET") is None
        assert list(shown.values()) == ["a.b.c"]
