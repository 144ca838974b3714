"""The errors of the evidence room, and the one exception that never leaves it."""

from typing import ClassVar

from lockgate.errors import ConfigError, LockgateError
from lockgate.evidence.types import RefusalCode


class TrustDomainError(ConfigError):
    """A trust domain cannot be used as it is written; the message names the file and the key."""

    code: ClassVar[str] = "evidence.trust_domain"


class ModelFolderError(LockgateError):
    """A model on disk cannot be hashed: a symbolic link, a special file, a name that is not Unicode, a changed file."""

    code: ClassVar[str] = "evidence.model_folder"


class RefusedError(LockgateError):
    """Carries a refusal up from a deep check to `EvidenceVerifier`, which turns it into a `Refusal` value.

    The checks run inside callbacks of another library, so a return value cannot get out. Nobody else sees it.

    Attributes:
        refusal_code: Why the evidence proves nothing.
    """

    code: ClassVar[str] = "evidence.refused"

    def __init__(self, refusal_code: RefusalCode, detail: str) -> None:
        super().__init__(detail)
        self.refusal_code = refusal_code
