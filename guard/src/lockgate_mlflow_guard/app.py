"""The entry point `lockgate`: MLflow's own server, guarded."""

from typing import Final

from mlflow.environment_variables import _MLFLOW_SGI_NAME
from mlflow.server import app as flask_app

from lockgate_mlflow_guard.guarding import Application, put_guard, read_checked_settings
from lockgate_mlflow_guard.settings import Settings

# `mlflow server` imports this module before it starts workers: a guard that is set wrongly ends it here, with one
# message. Found only in the workers, it would be told by each of them, again and again.
_SETTINGS: Final[Settings] = read_checked_settings()


def create_app() -> Application:
    """Make what the server serves: an ASGI application under uvicorn, a WSGI one under gunicorn and waitress."""
    application: Application = flask_app
    if _MLFLOW_SGI_NAME.get() == "uvicorn":
        from mlflow.server.fastapi_app import create_fastapi_app  # noqa: PLC0415 - importing it makes an application

        application = create_fastapi_app(flask_app)
    return put_guard(_SETTINGS, flask_app, application)
