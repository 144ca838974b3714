"""The entry point `lockgate-auth`: MLflow's server with its own basic-auth, guarded: against its admin, too."""

from typing import Final

from mlflow.server import app as flask_app
from mlflow.server import auth

from lockgate_mlflow_guard.guarding import Application, put_guard, read_checked_settings
from lockgate_mlflow_guard.settings import Settings

# As in `app`; and what MLflow's basic-auth needs, MLflow tries beforehand only under its own name, `basic-auth`.
_SETTINGS: Final[Settings] = read_checked_settings()
auth.get_flask_server_secret_key()
auth.bootstrap_admin_user()


def create_app() -> Application:
    """Make what the server serves: basic-auth in front, the guard behind it."""
    application: Application = auth.create_app(flask_app)
    return put_guard(_SETTINGS, flask_app, application)
