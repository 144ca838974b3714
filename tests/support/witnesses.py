"""A real witness with a real state, in a folder of the test's own."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import Engine
from werkzeug.serving import WSGIRequestHandler, make_server

from lockgate.audit.formats.cosignatures import Cosignature, WitnessKey, witness_key_of
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.witness import Refusal, Witness
from lockgate.witness.app import create_witness_app
from lockgate.witness.store import create_state, open_state
from support.audit_logs import SteppingClock
from support.logs_of_others import PaperLog

WITNESS_SIGNER = make_signer("witness.example/w1", bytes(31) + b"\x07")


class CountingWitness(Witness):
    """The witness, and what it was asked."""

    requests: list[bytes]

    def add_checkpoint(self, data: bytes) -> Cosignature | Refusal:
        """Note the submission, and judge it."""
        self.requests.append(data)
        return super().add_checkpoint(data)


@dataclass
class WitnessStand:
    """A witness, and what a test needs to look behind it."""

    state: Path
    engine: Engine
    policy: LogPolicy
    clock: SteppingClock
    witness: CountingWitness
    client: FlaskClient

    @property
    def requests(self) -> list[bytes]:
        """The submissions that came."""
        return self.witness.requests

    @property
    def key(self) -> WitnessKey:
        """The witness's public key."""
        return witness_key_of(WITNESS_SIGNER)

    def restart(self) -> "WitnessStand":
        """Return the same witness as another process would open it."""
        return open_witness_stand(self.state, self.policy)


def make_witness_stand(folder: Path, *signers: SeedSigner) -> WitnessStand:
    """Make a witness that follows the logs of these signers; without any, the one of `PaperLog`."""
    policy = LogPolicy(logs=tuple(LogKey(key=signer.verifier_key) for signer in signers or (PaperLog().signer,)))
    state = folder / "witness.db"
    create_state(state, witness_key_of(WITNESS_SIGNER))
    return open_witness_stand(state, policy)


def open_witness_stand(state: Path, policy: LogPolicy) -> WitnessStand:
    """Open the witness whose state is there."""
    engine, clock = open_state(state, witness_key_of(WITNESS_SIGNER)), SteppingClock()
    witness = CountingWitness(engine=engine, signer=WITNESS_SIGNER, policy=policy, clock=clock)
    witness.requests = []
    client = create_witness_app(witness).test_client()
    return WitnessStand(state=state, engine=engine, policy=policy, clock=clock, witness=witness, client=client)


@contextlib.contextmanager
def serve_witness(stand: WitnessStand) -> Iterator[str]:
    """Serve a witness on a free loopback port until the block ends; gives its URL."""
    server = make_server("127.0.0.1", 0, create_witness_app(stand.witness), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass
