"""What the guard says: a refusal, as a value."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

_ERROR_CODES: Final = {
    # MLflow's own words: its client shows the message of a body that has one of them.
    HTTPStatus.BAD_REQUEST: "INVALID_PARAMETER_VALUE",
    HTTPStatus.FORBIDDEN: "PERMISSION_DENIED",
    HTTPStatus.SERVICE_UNAVAILABLE: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Nothing was done, and why.

    Attributes:
        code: Stable, for programs: `guard.…`, or `permit.…` of docs/formats/permit.md, section 3.
        message: For people: what was refused, and what to do instead.
        status: 403; 400 where the call itself cannot be read; 503 where the guard could not find out.
    """

    code: str
    message: str
    status: HTTPStatus = HTTPStatus.FORBIDDEN

    @property
    def document(self) -> dict[str, str]:
        """The body of the answer, in the form that MLflow's client reads."""
        return {"error_code": _ERROR_CODES[self.status], "message": f"{self.message} [{self.code}]"}
