"""Who you are, and which promotions wait for you."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flask import Blueprint, Response

from lockgate.bootstrap import Services
from lockgate.clock import format_timestamp
from lockgate.errors import LockgateError
from lockgate.identity import Principal
from lockgate.promotion import Promotion, PromotionAnswer, PromotionFilter, PromotionState
from lockgate.rendering import plain
from lockgate.web.authentication import caller, open_to_all
from lockgate.web.authorization import operation
from lockgate.web.pages.html import page, problem_page
from lockgate.web.parameters import allow_only

LOOKED_AT_MAX: Final = 25  # pending promotions, the newest first; each that may be somebody's costs a look into the log
_STYLE: Final = (Path(__file__).parent / "static" / "style.css").read_bytes()
_STYLE_KEPT_S: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A promotion that waits for somebody.

    Attributes:
        missing: The approvals that are missing, as `ml-lead (0 of 1)`, by the newest decision.
        roles: Those of the missing ones in which this person may approve.
        may_withdraw: Whether this person may take it back.
    """

    promotion: Promotion
    expires_at: str
    missing: tuple[str, ...]
    roles: tuple[str, ...]
    may_withdraw: bool


def home_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("pages", __name__, template_folder="templates")
    blueprint.add_app_template_filter(plain, "plain")

    @blueprint.get("/")
    @operation("me.read")
    def home() -> Response:
        allow_only()
        principal = caller()
        may_look = all(
            services.authorizer.permits(principal, name, {}) for name in ("promotions.list", "promotions.read")
        )
        page_of = services.register.list(_PENDING) if may_look else ()
        found = [_look(services, principal, promotion) for _, promotion in page_of]
        response = page(
            "home.html",
            principal=principal,
            waiting=[one for one in found if one is not None],
            may_look=may_look,
            all_seen=len(page_of) < LOOKED_AT_MAX,
            url=services.login.settings.public_url if services.login else "",
        )
        # Of this page's forms browsers must say where they come from; older ones do so by this alone.
        response.headers["Referrer-Policy"] = "same-origin"
        return response

    @blueprint.get("/style.css")
    @open_to_all
    def style() -> Response:
        allow_only()
        response = Response(_STYLE, mimetype="text/css")
        response.headers["Cache-Control"] = f"public, max-age={_STYLE_KEPT_S}"
        return response

    @blueprint.errorhandler(LockgateError)
    def explain(error: LockgateError) -> Response:
        return problem_page(error, login=services.login is not None)

    return blueprint


_PENDING: Final = PromotionFilter(state=PromotionState.PENDING.value, limit=LOOKED_AT_MAX)


def _look(services: Services, principal: Principal, promotion: Promotion) -> Waiting | None:
    """Return what waits for somebody of one promotion; None if nothing does."""
    if promotion.state is not PromotionState.PENDING:  # its time ran out, and that is not recorded yet
        return None
    permits = services.authorizer.permits
    may_withdraw = permits(principal, "promotions.withdraw", {"requester": promotion.requester})
    if not may_withdraw and not services.authorizer.may_permit(principal, "promotions.approve"):
        return None
    answer: PromotionAnswer = services.register.get(promotion.id)
    decision = answer.decision.document
    missing = decision["missing_approvals"]
    # What this person asked for, or has had a say in, does not wait for them.
    done = {one["role"] for one in decision["approvals"] if one["approver"] == principal.subject}
    mine = () if promotion.requester == principal.subject else (one["role"] for one in missing)
    roles = tuple(
        role for role in mine if role not in done and permits(principal, "promotions.approve", {"role": role})
    )
    if answer.promotion.state is not PromotionState.PENDING or not (roles or may_withdraw):
        return None
    return Waiting(
        promotion=promotion,
        expires_at=format_timestamp(promotion.expires),
        missing=tuple(f"{one['role']} ({one['have']} of {one['need']})" for one in missing),
        roles=roles,
        may_withdraw=may_withdraw,
    )
