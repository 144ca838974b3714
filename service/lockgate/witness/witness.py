"""The witness: rules and memory in one transaction, and only then a cosignature."""

from sqlalchemy import Engine

from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import Cosignature, add_cosignatures, cosign
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.notes import Signer
from lockgate.clock import Clock
from lockgate.storage import read_transaction, write_transaction
from lockgate.witness import store
from lockgate.witness.rules import Refusal, check_growth, open_submission


class Witness:
    """One witness; safe to use from many threads, and by many processes on one state."""

    def __init__(self, *, engine: Engine, signer: Signer, policy: LogPolicy, clock: Clock) -> None:
        """Take what the witness needs.

        Args:
            engine: Of `lockgate.witness.store.open_state`.
            signer: The witness's key.
            policy: Its `log` lines are the logs that the witness follows; nothing else of it counts.
            clock: Where the cosignatures' times come from.
        """
        self._engine = engine
        self._signer = signer
        self._policy = policy
        self._clock = clock

    def add_checkpoint(self, data: bytes) -> Cosignature | Refusal:
        """Cosign a checkpoint, if the log only grew since the last one.

        Args:
            data: The body of an add-checkpoint request.

        Returns:
            The cosignature, after the checkpoint is durable; or why there is none. Then nothing changed.

        Raises:
            StorageError: The state cannot be written; nothing was cosigned.
        """
        submission = open_submission(data, self._policy)
        if isinstance(submission, Refusal):
            return submission
        origin = submission.checkpoint.origin
        # The write lock is held from the look at the last checkpoint until the new one is durable: of two requests at
        # once, the second is compared with the first one's checkpoint.
        with write_transaction(self._engine) as connection:
            kept = store.read_cosigned(connection, store.hash_origin(origin))
            refusal = check_growth(submission, None if kept is None else read_checkpoint(kept))
            if refusal is not None:
                return refusal
            cosignature = cosign(submission.note, self._signer, self._clock.now_ns())
            store.keep_cosigned(connection, origin, add_cosignatures(submission.note, [cosignature]))
        return cosignature

    def cosigned(self, origin_sha256: str) -> bytes | None:
        """Return the checkpoint cosigned last, with the log's signature and the cosignature.

        Args:
            origin_sha256: SHA-256 of the log's origin, 64 lower-case hex digits.

        Raises:
            StorageError: The state cannot be read.
        """
        with read_transaction(self._engine) as connection:
            return store.read_cosigned(connection, origin_sha256)
