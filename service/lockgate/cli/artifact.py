"""The artifact's digest, from whichever of the three options names it; the bytes stay here."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from lockgate.digests import DigestError, parse_digest


def digest_given(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Check a digest given as an option; None if it is not given.

    Raises:
        click.BadParameter: It is not a digest in the one accepted form.
    """
    if value is None:
        return None
    try:
        return str(parse_digest(value))
    except DigestError as exc:
        if value != value.lower():
            raise click.BadParameter(f"want it in lower case: {exc}") from exc
        raise click.BadParameter(str(exc)) from exc


def artifact_digest(
    digest: str | None,
    artifact: Path | None,
    model_dir: Path | None,
    *,
    bundles: Sequence[Path],
    ignored: Sequence[str],
) -> str:
    """Return the digest of what shall be promoted, as text.

    Args:
        digest: The digest itself, as `digest_given` returns it.
        artifact: A file, for its SHA-256.
        model_dir: A folder, for its OpenSSF model signing digest; progress goes to standard error on a terminal.
        bundles: Signatures; one that lies inside `model_dir` is not part of the model.
        ignored: Further names inside `model_dir` that are not part of the model.

    Raises:
        click.UsageError: Not exactly one of the three is given, or what it names cannot be hashed.
    """
    if sum(given is not None for given in (digest, artifact, model_dir)) != 1:
        raise click.UsageError("want exactly one of --digest, --artifact and --model-dir")
    if ignored and model_dir is None:
        raise click.UsageError("want --ignore only with --model-dir")
    if digest is not None:
        return digest
    if artifact is not None:
        return _file_digest(artifact)
    assert model_dir is not None  # noqa: S101 - one of the three is, see above
    return _folder_digest(model_dir, (*ignored, *_names_inside(model_dir, bundles)), bundles)


def _file_digest(artifact: Path) -> str:
    try:
        with artifact.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as exc:
        raise click.BadParameter(f"cannot read it: {exc.strerror}", param_hint="--artifact") from exc


def _folder_digest(model_dir: Path, ignored: Sequence[str], bundles: Sequence[Path]) -> str:
    # Imported here: the room brings the verifier along, and the second that takes is this option's alone.
    from lockgate.evidence import ModelFolderError  # noqa: PLC0415 - see above
    from lockgate.evidence.model_folder import hash_model, misnamed_files  # noqa: PLC0415 - see above

    columns = (TextColumn("hashing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    try:
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task("hashing")
            manifest = hash_model(
                model_dir,
                ignore=ignored,
                on_progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
    except ModelFolderError as exc:
        raise click.BadParameter(str(exc), param_hint="--model-dir") from exc
    for bundle in bundles:
        # The digest does not cover the names; the signed manifest does, and only who has the files can compare.
        names = misnamed_files(manifest, bundle.read_bytes())
        if names:
            shown = ", ".join(repr(name)[:80] for name in names[:4])
            raise click.BadParameter(
                f"want the files that {bundle.name} names; only here or only there: {shown}", param_hint="--model-dir"
            )
    return str(manifest.digest)


def _names_inside(folder: Path, files: Sequence[Path]) -> list[str]:
    root = folder.resolve()
    resolved = (file.resolve() for file in files)
    return [file.relative_to(root).as_posix() for file in resolved if file.is_relative_to(root)]
