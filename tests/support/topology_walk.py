"""One promotion through the topology: asked for at one gate, approved at the other, proved by the log."""

import orjson

from lockgate.demo.material import LEO, MAYA, MODEL, PEOPLE, RITA, TRUST_DOMAIN, Person
from support.topology import Ended, Topology, TopologyError

REQUEST = ("request", MODEL, "1.0.0", "--from", "staging", "--to", "production", "--model-dir", "model")
SIGNED = (*REQUEST, "--contributor", "trainer:tess", "--bundle", "model.sig", "--trust-domain", TRUST_DOMAIN)


class Walk:
    """The demonstration's people at a topology's two gates."""

    def __init__(self, topology: Topology) -> None:
        """Give everybody a token."""
        self.topology = topology
        self.tokens = {person.subject: self._token(person) for person in PEOPLE}

    def ask(self, gate: str, who: Person, *arguments: str) -> Ended:
        """Run a command of the client as somebody, at one of the gates."""
        return self.topology.run(
            *arguments,
            LOCKGATE_URL=self.topology.url(gate),
            LOCKGATE_TOKEN=self.tokens[who.subject],
            LOCKGATE_LOG_KEY=self.topology.log_key,
        )

    def promote(self) -> str:
        """Walk one promotion from pending to allowed, and verify the log; return what was said in the end.

        Raises:
            TopologyError: A step ended otherwise than it must.
        """
        asked = _want(4, self.ask("lockgate", RITA, *SIGNED, "--output", "json"))
        promotion_id = orjson.loads(asked.out)["promotion_id"]
        _want(4, self.ask("lockgate-2", LEO, "approve", promotion_id, "--role", "ml-lead", "--yes"))
        _want(0, self.ask("lockgate", MAYA, "approve", promotion_id, "--role", "risk", "--yes"))
        allowed = _want(0, self.ask("lockgate-2", RITA, "status", promotion_id))
        url = self.topology.environment("lockgate")["LOCKGATE_DATA_DIR"]
        verified = _want(0, self.topology.run("audit", "verify", "--data-dir", url, "--key", self.topology.log_key))
        return f"{allowed.out}\n{verified.out}"

    def _token(self, person: Person) -> str:
        roles = [part for role in person.roles for part in ("--role", role)]
        made = ("token", "create", "--subject", person.subject, "--type", "user", "--expires-in", "1d", *roles)
        return _want(0, self.topology.run(*made)).out.strip()


def _want(code: int, ended: Ended) -> Ended:
    if ended.code != code:
        raise TopologyError(f"want the exit code {code}, got {ended.code}: {(ended.out + ended.err)[-2000:]}")
    return ended
