"""The policy in force in this process, replaced in one step while requests go on."""

from lockgate.policy.types import PolicyEngine, PolicyRevision


class PolicyInForce:
    """Holds the engine of the policy revision in force. Safe to share between threads.

    Whoever asks an engine more than once about one thing takes `engine` once: between two looks it may be another's.
    An engine that was replaced answers who still holds it, and goes when nobody does.
    """

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine

    @property
    def engine(self) -> PolicyEngine:
        """The engine that decides now."""
        return self._engine

    def replace(self, engine: PolicyEngine) -> None:
        """Let another engine decide from now on."""
        self._engine = engine

    def revision(self) -> PolicyRevision:
        """Return the policy revision in force; an approval must name it.

        Raises:
            PolicyUnavailableError: The engine does not say.
        """
        return self._engine.catalogue().revision
