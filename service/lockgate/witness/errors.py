"""What can go wrong with a witness itself. What it refuses to cosign is a value, `lockgate.witness.rules.Refusal`."""

from typing import ClassVar

from lockgate.errors import LockgateError


class WitnessError(LockgateError):
    """The witness cannot do its work; nothing was cosigned."""

    code: ClassVar[str] = "witness.failed"


class StateForeignError(WitnessError):
    """The state is missing, or is another witness's: with a key that cosigned before, to forget is to contradict."""

    code: ClassVar[str] = "witness.state_foreign"
