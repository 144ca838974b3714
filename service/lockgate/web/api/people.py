"""Who the caller is, and where people log in."""

from flask import Blueprint, Response

from lockgate.bootstrap import Services
from lockgate.clock import format_timestamp
from lockgate.login.errors import LoginNotConfiguredError
from lockgate.web.authentication import caller, open_to_all, presented_bearer
from lockgate.web.authorization import operation
from lockgate.web.parameters import allow_only
from lockgate.web.problems import UnauthenticatedError
from lockgate.web.responses import json_response


def people_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("people", __name__)

    @blueprint.get("/v1/me")
    @operation("me.read")
    def me() -> Response:
        allow_only()
        principal = caller()
        info = services.identities.find_principal(principal.subject)
        expires = services.authenticator.expiry_of(presented_bearer())
        if info is None or expires is None:  # it ended since it was looked at
            raise UnauthenticatedError("want a token that is known and not expired")
        document = {
            "subject": principal.subject,
            "type": principal.type,
            "roles": list(principal.roles),
            "issuer": info.issuer,
            "expires_at": format_timestamp(expires),
        }
        return json_response("v1/api/me", document)

    @blueprint.get("/v1/login")
    @open_to_all
    def login() -> Response:
        allow_only()
        if services.login is None:
            raise LoginNotConfiguredError("want the setting login_issuer: it names whom people log in with")
        client = services.login.settings.client
        document = {
            "issuer": services.login.issuer.url,
            "client_id": client.client_id,
            "scopes": list(client.scopes),
        }
        return json_response("v1/api/login", document)

    return blueprint
