"""Which feature service a version reads, and the settings of feature stores."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.lineage.feature_stores import (
    FEATURE_STORES_MAX,
    FeatureStoreInvalidError,
    declared_service,
    parse_feature_stores,
)
from lockgate.lineage.snapshots import FeatureService, LineageProblem
from lockgate.registry.errors import RegistryUnavailableError
from lockgate.registry.types import NamedValue

TABLE: dict[str, Any] = {
    "name": "feast",
    "type": "feast",
    "url": "https://feast.example.org",
    "projects": ["fraud"],
    "mapping": [{"model": "fraud-detector", "project": "fraud", "feature_service": "mapped"}],
}
STORES = parse_feature_stores([TABLE])


def tags(**values: str) -> tuple[NamedValue, ...]:
    """Return Feast's tags."""
    return tuple(NamedValue(name=f"feast.{name}", value=value) for name, value in values.items())


def declared(version: dict[str, str], run: dict[str, str], model: str = "fraud-detector") -> Any:
    """Return who declared what."""
    return declared_service(model, tags(**version), tags(**run), STORES)


def test_the_versions_tag_comes_first_then_the_runs_then_the_mapping() -> None:
    """(1), (2), (3), in this order; without any of them the version declares nothing."""
    of_run = {"feature_service": "run_v1", "project": "fraud"}
    by = [
        declared({"feature_service": "version_v1"}, of_run).service,
        declared({}, of_run).service,
        declared({}, {}).service,
        declared({}, {}, model="other").service,
    ]

    assert [(service.resolved_by, service.project, service.name) for service in by] == [
        ("version_tag", "fraud", "version_v1"),
        ("run_tag", "fraud", "run_v1"),
        ("mapping", "fraud", "mapped"),
        ("", "", ""),
    ]
    assert [service.status for service in by] == ["unresolved"] * 3 + ["none"]
    assert {service.store for service in by} == {"feast", ""}


def test_nothing_is_guessed_from_names() -> None:
    """A service of the model's own name is nobody's declaration."""
    found = declared_service("fraud_v7", tags(project="fraud"), (), STORES)

    assert found.service == FeatureService(status="none")


@pytest.mark.parametrize(
    ("version", "problem"),
    [
        ({"feature_service": "fraud_v7"}, LineageProblem.FEATURE_SERVICE_PROJECT),
        ({"feature_service": "fraud_v7", "project": "../etc"}, LineageProblem.FEATURE_SERVICE_PROJECT),
        ({"feature_service": "fraud_v7", "project": "elsewhere"}, LineageProblem.FEATURE_STORE_UNKNOWN),
        ({"feature_service": "a/b", "project": "fraud"}, LineageProblem.FEATURE_SERVICE_UNKNOWN),
        ({"feature_service": "x" * 200, "project": "fraud"}, LineageProblem.FEATURE_SERVICE_UNKNOWN),
    ],
)
def test_a_declaration_that_leads_nowhere_is_unresolved(version: dict[str, str], problem: LineageProblem) -> None:
    """A tag that names no service that could be looked up stays unresolved, and no weaker declaration takes over."""
    found = declared(version, {"feature_service": "run_v1"})

    assert (found.service.status, found.service.resolved_by, found.problem) == ("unresolved", "version_tag", problem)


@pytest.mark.parametrize(
    ("tables", "path"),
    [
        ([{**TABLE, "url": "http://feast.example.org"}], "feature_store[0].url"),
        ([{**TABLE, "projects": []}], "feature_store[0].projects"),
        ([{**TABLE, "mapping": [{**TABLE["mapping"][0], "project": "other"}]}], "feature_store[0].mapping[0].project"),
        ([{**TABLE, "mapping": TABLE["mapping"] * 2}], "feature_store[0].mapping[1].model"),
        ([TABLE, {**TABLE, "projects": ["b"], "mapping": []}], "feature_store[1].name"),
        ([TABLE, {**TABLE, "name": "b", "mapping": []}], "feature_store[1].projects"),
        (
            [
                TABLE,
                {
                    **TABLE,
                    "name": "b",
                    "projects": ["b"],
                    "mapping": [{"model": "fraud-detector", "project": "b", "feature_service": "s"}],
                },
            ],
            "feature_store[1].mapping",
        ),
        ([TABLE] * (FEATURE_STORES_MAX + 1), "feature_store"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_part(tables: list[dict[str, Any]], path: str) -> None:
    """What is wrong with a table is told by the part that is wrong."""
    with pytest.raises(FeatureStoreInvalidError) as caught:
        parse_feature_stores(tables)

    assert (caught.value.code, caught.value.path) == ("feature_store.settings_invalid", path)


def test_a_token_file_that_is_gone_is_worth_another_try(tmp_path: Path) -> None:
    """A file that cannot be read at the moment makes the store unavailable, not open."""
    (settings,) = parse_feature_stores([{**TABLE, "token_file": "token"}], tmp_path)

    with pytest.raises(RegistryUnavailableError):
        settings.read_authorization()
