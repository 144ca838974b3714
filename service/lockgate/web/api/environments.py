"""Environments, by the policy in force."""

from typing import Any

from flask import Blueprint, Response

from lockgate.bootstrap import Services
from lockgate.web.authorization import operation
from lockgate.web.parameters import allow_only
from lockgate.web.responses import json_response


def environments_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("environments", __name__)

    @blueprint.get("/v1/environments")
    @operation("environments.list")
    def environments() -> Response:
        allow_only()
        return json_response("v1/api/environment_list", _environments(services))

    return blueprint


def _environments(services: Services) -> dict[str, Any]:
    catalogue = services.policy.engine.catalogue()
    pointers = [
        (environment, {"registry": registry.name, "alias": alias})
        for registry in services.registry_settings
        for environment, alias in registry.aliases.items()
    ]
    return {
        "policy_revision": catalogue.revision,
        "environments": [
            {"name": name, "pointers": [pointer for environment, pointer in pointers if environment == name]}
            for name in catalogue.environments
        ],
        "transitions": [
            {"kind": edge.kind, "from": edge.from_environment, "to": edge.to_environment}
            for edge in catalogue.transitions
        ],
    }
