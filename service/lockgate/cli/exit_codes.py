"""What the exit code means. An interface: no number is reused, and `docs/cli.md` holds the same table."""

from enum import IntEnum

from lockgate.cli.errors import DecisionExpiredError
from lockgate.clock import EpochNs, is_expired, parse_timestamp
from lockgate.rendering import DecisionDocument


class ExitCode(IntEnum):
    """How the command ended."""

    ALLOW = 0  # allowed; for a command that asks for no decision: done
    DENY = 1  # a rule says no
    USAGE = 2  # the command, a setting or the request itself is wrong; nothing was asked, or nothing was understood
    UNDECIDED = 3  # no decision stands: unreachable, refused, failed, expired, withdrawn, or not understandable
    PENDING = 4  # nothing but approvals is missing
    UNTRUSTED = 5  # denied for want of a trusted signature, or the answer itself cannot be trusted


def exit_code_of(decision: DecisionDocument, now: EpochNs) -> ExitCode:
    """Return the exit code that a verified decision stands for.

    Args:
        decision: The decision, its receipt verified unless it is a dry run.
        now: The time now, by the machine that acts on the decision.

    Raises:
        DecisionExpiredError: It allowed, or waited, until an instant that has passed.
    """
    verdict = decision["verdict"]
    if verdict == "deny":
        signature = any(violation["category"] == "signature" for violation in decision["violations"])
        return ExitCode.UNTRUSTED if signature else ExitCode.DENY
    if is_expired(parse_timestamp(decision["expires_at"]), now):
        raise DecisionExpiredError(f"the {verdict} ended at {decision['expires_at']}; make a new request")
    return ExitCode.ALLOW if verdict == "allow" else ExitCode.PENDING
