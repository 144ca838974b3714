"""The Flask application."""

from flask import Flask

from lockgate.bootstrap import Services
from lockgate.promotion import REQUEST_BYTES_MAX
from lockgate.web.api.audit import audit_blueprint
from lockgate.web.api.audit_records import audit_records_blueprint
from lockgate.web.api.health import health_blueprint
from lockgate.web.api.policy import policy_blueprint
from lockgate.web.api.promotions import promotions_blueprint
from lockgate.web.authentication import register_authentication
from lockgate.web.observation import Metrics, register_observation
from lockgate.web.problems import register_problems


def create_app(services: Services, *, several_processes: bool = False) -> Flask:
    """Make the application.

    Args:
        services: The rooms, wired.
        several_processes: Whether counters are shared with other processes of this instance.
    """
    app = Flask("lockgate", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = REQUEST_BYTES_MAX
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.strict_slashes = True
    metrics = Metrics(several_processes=several_processes)
    register_problems(app)
    register_observation(app, metrics)
    register_authentication(app, services.identities)
    app.before_request(services.trust.refresh)
    for blueprint in (
        promotions_blueprint(services, metrics),
        audit_blueprint(services),
        audit_records_blueprint(services),
        policy_blueprint(services),
        health_blueprint(services, metrics),
    ):
        app.register_blueprint(blueprint)
    return app
