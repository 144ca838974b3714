"""Which of MLflow's routes is judged how. By the name of Flask's endpoint, which all spellings of a route's path share.

The message of a call is read by MLflow's own parser, with the type that its handler takes: whatever it makes of names
that stand twice, of two spellings of a field, of texts within texts, the guard judges what the handler will act on.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import flask
from mlflow.protos import mlflow_artifacts_pb2, model_registry_pb2, service_pb2
from mlflow.server import handlers
from mlflow.utils.uri import validate_path_is_safe

from lockgate_mlflow_guard.answers import Refusal
from lockgate_mlflow_guard.guard import Guard
from lockgate_mlflow_guard.locations import Location, locate, locate_below
from lockgate_mlflow_guard.permits import Move, Permit

PERMIT_HEADER: Final = "Lockgate-Permit"
READING_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# A path with one of these in it is about models, versions or files. What changes there and is not listed is refused.
GUARDED_NAMES: Final = frozenset({"registered-models", "model-versions", "mlflow-artifacts", "logged-models"})

ARTIFACTS: Final = "/mlflow-artifacts/artifacts/"

Outcome: TypeAlias = Permit | Refusal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a route's call would do, and what the guard says to it."""

    act: str
    outcome: Outcome
    facts: Mapping[str, str]


def is_guarded(path: str) -> bool:
    """Tell whether a path is about models, versions or their files."""
    return not GUARDED_NAMES.isdisjoint(path.split("/"))


def judge_artifact(guard: Guard, artifact_path: str, *further: str) -> Judged:
    """Judge writing or deleting below the server's own artifacts.

    Args:
        guard: Who judges.
        artifact_path: As the route has it; MLflow's own check decodes it and refuses what leads outside.
        further: What the call appends to it.

    Raises:
        MlflowException: MLflow refuses the path.
        LocationError: It names no place.
    """
    path = validate_path_is_safe(artifact_path)
    paths = [path] + [posixpath.join(path, name) for name in further]
    places = [locate_below(guard.destination, each) for each in paths]
    return Judged(act="write_files", outcome=guard.judge_files(places), facts={"path": path})


def _read(message: Any) -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    return handlers._get_request_message(message)  # noqa: SLF001 - the parser that the handlers use


def _set_alias(guard: Guard) -> Judged:
    message = _read(model_registry_pb2.SetRegisteredModelAlias())
    return _judge_move(guard, "set_alias", Move(model=message.name, alias=message.alias, version=message.version))


def _delete_alias(guard: Guard) -> Judged:
    message = _read(model_registry_pb2.DeleteRegisteredModelAlias())
    return _judge_move(guard, "delete_alias", Move(model=message.name, alias=message.alias, version=""))


def _judge_move(guard: Guard, act: str, move: Move) -> Judged:
    outcome = guard.judge_move(move, flask.request.headers.get(PERMIT_HEADER))
    return Judged(act=act, outcome=outcome, facts={"model": move.model, "alias": move.alias, "version": move.version})


def _set_stage(guard: Guard) -> Judged:
    message = _read(model_registry_pb2.TransitionModelVersionStage())
    facts = {"model": message.name, "version": message.version, "stage": message.stage}
    return Judged(act="set_stage", outcome=guard.judge_stage(), facts=facts)


def _delete_version(guard: Guard) -> Judged:
    message = _read(model_registry_pb2.DeleteModelVersion())
    outcome = guard.judge_removal(message.name, message.version)
    return Judged(act="delete_version", outcome=outcome, facts={"model": message.name, "version": message.version})


def _delete_model(guard: Guard) -> Judged:
    model = _read(model_registry_pb2.DeleteRegisteredModel()).name
    return Judged(act="delete_model", outcome=guard.judge_removal(model, None), facts={"model": model})


def _rename_model(guard: Guard) -> Judged:
    model = _read(model_registry_pb2.RenameRegisteredModel()).name
    return Judged(act="rename_model", outcome=guard.judge_removal(model, None), facts={"model": model})


def _tag(make_message: Callable[[], Any]) -> Callable[[Guard], Judged]:
    def judge(guard: Guard) -> Judged:
        message = _read(make_message())
        return Judged(
            act="tag", outcome=guard.judge_tags([message.key]), facts={"model": message.name, "tag": message.key}
        )

    return judge


def _create(make_message: Callable[[], Any]) -> Callable[[Guard], Judged]:
    """What is made with tags gets them as if they were set."""

    def judge(guard: Guard) -> Judged:
        message = _read(make_message())
        outcome = guard.judge_tags([tag.key for tag in message.tags])
        return Judged(act="tag", outcome=outcome, facts={"model": message.name})

    return judge


def _write_artifact(guard: Guard) -> Judged:
    return judge_artifact(guard, _view_argument("artifact_path"))


