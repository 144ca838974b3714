"""The Flask application."""

from flask import Flask, request

from lockgate.bootstrap import Services
from lockgate.promotion import REQUEST_BYTES_MAX
from lockgate.web.api.alerts import alerts_blueprint
from lockgate.web.api.audit import audit_blueprint
from lockgate.web.api.audit_records import audit_records_blueprint
from lockgate.web.api.environments import environments_blueprint
from lockgate.web.api.events import events_blueprint
from lockgate.web.api.findings import findings_blueprint
from lockgate.web.api.health import health_blueprint
from lockgate.web.api.lineage import lineage_blueprint
from lockgate.web.api.live import live_blueprint
from lockgate.web.api.model_versions import model_versions_blueprint
from lockgate.web.api.models import models_blueprint
from lockgate.web.api.people import people_blueprint
from lockgate.web.api.policy import policy_blueprint
from lockgate.web.api.promotions import promotions_blueprint
from lockgate.web.api.rollouts import rollouts_blueprint
from lockgate.web.api.usage import usage_blueprint
from lockgate.web.authentication import register_authentication
from lockgate.web.authorization import register_authorization
from lockgate.web.cookies import Cookies
from lockgate.web.gauges import Gauges
from lockgate.web.headers import register_headers
from lockgate.web.limits import Limiter, Limits
from lockgate.web.metrics import Metrics
from lockgate.web.observation import register_observation
from lockgate.web.pages.home import home_blueprint
from lockgate.web.pages.login import login_blueprint
from lockgate.web.problems import register_problems
from lockgate.web.registering import EnvironmentConverter, NameConverter
from lockgate.web.tracing import NoTracing, Tracing


def create_app(
    services: Services,
    *,
    several_processes: bool = False,
    tracing: Tracing | None = None,
    limits: Limits | None = None,
    https: bool = False,
) -> Flask:
    """Make the application.

    Args:
        services: The rooms, wired.
        several_processes: Whether counters are shared with other processes of this instance.
        tracing: Who is told of spans; None for nobody.
        limits: What each process lets through; None for what is usual.
        https: Whether callers reach it over TLS.
    """

    def refresh() -> None:
        if request.path != "/livez":  # it says that the process lives, and waits for no disk and no database
            services.trust.refresh()
            services.reloader.refresh()

    app = Flask("lockgate", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = REQUEST_BYTES_MAX
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.strict_slashes = True
    app.url_map.converters["name"] = NameConverter
    app.url_map.converters["environment"] = EnvironmentConverter
    metrics = Metrics(Gauges(services), several_processes=several_processes)
    register_problems(app)
    register_observation(app, metrics, tracing or NoTracing())
    register_headers(app, https=https)
    limiter = Limiter(limits or Limits(), metrics)
    limiter.register(app)
    app.before_request(limiter.arrive)
    app.before_request(refresh)  # before anybody is believed: an issuer may have been removed
    cookies = Cookies(origin=services.login.settings.public_url) if services.login else None
    register_authentication(app, services.authenticator, cookies)
    app.before_request(limiter.admit)
    register_authorization(app, services.authorizer)
    for blueprint in (
        promotions_blueprint(services, metrics),
        rollouts_blueprint(services, metrics),
        live_blueprint(services, metrics),
        models_blueprint(services, limiter),
        model_versions_blueprint(services),
        lineage_blueprint(services, limiter),
        environments_blueprint(services),
        usage_blueprint(services, limiter),
        alerts_blueprint(services, metrics),
        audit_blueprint(services),
        audit_records_blueprint(services),
        events_blueprint(services),
        findings_blueprint(services),
        policy_blueprint(services),
        health_blueprint(services, metrics),
        people_blueprint(services),
        home_blueprint(services),
        login_blueprint(services, cookies),
    ):
        app.register_blueprint(blueprint)
    return app
