"""Who you are, and which promotions wait for you."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

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
        missing: The approvals that are missing, as `ml-lead (0 of 1)`, or `risk (1 ended)` where one ran out
            since the newest decision.
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
    # Nobody decides anew because an approval ends: the newest decision may still count it.
    ended = services.register.ended_approvals(promotion.id, services.policy.revision())
    missing = _missing(decision, ended)
    # What this person asked for, or has had a say in that still holds, does not wait for them.
    standing = [one for one in decision["approvals"] if one["approval_id"] not in ended]
    done = {one["role"] for one in standing if one["approver"] == principal.subject}
    mine = () if promotion.requester == principal.subject else missing
    roles = tuple(
        role for role in mine if role not in done and permits(principal, "promotions.approve", {"role": role})
    )
    if answer.promotion.state is not PromotionState.PENDING or not (roles or may_withdraw):
        return None
    return Waiting(
        promotion=promotion,
        expires_at=format_timestamp(promotion.expires),
        missing=tuple(f"{role} ({what})" for role, what in missing.items()),
        roles=roles,
        may_withdraw=may_withdraw,
    )


def _missing(decision: Mapping[str, Any], ended: Collection[str]) -> dict[str, str]:
    """Return the roles in which approvals are missing, each with how many.

    Args:
        decision: The newest one, of whatever age.
        ended: Ids of the approvals that count no more, whatever the decision says.
    """
    lost = Counter(one["role"] for one in decision["approvals"] if one["counted"] and one["approval_id"] in ended)
    # Of a role that had enough, the decision does not say how many that is.
    missing = {role: f"{count} ended" for role, count in lost.items()}
    for one in decision["missing_approvals"]:
        missing[one["role"]] = f"{one['have'] - lost[one['role']]} of {one['need']}"
    return missing