def _write_parts(make_message: Callable[[], Any]) -> Callable[[Guard], Judged]:
    """An upload in parts: the route names the folder, the message the file."""

    def judge(guard: Guard) -> Judged:
        return judge_artifact(guard, _view_argument("artifact_path"), _read(make_message()).path)

    return judge


def _upload_to_run(guard: Guard) -> Judged:
    arguments = flask.request.args
    run = arguments.get("run_uuid", "")
    path = validate_path_is_safe(arguments.get("path", ""))
    return _judge_run_files(guard, "write_files", run, path)


def _presign_upload(guard: Guard) -> Judged:
    message = _read(service_pb2.CreatePresignedUploadUrl())
    path = validate_path_is_safe(message.path)
    if message.model_id:
        return _judge_logged_model(guard, "write_files", message.model_id)
    return _judge_run_files(guard, "write_files", message.run_id, path)


def _delete_run(guard: Guard) -> Judged:
    """MLflow only marks a run, and `mlflow gc` then deletes its files."""
    return _judge_run_files(guard, "delete_run", _read(service_pb2.DeleteRun()).run_id, "")


def _delete_experiment(guard: Guard) -> Judged:
    experiment_id = _read(service_pb2.DeleteExperiment()).experiment_id
    experiment = handlers._get_tracking_store().get_experiment(experiment_id)  # noqa: SLF001 - as in `pointers`
    outcome = guard.judge_files([locate(experiment.artifact_location, destination=guard.destination)])
    return Judged(act="delete_experiment", outcome=outcome, facts={"experiment": experiment_id})


def _delete_logged_model(guard: Guard) -> Judged:
    return _judge_logged_model(guard, "delete_logged_model", _view_argument("model_id"))


def _judge_logged_model(guard: Guard, act: str, model_id: str) -> Judged:
    logged_model = handlers._get_tracking_store().get_logged_model(model_id)  # noqa: SLF001 - as in `pointers`
    outcome = guard.judge_files([locate(logged_model.artifact_location, destination=guard.destination)])
    return Judged(act=act, outcome=outcome, facts={"logged_model": model_id})


def _judge_run_files(guard: Guard, act: str, run_id: str, path: str) -> Judged:
    info = handlers._get_tracking_store().get_run(run_id).info  # noqa: SLF001 - as in `pointers`
    # Two places: where the run says its files are, and where the server puts them if it serves them itself.
    served = posixpath.join(info.experiment_id, info.run_id, "artifacts", path)
    places: list[Location] = [
        locate(posixpath.join(info.artifact_uri, path), destination=guard.destination),
        locate_below(guard.destination, served),
    ]
    return Judged(act=act, outcome=guard.judge_files(places), facts={"run": run_id, "path": path})


def _view_argument(name: str) -> str:
    return str((flask.request.view_args or {})[name])


JUDGES: Final[Mapping[str, Callable[[Guard], Judged]]] = {
    "_set_registered_model_alias": _set_alias,
    "_delete_registered_model_alias": _delete_alias,
    "_transition_stage": _set_stage,
    "_delete_model_version": _delete_version,
    "_delete_registered_model": _delete_model,
    "_rename_registered_model": _rename_model,
    "_set_registered_model_tag": _tag(model_registry_pb2.SetRegisteredModelTag),
    "_delete_registered_model_tag": _tag(model_registry_pb2.DeleteRegisteredModelTag),
    "_set_model_version_tag": _tag(model_registry_pb2.SetModelVersionTag),
    "_delete_model_version_tag": _tag(model_registry_pb2.DeleteModelVersionTag),
    "_create_registered_model": _create(model_registry_pb2.CreateRegisteredModel),
    "_create_model_version": _create(model_registry_pb2.CreateModelVersion),
    "_upload_artifact": _write_artifact,
    "_delete_artifact_mlflow_artifacts": _write_artifact,
    "_create_multipart_upload_artifact": _write_parts(mlflow_artifacts_pb2.CreateMultipartUpload),
    "_complete_multipart_upload_artifact": _write_parts(mlflow_artifacts_pb2.CompleteMultipartUpload),
    "_abort_multipart_upload_artifact": _write_parts(mlflow_artifacts_pb2.AbortMultipartUpload),
    "serve_upload_artifact": _upload_to_run,
    "_create_presigned_upload_url": _presign_upload,
    "_delete_logged_model": _delete_logged_model,
    "_delete_run": _delete_run,
    "_delete_experiment": _delete_experiment,
}
"""Each route that could touch what is protected."""

HARMLESS: Final = frozenset(
    {
        "_update_registered_model",  # its description
        "_update_model_version",  # its description
        "_get_latest_versions",  # reads, by POST
        "_search_logged_models",  # reads, by POST
        "_create_logged_model",  # at a place of its own
        "_finalize_logged_model",  # its status
        "_log_logged_model_params",  # adds what is missing
        "_set_logged_model_tags",  # tags of what was logged are no registry's
        "_delete_logged_model_tag",  # same
    }
)
"""Routes within the guarded names that change nothing of what is protected."""
