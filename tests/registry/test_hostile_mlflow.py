"""What the adapter makes of an MLflow that lies about names, files and copies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockgate.registry import RegistryAnswerError, RegistryUnavailableError
from lockgate.registry.answers import LIST_ITEMS_MAX, NAME_CHARS_MAX
from lockgate.registry.mlflow import FILES_MAX, MLflowRegistry
from support.gate_server import Reply, json_reply
from support.registries import registry_settings
from support.registry_answers import MLFLOW_ANSWERS, MODEL, VERSION, canned_registry, codes_of, every_call


def test_a_model_of_another_name_is_not_the_one_that_was_asked_for() -> None:
    """Some databases take `Fraud` for `fraud`; whoever answers with another model has not answered."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        registry = MLflowRegistry(registry_settings(canned.url))

        assert registry.find_model("Fraud") is None
        assert registry.list_versions("Fraud").items == ()
        assert registry.find_version("Fraud", VERSION) is None
        assert registry.find_version(MODEL, "3") is None


def test_a_version_that_vanishes_between_two_calls_is_said() -> None:
    """Its files were about to be listed; the run that it names is gone as well."""
    gone = json_reply({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "gone"}, status=404)
    with canned_registry(MLFLOW_ANSWERS) as canned:
        registry = MLflowRegistry(registry_settings(canned.url))
        canned.replies["/api/2.0/mlflow/model-versions/get-download-uri"] = gone
        canned.replies["/api/2.0/mlflow/runs/get"] = gone

        assert registry.find_run(MODEL, VERSION) is None
        with pytest.raises(Exception, match="want a version that is there"):
            registry.list_files(MODEL, VERSION)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("s3://bucket/1", "registry.unsupported"),
        ("file:///etc", "registry.unsupported"),
        ("mlflow-artifacts://elsewhere/1", "registry.unsupported"),
        ("", "registry.unsupported"),
        ("mlflow-artifacts:/../1", "registry.answer"),
        ("mlflow-artifacts:/1/%2e%2e/2", "registry.answer"),
        ("mlflow-artifacts:/", "registry.answer"),
    ],
)
def test_files_are_read_through_mlflow_alone(uri: str, code: str) -> None:
    """Where it points elsewhere, nobody goes there."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        canned.documents["/api/2.0/mlflow/model-versions/get-download-uri"] = {"artifact_uri": uri}
        registry = MLflowRegistry(registry_settings(canned.url))
        for call in every_call(registry)[-2:]:
            with pytest.raises(Exception, match="theirs") as caught:
                call()
            assert getattr(caught.value, "code", None) == code


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", "%2e%2e", "pc%41.txt"])
def test_a_file_of_a_bad_name_spoils_the_list(name: str) -> None:
    """A list without it would be a digest of something else; and MLflow would give another file for a `%`."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        canned.documents["/api/2.0/mlflow-artifacts/artifacts"]["files"].append({"path": name, "file_size": 1})
        registry = MLflowRegistry(registry_settings(canned.url))

        assert codes_of(registry) >= {"registry.answer"}
        with pytest.raises(Exception, match=r"files\[1\]"):
            registry.list_files(MODEL, VERSION)


def test_a_list_of_files_ends() -> None:
    """A folder that holds itself, or a file twice, is refused."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        registry = MLflowRegistry(registry_settings(canned.url))
        files = canned.documents["/api/2.0/mlflow-artifacts/artifacts"]["files"]
        files.append({"path": "again", "is_dir": True})
        with pytest.raises(Exception, match="want at most 10000 files in 1000 folders, 16 deep"):
            registry.list_files(MODEL, VERSION)
        assert len(canned.server.calls) < 40
        files[1] = files[0]
        with pytest.raises(Exception, match="want each file once"):
            registry.list_files(MODEL, VERSION)


def test_lists_and_names_end_somewhere() -> None:
    """Each at its limit is taken, and one beyond it refused."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        registry = MLflowRegistry(registry_settings(canned.url))
        model = canned.documents["/api/2.0/mlflow/registered-models/get"]["registered_model"]
        files = canned.documents["/api/2.0/mlflow-artifacts/artifacts"]["files"]
        model["tags"] = [{"key": f"tag-{number}", "value": ""} for number in range(LIST_ITEMS_MAX)]
        model["aliases"][0]["alias"] = "a" * NAME_CHARS_MAX
        files[:] = [{"path": f"file-{number}", "file_size": 1} for number in range(FILES_MAX)]
        found = registry.find_model(MODEL)

        assert found is not None
        assert len(found.tags) == LIST_ITEMS_MAX
        assert len(registry.list_files(MODEL, VERSION)) == FILES_MAX
        model["tags"].append({"key": "one-more", "value": ""})
        with pytest.raises(RegistryAnswerError, match="want at most 10000 items, got 10001"):
            registry.find_model(MODEL)
        model["tags"] = []
        model["aliases"][0]["alias"] += "a"
        with pytest.raises(RegistryAnswerError, match="want 1 to 1024 characters, got 1025"):
            registry.find_model(MODEL)
        files.append({"path": "one-more", "file_size": 1})
        with pytest.raises(RegistryAnswerError, match="want at most 10000 items, got 10001"):
            registry.list_files(MODEL, VERSION)


def test_a_copy_is_followed_to_its_origin_and_no_circle_for_ever() -> None:
    """A copied version's run is that of its origin; a circle of copies is refused."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        registry = MLflowRegistry(registry_settings(canned.url))
        origin = canned.documents["/api/2.0/mlflow/model-versions/get"]["model_version"]
        copied = origin | {"name": "fraud-production", "version": "1", "source": f"models:/{MODEL}/{VERSION}"}

        def by_name(call: Any) -> Reply:
            if "name=fraud-production" in call.path:
                return json_reply({"model_version": copied})
            return canned.answer(call)

        canned.server.answer = by_name
        run = registry.find_run("fraud-production", "1")
        assert run is not None
        assert run.code_commit == "0c1d2e3f"
        origin["source"] = "models:/fraud-production/1"
        with pytest.raises(Exception, match="copied at most 8 times"):
            registry.find_run("fraud-production", "1")


def test_a_token_or_a_password_is_sent_and_never_told(tmp_path: Path) -> None:
    """Read anew for each call; as a bearer token, or with a user as HTTP Basic."""
    secret = tmp_path / "token"
    secret.write_text("s3cr3t\n")
    secret.chmod(0o600)
    with canned_registry(MLFLOW_ANSWERS) as canned:
        bearer = registry_settings(canned.url, token_file=secret)
        MLflowRegistry(bearer).find_model(MODEL)
        MLflowRegistry(replace(bearer, user="lockgate")).find_model(MODEL)
        secret.unlink()
        with pytest.raises(RegistryUnavailableError) as caught:
            MLflowRegistry(bearer).find_model(MODEL)

        sent = [call.headers["Authorization"] for call in canned.server.calls]
        assert sent == ["Bearer s3cr3t", "Basic bG9ja2dhdGU6czNjcjN0"]
        assert "s3cr3t" not in str(caught.value)
