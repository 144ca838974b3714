"""Hashes what is live where it lies, again and again: MLflow lets a version's files be overwritten without a word.

It takes at most one part in `REST_FACTOR` of the time, version after version, the one looked at longest ago first.
"""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Engine

from lockgate.clock import Clock, EpochNs
from lockgate.digests import Digest, parse_digest, sha256_hex
from lockgate.evidence.model_manifests import root_digest
from lockgate.reconciling import store
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.reconciler import settle_differences
from lockgate.reconciling.responding import Responder
from lockgate.reconciling.types import Difference, Finding, FindingKind
from lockgate.reconciling.wanted import read_known
from lockgate.registry import RegistryPort
from lockgate.registry.errors import RegistryError, RegistryUnavailableError, RegistryUnsupportedError
from lockgate.storage import read_transaction, write_transaction

RUN_S_MAX: Final = 60.0  # versions are begun within it: the job shows that it lives
VERSION_S_MAX: Final = 1200.0  # for one version's bytes; below what counts as a job that hangs
VERSION_BYTES_MAX: Final = 128 * 1024**3  # a large model's weights; more needs a worker of its own
REST_FACTOR: Final = 19  # of the time that hashing took: registries serve others, too
REST_S_MIN: Final = 60.0
HASHED: Final = "hashed"  # in `seen_message`: when hashing a version was begun last
_FORGET_MAX: Final = 500  # marks at once; the others with the next run

log_lines = structlog.get_logger("lockgate.reconciling")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """A version that the gate let in and that is live, as its registry names it."""

    registry: str
    registry_model: str
    model: str
    environment: str
    version: str
    digest: str
    promotion_id: str

    @property
    def mark(self) -> str:
        """What its last look is kept as; of a fixed length, since names are long."""
        return sha256_hex(f"{self.model}/{self.environment}/{self.version}".encode())


class HashingJob:
    """Hashes live versions (`lockgate.background.job.Job`)."""

    name = "hashing"

    def __init__(
        self,
        *,
        registries: Mapping[str, RegistryPort],
        findings: Findings,
        responder: Responder,
        database: Engine,
        clock: Clock,
    ) -> None:
        self._registries = registries
        self._findings = findings
        self._responder = responder
        self._database = database
        self._clock = clock

    def run(self) -> float:
        """Hash for a while, and return in how many seconds to go on.

        Raises:
            AuditError: A finding could not be recorded.
            StorageError: The database failed.
        """
        began = time.monotonic()
        for version in self._turns():
            if time.monotonic() - began > RUN_S_MAX:
                break
            self.look(version)
        return max(REST_S_MIN, REST_FACTOR * (time.monotonic() - began))

    def look(self, live: LiveVersion) -> None:
        """Hash one version, and say what differs.

        The steps:
          (1) It is there.
          (2) Its files have the digest that was approved.
        What could not be read makes no finding; the next one's turn comes all the same.

        Raises:
            AuditError: A finding could not be recorded.
            StorageError: The database failed.
        """
        registry = self._registries[live.registry]
        # Its turn counts from here on: one that ends the process is not the first again, before all others.
        with write_transaction(self._database) as connection:
            store.mark(connection, HASHED, live.mark, self._clock.now_ns())
        covered: set[FindingKind] = set()
        differences: list[Difference] = []
        try:
            # (1) The version.
            if registry.find_version(live.registry_model, live.version) is None:
                differences.append(_difference(live, FindingKind.VERSION_DELETED))
            else:
                covered.add(FindingKind.VERSION_DELETED)
                # (2) Its bytes.
                found = hash_version(registry, live.registry_model, live.version, parse_digest(live.digest))
                covered.add(FindingKind.ARTIFACT_DRIFTED)
                if found is not None:
                    kind = FindingKind.ARTIFACT_DRIFTED
                    differences.append(_difference(live, kind, version=live.version, digest=str(found)))
        except RegistryUnsupportedError:
            pass  # it serves no files: whoever deploys from elsewhere hashes there
        except RegistryError as exc:
            log_lines.warning("version_not_hashed", model=live.model, version=live.version, code=exc.code)
        self._settle(live, differences, covered)

    def _turns(self) -> list[LiveVersion]:
        with read_transaction(self._database) as connection:
            live = [
                LiveVersion(
                    registry=registry,
                    registry_model=known.registry_model,
                    model=known.model,
                    environment=environment,
                    version=wanted.version,
                    digest=wanted.digest,
                    promotion_id=wanted.promotion_id,
                )
                for registry in self._registries
                for known in read_known(connection, registry).values()
                for environment, wanted in known.environments.items()
                if wanted.version
            ]
            looked = store.read_marks(connection, HASHED)
        if left := sorted(looked.keys() - {version.mark for version in live}):
            with write_transaction(self._database) as connection:
                store.forget_marks(connection, HASHED, ids=left[:_FORGET_MAX])
        return sorted(live, key=lambda version: looked.get(version.mark, EpochNs(0)))

    def _settle(self, live: LiveVersion, differences: list[Difference], covered: set[FindingKind]) -> None:
        def could_see(finding: Finding) -> bool:
            kind, model, environment = finding.difference.key
            return kind in covered and (model, environment) == (live.model, live.environment)

        settle_differences(differences, could_see, findings=self._findings, responder=self._responder)


def hash_version(registry: RegistryPort, registry_model: str, version: str, approved: Digest) -> Digest | None:
    """Hash a version's files as the registry serves them now.

    Args:
        registry: Where they lie.
        registry_model: The model's name there.
        version: Which is there.
        approved: What they should have: as model signatures have it, or of a version of one file, that file's own.

    Returns:
        None where they have it, else what they have.

    Raises:
        RegistryError: They cannot be read whole within the limits.

    Source: ossf/model-signing-spec, version 1.0, method `files` with SHA-256; as `lockgate.evidence.model_folder`.
    """
    if approved.algorithm != "sha256":
        raise RegistryUnsupportedError(f"want an approved digest by SHA-256, got one by {approved.algorithm}")
    files = sorted(registry.list_files(registry_model, version), key=lambda file: file.path.split("/"))
    deadline_s = time.monotonic() + VERSION_S_MAX
    bytes_left = VERSION_BYTES_MAX
    digests: list[str] = []
    for file in files:
        digest = hashlib.sha256()
        timeout_s = deadline_s - time.monotonic()
        for chunk in registry.read_file(registry_model, version, file.path, timeout_s=timeout_s):
            digest.update(chunk)
            bytes_left -= len(chunk)
            if bytes_left < 0:
                raise RegistryUnavailableError(f"want a version of at most {VERSION_BYTES_MAX} bytes, got more")
        digests.append(digest.hexdigest())
    found = Digest(algorithm="sha256", hex=root_digest(digests))
    is_approved = approved == found or (len(digests) == 1 and approved.hex == digests[0])
    return None if is_approved else found


def _difference(live: LiveVersion, kind: FindingKind, *, version: str = "", digest: str = "") -> Difference:
    return Difference(
        kind=kind,
        model=live.model,
        environment=live.environment,
        registry=live.registry,
        registry_model=live.registry_model,
        wanted_version=live.version,
        wanted_digest=live.digest,
        promotion_id=live.promotion_id,
        found_version=version,
        found_digest=digest,
    )
