"""The policy in force: its revision and its rules."""

from flask import Blueprint, Response, g

from lockgate.audit import Actor
from lockgate.bootstrap import Services
from lockgate.policy import PolicyInForce
from lockgate.web.authentication import caller
from lockgate.web.authorization import operation
from lockgate.web.parameters import allow_only
from lockgate.web.responses import json_response


def _in_force(policy: PolicyInForce) -> Response:
    engine = policy.engine
    return json_response("v1/api/policy", {"revision": engine.catalogue().revision, "engine": engine.name})


def policy_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("policy", __name__)

    @blueprint.get("/v1/policy")
    @operation("policy.read")
    def revision() -> Response:
        allow_only()
        return _in_force(services.policy)

    @blueprint.post("/v1/policy:reload")
    @operation("policy.reload")
    def reload() -> Response:
        allow_only()
        principal = caller()
        actor = Actor(type=principal.type, id=principal.subject, roles=principal.roles)
        services.reloader.reload(actor, g.trace)
        return _in_force(services.policy)

    @blueprint.get("/v1/policy/rules")
    @operation("policy.read")
    def rules() -> Response:
        allow_only()
        catalogue = services.policy.engine.catalogue()
        document = {
            "revision": catalogue.revision,
            "rules": [
                {
                    "rule_id": rule.rule_id,
                    "title": rule.title,
                    "description": rule.description,
                    "category": rule.category,
                    "severity": rule.severity,
                    "remediation": rule.remediation,
                    "approvable": rule.approvable,
                    "controls": list(rule.controls),
                }
                for rule in catalogue.rules
            ],
        }
        return json_response("v1/api/rule_catalogue", document)

    return blueprint
