"""Puts the guard together and in the way of an MLflow application."""

import os
import time
from typing import TypeAlias

import flask
from fastapi import FastAPI
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES, MLFLOW_SERVER_ENABLE_JOB_EXECUTION
from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR, ARTIFACTS_ONLY_ENV_VAR

from lockgate_mlflow_guard import asgi, flask_routes, log
from lockgate_mlflow_guard.guard import Guard, read_keys
from lockgate_mlflow_guard.permits import KeysError
from lockgate_mlflow_guard.pointers import Pointers, PointersUnavailableError
from lockgate_mlflow_guard.settings import KEYS_FILE, STATE_FILE, Settings, SettingsError, read_settings
from lockgate_mlflow_guard.spent import SpentPermits, SpentPermitsError

Application: TypeAlias = flask.Flask | FastAPI


def read_checked_settings() -> Settings:
    """Read the settings and try the files that they name.

    Raises:
        SettingsError: The guard cannot start so.
    """
    settings = read_settings(os.environ)
    try:
        read_keys(settings)
    except KeysError as exc:
        raise SettingsError(f"{KEYS_FILE}: {exc}") from exc
    try:
        SpentPermits(settings.state_file).prepare()
    except SpentPermitsError as exc:
        raise SettingsError(f"{STATE_FILE}: {exc}") from exc
    if MLFLOW_ENABLE_WORKSPACES.get():
        raise SettingsError("a permit names no workspace; the guard does not serve an MLflow that has them")
    return settings


def put_guard(settings: Settings, flask_app: flask.Flask, application: Application) -> Application:
    """Put the guard in the way of an application, and try MLflow's database.

    Args:
        settings: The guard's.
        flask_app: MLflow's Flask application.
        application: What is served: the same one, or the FastAPI application around it.

    Raises:
        SettingsError: This server has no registry that the guard could read.
    """
    if os.environ.get(ARTIFACTS_ONLY_ENV_VAR):
        raise SettingsError("a server with --artifacts-only has no registry to say what is protected")
    pointers = Pointers(settings.aliases)
    try:
        pointers.of_all()
    except PointersUnavailableError as exc:
        raise SettingsError(f"the guard needs a registry in a database: {exc}") from exc
    guard = Guard(
        settings=settings,
        spent=SpentPermits(settings.state_file),
        pointers=pointers,
        destination=os.environ.get(ARTIFACTS_DESTINATION_ENV_VAR, ""),
        now=time.time,
    )
    log.prepare()
    flask_routes.stand_before(flask_app, guard)
    if isinstance(application, FastAPI):
        asgi.stand_before(application, guard)
    if MLFLOW_SERVER_ENABLE_JOB_EXECUTION.get():
        log.warn(
            "users' jobs run on this host beside the database, where nothing guards it: "
            "set MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"
        )
    return application
