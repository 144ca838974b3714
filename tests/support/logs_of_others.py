"""A log as its witness sees it: signed checkpoints over a growing tree, proofs between them, and forks at will."""

from dataclasses import dataclass, field

from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import consistency_spans, leaf_hash, node_hash
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.submissions import Submission, format_submission

ORIGIN = "gate.example/audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperLog:
    """A log that is nothing but its leaf hashes. `fork` says which of its possible histories it tells."""

    fork: str = "true"
    fork_at: int = 0  # leaves before it are those of every other fork
    signer: SeedSigner = field(default_factory=lambda: make_signer(ORIGIN, bytes(range(32))))

    def root(self, begin: int, end: int) -> bytes:
        """Return the hash over leaves, by RFC 6962's own recursion."""
        if end - begin == 1:
            story = self.fork if begin >= self.fork_at else "true"
            return leaf_hash(f"{story} {begin}".encode())
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        return node_hash(self.root(begin, middle), self.root(middle, end))

    def checkpoint(self, size: int) -> bytes:
        """Return the signed checkpoint over the first leaves."""
        return sign_checkpoint(
            Checkpoint(origin=self.signer.verifier_key.name, size=size, root=self.root(0, size)), self.signer
        )

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the consistency proof; from size 0 there is none."""
        return tuple(self.root(*span) for span in consistency_spans(old, new)) if old else ()

    def submission(self, old: int, new: int) -> bytes:
        """Return what this log sends to a witness."""
        return format_submission(Submission(old_size=old, proof=self.proof(old, new), note=self.checkpoint(new)))
