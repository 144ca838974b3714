"""What a registry shows of one model against what the gate wants of it. Pure.

Aliases are compared without regard to the case of letters, as people see them: `Champion` is the gate's pointer, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from lockgate.digests import sha256_hex
from lockgate.reconciling.types import Difference, FindingKind, Known, Wanted
from lockgate.registry.types import RegistryModel

_NOTHING: Final = Wanted()
_STAGE_CHARS_MAX: Final = 64  # of a registry's word; MLflow has four, of ten letters at most
_NAME_HEX: Final = 16  # 64 bits tell the models of one installation apart


def unregistered_name(registry: str, registry_model: str) -> str:
    """Return the name under which a finding is about a model that nobody registered: theirs may be any text."""
    return f"unregistered.{registry}.{sha256_hex(f'{registry}/{registry_model}'.encode())[:_NAME_HEX]}"


def compare(
    seen: RegistryModel | None,
    known: Known,
    *,
    registry: str,
    aliases: Mapping[str, str],
    is_gone: Callable[[str], bool],
) -> tuple[Difference, ...]:
    """Return what is not as it should be, at most one of a kind for each environment.

    The steps, for each environment:
      (1) What runs was let in.
      (2) Its pointer stands at what was let in last, or at what is being carried out.
      (3) Where it does not, the version that was let in is still there.
    And last, (4), no version of a model that is the gate's has a stage.

    Args:
        seen: The model in its registry; None = it is not there.
        known: What the gate wants of it; of a model that nobody registered, nothing.
        registry: Its name.
        aliases: By environment, the pointer that stands for it in that registry.
        is_gone: Tells whether a version that was let in is gone; asked only where a pointer does not stand right.
    """
    found: dict[tuple[FindingKind, str, str], Difference] = {}
    for environment in sorted({*aliases, *known.environments}):
        alias = aliases.get(environment, "")
        for difference in _compare_environment(seen, known, environment, alias, registry=registry, is_gone=is_gone):
            found.setdefault(difference.key, difference)
    for difference in _stages(seen, known, registry, aliases):
        found.setdefault(difference.key, difference)
    return tuple(found.values())


def _compare_environment(  # noqa: PLR0913 - each argument is one fact
    seen: RegistryModel | None,
    known: Known,
    environment: str,
    alias: str,
    *,
    registry: str,
    is_gone: Callable[[str], bool],
) -> Iterator[Difference]:
    wanted = known.environments.get(environment, _NOTHING)

    def differ(kind: FindingKind, *, version: str = "", digest: str = "", alias: str = alias) -> Difference:
        return Difference(
            kind=kind,
            model=known.model,
            environment=environment,
            registry=registry,
            registry_model=known.registry_model,
            alias=alias,
            wanted_version=wanted.version,
            wanted_digest=wanted.digest,
            promotion_id=wanted.promotion_id,
            found_version=version,
            found_digest=digest,
        )

    # (1) What runs.
    if (observed := wanted.observed) is not None:
        kind = FindingKind.UNKNOWN_IN_PRODUCTION
        yield differ(kind, version=observed.version, digest=observed.digest, alias="")
    # (2) Where the pointer stands; of several spellings, each must stand right.
    stands = _stands(seen, alias) if alias else ()
    strangers = [version for version in stands if version not in wanted.allowed]
    if not alias or (stands and not strangers):
        return
    if not wanted.version:
        if strangers:
            yield differ(FindingKind.UNKNOWN_IN_PRODUCTION, version=strangers[0])
        return
    # (3) What was let in is there. A registry takes a version's pointers away with it: that is one finding, not two.
    gone = is_gone(wanted.version)
    if gone:
        yield differ(FindingKind.VERSION_DELETED)
    if strangers:
        yield differ(FindingKind.ALIAS_MOVED, version=strangers[0])
    elif not gone:
        yield differ(FindingKind.ALIAS_VANISHED)


def _stands(seen: RegistryModel | None, alias: str) -> tuple[str, ...]:
    pointers = () if seen is None else seen.pointers
    return tuple(pointer.value for pointer in pointers if pointer.name.lower() == alias.lower())


def _stages(
    seen: RegistryModel | None, known: Known, registry: str, environments: Iterable[str]
) -> Iterator[Difference]:
    # (4) Stages: the gate never sets one, and whoever loads a model by its stage goes around it.
    if seen is None or not known.environments:
        return
    for stage in seen.stages:
        name = stage.name.lower()
        yield Difference(
            kind=FindingKind.STAGE_SET,
            model=known.model,
            environment=name if name in set(environments) else "",
            registry=registry,
            registry_model=known.registry_model,
            found_version=stage.value,
            stage=stage.name[:_STAGE_CHARS_MAX],
        )
