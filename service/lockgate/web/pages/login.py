"""The way in and out: to the provider, back with a code, and out again."""

from http import HTTPStatus

from flask import Blueprint, Response, redirect, request

from lockgate.bootstrap import Services
from lockgate.errors import LockgateError
from lockgate.login.attempts import parse_attempt
from lockgate.login.errors import LoginNotConfiguredError
from lockgate.login.web_login import CALLBACK_PATH, SESSION_S, WebLogin
from lockgate.web.authentication import open_to_all
from lockgate.web.cookies import Cookies
from lockgate.web.pages.html import page, problem_page
from lockgate.web.parameters import allow_only


def login_blueprint(services: Services, cookies: Cookies | None) -> Blueprint:
    """Make the views.

    Args:
        services: The rooms, wired.
        cookies: Of people who log in; None: nobody does.
    """
    blueprint = Blueprint("login", __name__)

    def configured() -> tuple[WebLogin, Cookies]:
        if services.login is None or cookies is None:
            raise LoginNotConfiguredError("want the setting login_issuer: it names whom people log in with")
        return services.login, cookies

    @blueprint.get("/login")
    @open_to_all
    def begin() -> Response:
        allow_only()  # above all no address to go on to: nobody is sent anywhere else from here
        login, own = configured()
        attempt, url = login.begin()
        response = _redirect(url)
        own.set_attempt(response, attempt.secret)
        return response

    @blueprint.get(CALLBACK_PATH)
    @open_to_all
    def callback() -> Response:
        login, own = configured()
        parameters = dict(request.args.lists())
        session = login.complete(parse_attempt(own.attempt()), parameters)
        # No redirect: the browser comes from the provider's site, and would not send the new cookie along with one.
        response = page("welcome.html", subject=session.principal.subject)
        own.set_session(response, session.token.secret, SESSION_S)
        own.forget_attempt(response)
        return response

    @blueprint.post("/logout")
    @open_to_all
    def end() -> Response:
        allow_only()
        login, own = configured()
        own.check_origin()
        secret = own.session()
        if secret is not None:
            login.end(secret)
        response = _redirect("/")
        own.forget_session(response)
        return response

    @blueprint.errorhandler(LockgateError)
    def explain(error: LockgateError) -> Response:
        response = problem_page(error, login=cookies is not None)
        if cookies is not None and request.path == CALLBACK_PATH:
            cookies.forget_attempt(response)  # whatever came of it, it is over
        return response

    return blueprint


def _redirect(url: str) -> Response:
    # 303: the next request is a GET, whatever this one was.
    response = redirect(url, HTTPStatus.SEE_OTHER, Response)
    assert isinstance(response, Response)  # noqa: S101 - it is made of the class above
    return response
