"""Loads a compiled policy, and refuses one that is not of its sources."""

from pathlib import Path
from typing import Final

from lockgate.digests import sha256_hex
from lockgate.policy.build import ENTRYPOINTS, MANIFEST_FILE, MODULE_FILE, bundle_sources, compile_sources
from lockgate.policy.data import make_catalogue
from lockgate.policy.errors import PolicyBuildError, PolicyStaleError
from lockgate.policy.manifest import Manifest, parse_manifest
from lockgate.policy.sources import PolicySources, read_sources, revision_of
from lockgate.policy.types import CompiledPolicy, PolicyRevision

COMPILED: Final = "compiled"  # below the policy folder


def load_policy(folder: Path, opa: Path | None, config: Path | None = None) -> CompiledPolicy:
    """Load the compiled policy of a policy folder.

    Args:
        folder: The policy folder.
        opa: The pinned OPA, for building the policy afresh where it differs from what was compiled; None: refuse then.
        config: A deployment's own data, laid over the folder's. The module holds no data, so that rules which were
            built and tested stay so; the data are checked here as in a build, and the revision covers them.

    Returns:
        The compiled policy; its revision is that of the sources as they lie there now.

    Raises:
        PolicyStaleError: The module is not of these sources and there is no OPA to build it.
        PolicyBuildError: The sources or data are not valid, or the policy cannot be built.
    """
    sources = read_sources(folder, config)
    stale = _staleness(folder / COMPILED, sources, own_data=config is None)
    if isinstance(stale, CompiledPolicy):
        return stale
    if opa is None:
        raise PolicyStaleError(f"{stale}; build the policy anew (lockgate policy build), or put OPA at hand")
    return compile_sources(sources, opa).policy


def bundle_policy(
    folder: Path, opa: Path, signing_key: Path, config: Path | None = None
) -> tuple[PolicyRevision, bytes]:
    """Write the signed bundle of a policy folder, for OPA servers.

    The rules are those that were built and tested; the data are checked here, as when they are loaded.

    Args:
        folder: The policy folder.
        opa: The pinned OPA.
        signing_key: A P-256 private key, PEM.
        config: A deployment's own data, as in `load_policy`.

    Returns:
        The revision, which `load_policy` finds too, and the bundle: a gzipped tar.

    Raises:
        PolicyStaleError: The compiled policy is not of these sources.
        PolicyBuildError: The sources, the data or the key are not valid.
    """
    sources = read_sources(folder, config)
    stale = _staleness(folder / COMPILED, sources, own_data=config is None)
    if not isinstance(stale, CompiledPolicy):
        raise PolicyStaleError(f"{stale}; build the policy anew (lockgate policy build)")
    return stale.catalogue.revision, bundle_sources(sources, opa, signing_key)


def _staleness(compiled: Path, sources: PolicySources, *, own_data: bool) -> CompiledPolicy | str:
    """Return the compiled policy if it is of these sources, else why not."""
    try:
        manifest = parse_manifest((compiled / MANIFEST_FILE).read_bytes())
        wasm = (compiled / MODULE_FILE).read_bytes()
    except OSError as exc:
        return f"{compiled.name}/: cannot read it: {exc.strerror}"
    except PolicyBuildError as exc:
        return str(exc)
    differing = _differing(manifest, sources, own_data=own_data)
    if differing:
        return f"the compiled policy was not built from this {differing[0]}"
    if sha256_hex(wasm) != manifest.wasm_sha256 or manifest.entrypoints != ENTRYPOINTS:
        return f"{MODULE_FILE} is not the module of its manifest"
    return CompiledPolicy(
        catalogue=make_catalogue(revision_of(sources.digests()), manifest.rules, sources.data),
        entrypoints=manifest.entrypoints,
        opa_version=manifest.opa_version,
        wasm=wasm,
        data=sources.data,
    )


def _differing(manifest: Manifest, sources: PolicySources, *, own_data: bool) -> list[str]:
    digests = sources.digests()
    paths = digests.keys() | manifest.sources.keys()
    if not own_data:
        paths -= sources.config.keys()
    return sorted(path for path in paths if digests.get(path) != manifest.sources.get(path))
