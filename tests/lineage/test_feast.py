"""Feast's registry server, against a fake that was made from what it documents and answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lockgate.errors import LockgateError
from lockgate.lineage.snapshots import VIEWS_MAX, FeatureView
from support.feast_server import PROJECT, SERVICE, FakeFeast, running_feast
from support.gate_server import Call, Reply, json_reply, serve_gate


@pytest.fixture
def feast() -> Iterator[FakeFeast]:
    """A server with one service of two views."""
    with running_feast() as server:
        yield server


def code_of(feast: FakeFeast) -> str:
    """Return the code that looking the service up fails with."""
    with pytest.raises(LockgateError) as caught:
        feast.store().find_views(PROJECT, SERVICE)
    return caught.value.code


def views_of(feast: FakeFeast) -> dict[str, FeatureView]:
    """Return the service's views by name."""
    views = feast.store().find_views(PROJECT, SERVICE)
    assert views is not None
    return {view.name: view for view in views}


def test_views_of_a_service_are_found(feast: FakeFeast) -> None:
    """Each view comes with its owner, what its tags say, and a digest of its definition."""
    views = views_of(feast)

    assert list(views) == ["card_activity", "merchant_risk"]
    for view in views.values():
        assert (view.project, view.found, view.owner) == (PROJECT, True, "risk-data@example.com")
        assert (view.deprecated, view.pii) == (False, False)
    assert len({view.definition_sha256 for view in views.values()}) == 2


def test_a_service_or_view_that_is_not_there_is_told(feast: FakeFeast) -> None:
    """A service that is not there has no views; a view that is not there is named as such."""
    del feast.views["merchant_risk"]

    assert feast.store().find_views(PROJECT, "other") is None
    assert views_of(feast)["merchant_risk"] == FeatureView(project=PROJECT, name="merchant_risk", found=False)


@pytest.mark.parametrize(
    ("spec", "deprecated", "pii"),
    [
        ({"tags": {"deprecated": "true"}}, True, False),
        ({"tags": {"deprecated": "use card_activity"}}, True, False),
        ({"tags": {"deprecated": "False", "pii": "no"}}, False, False),
        ({"tags": {"pii": "yes"}}, False, True),
        ({"features": [{"name": "iban", "tags": {"pii": "true"}}, {"name": "amount"}]}, False, True),
        ({"owner": "  "}, False, False),
    ],
)
def test_tags_tell_what_is_deprecated_and_personal(
    feast: FakeFeast, spec: dict[str, Any], *, deprecated: bool, pii: bool
) -> None:
    """Any value but no means yes; one feature with personal data makes the view personal."""
    feast.apply_view("card_activity", **spec)

    view = views_of(feast)["card_activity"]

    assert (view.deprecated, view.pii) == (deprecated, pii)
    assert bool(view.owner) == ("owner" not in spec)


def test_a_changed_definition_has_another_digest(feast: FakeFeast) -> None:
    """Whatever is changed in a view is seen; when it was changed makes no difference by itself."""
    before = views_of(feast)["card_activity"].definition_sha256
    feast.views["card_activity"]["meta"] = {"lastUpdatedTimestamp": "2026-07-01T08:00:00Z"}
    same = views_of(feast)["card_activity"].definition_sha256
    feast.apply_view("card_activity", ttl="3600s")

    assert same == before
    assert views_of(feast)["card_activity"].definition_sha256 != before


def test_an_older_server_answers_one_level_deeper(feast: FakeFeast) -> None:
    """A view within `featureView`, as older servers answer it, is read alike."""
    before = views_of(feast)
    feast.views = {name: {"featureView": found} for name, found in feast.views.items()}

    assert views_of(feast) == before


def test_the_token_is_shown(feast: FakeFeast, tmp_path: Path) -> None:
    """The bearer token of the settings' file goes with each request, and fresh answers are asked for."""
    (tmp_path / "token").write_text("s3cret\n")

    feast.store(token_file=str(tmp_path / "token")).find_views(PROJECT, SERVICE)

    assert {call.headers.get("Authorization") for call in feast.calls} == {"Bearer s3cret"}
    assert all("allow_cache=false" in call.path for call in feast.calls)


def test_a_service_of_many_views_is_asked_for_no_more_than_are_kept(feast: FakeFeast) -> None:
    """Of a service with more views than a snapshot holds, one more is asked for, so that the rest is known to exist."""
    names = [f"view_{number:03}" for number in range(VIEWS_MAX + 40)]
    for name in names:
        feast.apply_view(name)
    feast.apply_service(SERVICE, *names)

    assert len(views_of(feast)) == VIEWS_MAX + 1
    assert len(feast.calls) == VIEWS_MAX + 2


def test_names_stay_within_their_path(feast: FakeFeast) -> None:
    """A view's name with odd characters is quoted, whatever it looks like."""
    feast.apply_view("../../a?b=c#d")
    feast.apply_service(SERVICE, "../../a?b=c#d")

    assert views_of(feast)["../../a?b=c#d"].found


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (json_reply({"detail": "no"}, status=401), "registry.refused"),
        (json_reply({"detail": "no"}, status=403), "registry.refused"),
        (json_reply({"detail": "broken"}, status=500), "registry.unavailable"),
        (json_reply({"detail": "odd"}, status=422), "registry.answer"),
        (json_reply({"spec": {"name": "another"}}), "registry.answer"),
        (json_reply({"spec": []}), "registry.answer"),
        (json_reply({"spec": {"name": SERVICE, "features": [{"featureViewName": ""}]}}), "registry.answer"),
        (json_reply([]), "registry.answer"),
        (Reply(body=b"<html>"), "registry.answer"),
    ],
)
def test_what_is_not_understood_has_a_code(reply: Reply, code: str) -> None:
    """Nonsense, refusals and failures are told apart; none of them is an empty list of views."""

    def answer(_: Call) -> Reply:
        return reply

    with serve_gate(answer) as server:
        assert code_of(FakeFeast(url=server.url)) == code


def test_a_store_that_is_not_there_is_unavailable() -> None:
    """Nobody listens: worth another try."""
    assert code_of(FakeFeast(url="http://127.0.0.1:9")) == "registry.unavailable"
