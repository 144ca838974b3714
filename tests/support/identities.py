"""People and tokens without a record of them: for tests in which the log is about something else.

The service makes and changes them through `lockgate.administration` alone, which records each change.
"""

from lockgate.identity import IdentityStore, NewToken, Principal
from lockgate.identity.store import end_token, write_principal, write_token
from lockgate.storage import write_transaction


class UnrecordedIdentities(IdentityStore):
    """Keeps who may call, and lets a test say who that is."""

    def put_principal(self, principal: Principal) -> None:
        """Create a principal, or replace the roles and identities of an existing one."""
        with write_transaction(self._engine) as connection:
            write_principal(connection, principal, self._clock.now_ns())

    def create_token(self, subject: str, lifetime_ns: int) -> NewToken:
        """Make a token that stands for a principal until it expires."""
        with write_transaction(self._engine) as connection:
            return write_token(connection, subject, lifetime_ns, self._clock.now_ns(), scope=None)

    def revoke_token(self, token_id: str) -> None:
        """End a token now; ending an ended one changes nothing."""
        with write_transaction(self._engine) as connection:
            end_token(connection, token_id, self._clock.now_ns())
