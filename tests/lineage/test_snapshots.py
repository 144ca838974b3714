"""Snapshots of lineage: their bounds, their score, their bytes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.canonical_json import canonicalize
from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex
from lockgate.lineage.snapshots import (
    DATASETS_MAX,
    METRICS_MAX,
    PARAMS_MAX,
    SNAPSHOT_BYTES_MAX,
    VIEWS_MAX,
    Features,
    FeatureService,
    FeatureView,
    LineageProblem,
    lineage_bytes,
    lineage_document,
    parse_lineage,
    record_id,
    same_finding,
)
from lockgate.registry.errors import RegistryAnswerError
from lockgate.registry.types import Dataset, NamedValue, Run
from support.lineages import DATASET, FEATURES, NO_FEATURES, NOW, RUN, VIEW, lineage_of, registry_version

UNRESOLVED = Features(service=replace(FEATURES.service, status="unresolved"))


def test_a_snapshot_is_read_as_it_was_written() -> None:
    """What was found comes back from the bytes, but for the run's tags, which nobody needs any more."""
    lineage = lineage_of()

    assert parse_lineage(lineage_bytes(lineage)) == lineage
    assert lineage.run == replace(RUN, tags=())
    assert (lineage.problems, lineage.truncated, lineage.score) == ((), (), 100)


@pytest.mark.parametrize(
    ("changes", "score"),
    [
        ({}, 100),
        ({"features": NO_FEATURES}, 100),
        ({"run": None, "features": NO_FEATURES}, 0),
        ({"run": replace(RUN, code_commit="")}, 75),
        ({"run": replace(RUN, code_commit=""), "features": NO_FEATURES}, 66),
        ({"run": replace(RUN, datasets=())}, 75),
        ({"run": replace(RUN, datasets=(DATASET, replace(DATASET, digest="")))}, 75),
        ({"run": replace(RUN, datasets=(DATASET,) * (DATASETS_MAX + 1))}, 75),
        ({"features": UNRESOLVED}, 75),
        ({"features": replace(FEATURES, views=(VIEW, FeatureView(project="p", name="n", found=False)))}, 75),
        ({"features": replace(FEATURES, views=(VIEW,) * (VIEWS_MAX + 1))}, 75),
    ],
)
def test_the_score_counts_what_is_there(changes: dict[str, Any], score: int) -> None:
    """Run, commit, datasets with digest, and the declared feature views count alike; the share is rounded down."""
    assert lineage_of(**changes).score == score


def test_lists_are_cut_and_say_so() -> None:
    """Of each list no more is kept than a snapshot holds, and the list is named as cut."""
    values = tuple(NamedValue(name=f"n{number:04}", value="1") for number in range(PARAMS_MAX + 1))
    run = replace(
        RUN,
        params=values,
        metrics=values[: METRICS_MAX + 1],
        datasets=tuple(replace(DATASET, name=f"d{number:03}") for number in range(DATASETS_MAX + 1)),
    )

    lineage = lineage_of(run=run, features=replace(FEATURES, views=(VIEW,) * (VIEWS_MAX + 1)))

    assert lineage.truncated == ("datasets", "feature_views", "metrics", "params")
    assert (len(lineage.run.params), len(lineage.run.metrics)) == (PARAMS_MAX, METRICS_MAX)
    assert (len(lineage.run.datasets), len(lineage.feature_views)) == (DATASETS_MAX, VIEWS_MAX)
    assert lineage.problems == ()


def test_a_text_is_cut_but_an_identifier_never() -> None:
    """Of a long name the beginning is kept; a part of a digest or commit would be another one, so nothing is."""
    run = replace(RUN, code_commit="c" * 129, datasets=(replace(DATASET, name="n" * 300, digest="d" * 256),))

    lineage = lineage_of(run=run)

    assert lineage.run.code_commit == ""
    assert lineage.run.datasets[0].digest == ""
    assert lineage.run.datasets[0].name == "n" * 255
    assert lineage.problems == (LineageProblem.TEXT_CHANGED,)
    assert lineage.score == 50


@pytest.mark.parametrize(
    ("artifact", "kept"), [("sha256:" + "a" * 64, True), ("sha256:short", False), ("md5:1", False), ("", False)]
)
def test_only_a_digest_is_an_artifact(artifact: str, *, kept: bool) -> None:
    """What a registry calls a digest counts only if it is one."""
    assert lineage_of(artifact=artifact).artifact == (artifact if kept else "")


def test_the_same_finding_at_another_time_is_no_news() -> None:
    """Snapshots differ by what was found, not by when, and not by the order that a registry answers in."""
    two = (DATASET, replace(DATASET, name="labels"))
    first, later = lineage_of(run=replace(RUN, datasets=two)), EpochNs(NOW + 10**9)

    assert same_finding(first, lineage_of(run=replace(RUN, datasets=two[::-1]), now=later))
    assert not same_finding(first, lineage_of(run=RUN, now=later))


def test_a_record_is_found_by_its_snapshot() -> None:
    """The record's id is a UUID of version 8 made of the snapshot's digest."""
    sha256 = sha256_hex(lineage_bytes(lineage_of()))

    assert record_id(sha256)[14] == "8"
    assert record_id(sha256)[19] in "89ab"
    assert record_id(sha256)[:8] == sha256[:8]
    assert record_id(sha256) != record_id(sha256_hex(b""))


@pytest.mark.parametrize(
    "changes",
    [{"score": 101}, {"approved": True}, {"run": None}, {"schema_version": 2}],
    ids=["score", "more", "run", "version"],
)
def test_what_is_no_snapshot_is_refused(changes: dict[str, Any]) -> None:
    """Bytes that break the schema are no snapshot."""
    body = canonicalize({**lineage_document(lineage_of()), **changes}, bytes_max=SNAPSHOT_BYTES_MAX)

    with pytest.raises(RegistryAnswerError):
        parse_lineage(body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", lineage_bytes(lineage_of()) + b" ", b"\xff"],
    ids=["empty", "object", "list", "space", "no UTF-8"],
)
def test_bytes_that_are_not_canonical_are_refused(body: bytes) -> None:
    """A snapshot has one spelling."""
    with pytest.raises(RegistryAnswerError):
        parse_lineage(body)


TEXTS = st.text(st.characters(), max_size=600)
VALUES = st.lists(st.builds(NamedValue, name=TEXTS, value=TEXTS), max_size=6).map(tuple)
RUNS = st.builds(
    Run,
    id=TEXTS,
    code_commit=TEXTS,
    source_name=TEXTS,
    user=TEXTS,
    params=VALUES,
    metrics=VALUES,
    tags=VALUES,
    datasets=st.lists(st.builds(Dataset, name=TEXTS, digest=TEXTS, source=TEXTS, context=TEXTS), max_size=6).map(tuple),
)


@settings(deadline=None, max_examples=150)
@given(run=RUNS, source=TEXTS, artifact=TEXTS, views=st.lists(TEXTS.filter(bool), max_size=5))
def test_whatever_a_registry_says_makes_a_snapshot(run: Run, source: str, artifact: str, views: list[str]) -> None:
    """No text that a registry could hold breaks a snapshot, and none gets longer than its bounds."""
    features = Features(
        service=FeatureService(status="resolved", resolved_by="run_tag", store="s", project="p", name="n"),
        views=tuple(FeatureView(project="p", name=name, found=False) for name in views),
    )

    lineage = lineage_of(
        run=run, version=replace(registry_version(), source=source), artifact=artifact, features=features
    )

    assert parse_lineage(lineage_bytes(lineage)) == lineage
