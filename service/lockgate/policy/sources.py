"""Reads a policy folder: every byte once, so that what is hashed is what is built.

A policy folder holds

- `.capabilities.json`: the built-ins that a rule may use;
- `lockgate/**/*.rego`: the rules, and beside them their tests, `*_test.rego`;
- `lockgate/config/<name>/data.json`, one for each name of `CONFIG_NAMES`: the policy's data;
- `compiled/`: what was built from the rest; not read here.

A deployment that keeps its own data elsewhere names that folder (`<name>/data.json` below it); it then stands in the
place of `lockgate/config`. The revision is the same wherever the bytes were read from.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.policy.data import CONFIG, config_path, parse_data
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.types import PolicyRevision
from lockgate.schemas import schemas_root

FILES_MAX: Final = 512  # five times what the shipped policy has
FILE_BYTES_MAX: Final = 1024 * 1024  # four thousand models, a thousand signers
CAPABILITIES: Final = ".capabilities.json"
CONFIG_NAMES: Final = ("environments", "freezes", "lineage", "matrix", "models", "trust")
SCHEMA_NAMES: Final = (*CONFIG_NAMES, "authz_input", "authz_result", "input", "result")
SCHEMA_AREA: Final = "v1/policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySources:
    """A policy's sources, each by its path in the policy folder."""

    rules: Mapping[
        str, bytes
    ]  # .rego without the tests, capabilities, and the schemas as schemas/v1/policy/<name>.json
    tests: Mapping[str, bytes]
    config: Mapping[str, bytes]  # as lockgate/config/<name>/data.json, wherever it was read
    data: Mapping[str, Any]  # what `config` says, checked: {"lockgate": {"config": {<name>: …}}}

    def digests(self) -> dict[str, Sha256Hex]:
        """Return the SHA-256 of everything that a decision depends on, by path, sorted."""
        files = {**self.rules, **self.config}
        return {path: sha256_hex(files[path]) for path in sorted(files)}


def revision_of(digests: Mapping[str, Sha256Hex]) -> PolicyRevision:
    """Return the revision of a policy: the SHA-256 of what `sha256sum` prints for its files, sorted by path."""
    listing = "".join(f"{digests[path]}  {path}\n" for path in sorted(digests))
    return PolicyRevision(f"sha256:{sha256_hex(listing.encode())}")


def read_sources(folder: Path, config: Path | None = None) -> PolicySources:
    """Read a policy folder and check its data.

    Args:
        folder: The policy folder.
        config: The folder with the data, if it is not the policy folder's own `lockgate/config`.

    Raises:
        PolicyBuildError: A file is missing, unknown, unreadable, too large or a link, or the data are not valid.
    """
    rules: dict[str, bytes] = {CAPABILITIES: _read(folder / CAPABILITIES, CAPABILITIES)}
    tests: dict[str, bytes] = {}
    own_config = folder / CONFIG
    for path in _files(folder / "lockgate", "lockgate"):
        name = path.relative_to(folder).as_posix()
        if path.is_relative_to(own_config):
            continue
        if path.suffix != ".rego":
            raise PolicyBuildError(f"{name}: want only .rego files outside {CONFIG}")
        (tests if name.endswith("_test.rego") else rules)[name] = _read(path, name)
    for schema in SCHEMA_NAMES:
        name = f"schemas/{SCHEMA_AREA}/{schema}.json"
        rules[name] = _read(schemas_root() / SCHEMA_AREA / f"{schema}.json", name)
    try:
        documents = _read_config(config or own_config)
        data = parse_data({name: _parse(name, text) for name, text in documents.items()})
    except PolicyBuildError as exc:
        if config is None:
            raise
        # The message names the file as a policy folder has it; whoever mends it must be told where it was read.
        raise PolicyBuildError(str(exc).replace(CONFIG, str(config), 1)) from exc
    return PolicySources(
        rules=rules,
        tests=tests,
        config={config_path(name): text for name, text in documents.items()},
        data={"lockgate": {"config": data}},
    )


def _read_config(folder: Path) -> dict[str, bytes]:
    known = {folder / name / "data.json": name for name in CONFIG_NAMES}
    for path in _files(folder, CONFIG):
        if path not in known:
            # Named, because OPA would load it as data that nothing has checked.
            stray = path.relative_to(folder).as_posix()
            raise PolicyBuildError(f"{CONFIG}/{stray}: want only <name>/data.json of {', '.join(CONFIG_NAMES)}")
    return {name: _read(path, config_path(name)) for path, name in known.items()}


def _files(folder: Path, name: str) -> list[Path]:
    if not folder.is_dir():
        raise PolicyBuildError(f"want the folder {name}/ in the policy")
    found = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    if len(found) > FILES_MAX:
        raise PolicyBuildError(f"want at most {FILES_MAX} files in {name}/, got {len(found)}")
    return found


def _read(path: Path, name: str) -> bytes:
    if path.is_symlink():
        raise PolicyBuildError(f"{name}: want a regular file, got a link")
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise PolicyBuildError(f"{name}: cannot read it: {exc.strerror}") from exc
    if len(text) > FILE_BYTES_MAX:
        raise PolicyBuildError(f"{name}: want at most {FILE_BYTES_MAX} bytes")
    return text


def _parse(name: str, text: bytes) -> object:
    try:
        return parse_json(text, bytes_max=FILE_BYTES_MAX)
    except MalformedJSONError as exc:
        raise PolicyBuildError(f"{config_path(name)}: {exc}") from exc
