"""`lockgate policy`: build, test, check, and who may do what. For who writes rules; the gate decides without it."""

import json
from pathlib import Path
from typing import Final

import click

from lockgate.cli.role_matrix import matrix_document, matrix_markdown, role_matrix
from lockgate.cli.standard_output import emit
from lockgate.policy.build import build_policy, check_policy, run_policy_tests
from lockgate.policy.compiled import COMPILED, bundle_policy, load_policy
from lockgate.policy.errors import PolicyBuildError
from lockgate.policy.opa_binary import OPA_VERSION, find_opa
from lockgate.policy.wasm import WasmEngine
from lockgate.shipped import shipped_folder

_FOLDER: Final = click.option(
    "--policy-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The policy folder.  [default: the shipped one]",
)
_CONFIG: Final = click.option(
    "--config-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder with your own matrix, models, signers, environments and freezes, instead of the policy folder's.",
)


@click.group()
def policy() -> None:
    """Check, test and compile the rules, with the pinned OPA; print what they let each role do."""


@policy.command()
@_FOLDER
@_CONFIG
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write.  [default: compiled/ in the folder]",
)
def build(*, policy_dir: Path | None, config_dir: Path | None, out: Path | None) -> None:
    """Compile the rules to Wasm, after every check, and only if the module answers what OPA answers.

    Writes module.wasm and manifest.json for the gate, and bundle.tar.gz for an OPA server that asks for no signature.
    """
    folder = policy_dir or shipped_folder("policies")
    target = out or folder / COMPILED
    built = build_policy(folder, out=target, opa=_opa(), config=config_dir)
    emit(
        f"built {target}\n"
        f"revision {built.policy.catalogue.revision}\n"
        f"rules {len(built.policy.catalogue.rules)}, compared with OPA on {built.compared} inputs, "
        f"{built.allowed} of them allowed, and on {built.calls_compared} calls, "
        f"{built.calls_allowed} of them permitted\n"
    )


@policy.command()
@_FOLDER
@_CONFIG
@click.option(
    "--signing-key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="A P-256 private key, PEM.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="FILE",
    help="Where to write, for example bundle.tar.gz.",
)
def bundle(*, policy_dir: Path | None, config_dir: Path | None, signing_key: Path, out: Path) -> None:
    """Write the signed bundle for OPA servers: the rules as they were built, with the data as they are now.

    \b
    Example:
      openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out policy.key
      openssl pkey -in policy.key -pubout -out policy.pem
      lockgate policy bundle --config-dir /etc/lockgate/policy --signing-key policy.key --out bundle.tar.gz
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    revision, content = bundle_policy(policy_dir or shipped_folder("policies"), _opa(), signing_key, config_dir)
    # A server may be reading it: the whole file changes at once.
    partial = out.with_name(f".{out.name}.partial")
    partial.write_bytes(content)
    partial.replace(out)
    emit(f"bundle {out}\nrevision {revision}\n")


@policy.command()
@_FOLDER
@_CONFIG
def test(*, policy_dir: Path | None, config_dir: Path | None) -> None:
    """Run the tests beside the rules; all must pass and reach every line."""
    emit(run_policy_tests(policy_dir or shipped_folder("policies"), opa=_opa(), config=config_dir) + "\n")


@policy.command()
@_FOLDER
@_CONFIG
def check(*, policy_dir: Path | None, config_dir: Path | None) -> None:
    """Check format, types, purity, dialect, metadata, the list of rules and data, without testing or compiling."""
    rules = check_policy(policy_dir or shipped_folder("policies"), opa=_opa(), config=config_dir)
    emit("".join(f"{rule.rule_id}  {rule.severity:<8}  {rule.title}\n" for rule in rules))


@policy.command()
@_FOLDER
@_CONFIG
@click.option(
    "--output",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
    help="The answer's form.",
)
def roles(*, policy_dir: Path | None, config_dir: Path | None, output: str) -> None:
    """Print who may call what: each route of the API, and what the policy lets each role do with it.

    Needs OPA only where the rules were changed since they were built.
    """
    engine = WasmEngine(load_policy(policy_dir or shipped_folder("policies"), find_opa(), config_dir))
    try:
        rows = role_matrix(engine)
    finally:
        engine.close()
    if output == "json":
        emit(json.dumps(matrix_document(rows), indent=2) + "\n")
    else:
        emit(matrix_markdown(rows))


def _opa() -> Path:
    opa = find_opa()
    if opa is None:
        raise PolicyBuildError(f"want OPA {OPA_VERSION} in .tools/bin or on PATH; `make tools` puts it there")
    return opa
