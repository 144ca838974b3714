"""The options that describe a promotion request, and the document made of them."""

import base64
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lockgate.cli.artifact import artifact_digest, digest_given
from lockgate.schemas import SchemaError, check_schema

R = TypeVar("R")

BUNDLE_BYTES_MAX: Final = 1_050_000  # what fits the schema's 1,400,000 characters of base64
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)


def request_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options of a request, and hand it the checked document as the keyword `document`."""

    @functools.wraps(command)
    def with_document(
        *args: Any,  # noqa: ANN401 - whatever click passes on
        model: str,
        version: str,
        from_environment: str,
        to_environment: str,
        rollback: bool,
        digest: str | None,
        artifact: Path | None,
        model_dir: Path | None,
        ignore: tuple[str, ...],
        bundle: tuple[Path, ...],
        trust_domain: str | None,
        contributor: tuple[str, ...],
        reason: str | None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> R:
        evidence = [_evidence(path, trust_domain) for path in bundle]
        document = {
            "schema_version": 1,
            "kind": "rollback" if rollback else "promote",
            "model": model,
            "version": version,
            "digest": artifact_digest(digest, artifact, model_dir, bundles=bundle, ignored=ignore),
            "from": from_environment,
            "to": to_environment,
            "contributors": [_contributor(text) for text in contributor],
            "evidence": evidence,
        }
        if reason is not None:
            document["reason"] = reason
        try:
            check_schema("v1/api/promotion_request", document)
        except SchemaError as exc:
            raise click.UsageError(f"the request is not valid: {exc} at {exc.pointer or '/'}") from exc
        return command(*args, document=document, **kwargs)

    options = (
        click.argument("model"),
        click.argument("version"),
        click.option("--from", "from_environment", required=True, metavar="ENVIRONMENT", help="Where it is."),
        click.option("--to", "to_environment", required=True, metavar="ENVIRONMENT", help="Where it shall go."),
        click.option("--rollback", is_flag=True, help="Go back to a version that was allowed there before."),
        click.option("--digest", metavar="sha256:HEX", callback=digest_given, help="The artifact, by digest."),
        click.option("--artifact", type=_FILE, help="The artifact, as a file; it is hashed here (SHA-256)."),
        click.option(
            "--model-dir",
            type=_FOLDER,
            help="The artifact, as a model folder; it is hashed here (OpenSSF model signing) and not sent. "
            "Only what --bundle and --ignore name is left out of the hash.",
        ),
        click.option(
            "--ignore",
            multiple=True,
            metavar="NAME",
            help="A file or folder in --model-dir that the signature leaves out, such as .git; may be given again. "
            "Nobody will notice a change of it.",
        ),
        click.option("--bundle", multiple=True, type=_FILE, help="A Sigstore bundle; may be given again."),
        click.option("--trust-domain", help="The trust domain of the bundles; the gate's default if not given."),
        click.option(
            "--contributor",
            multiple=True,
            metavar="ROLE:SUBJECT",
            help="Who made the model, as author:alice or trainer:bob; may be given again.",
        ),
        click.option("--reason", help="Why, for the approvers."),
    )
    for option in reversed(options):
        with_document = option(with_document)
    return with_document


def _evidence(path: Path, trust_domain: str | None) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            data = file.read(BUNDLE_BYTES_MAX + 1)
    except OSError as exc:
        raise click.BadParameter(f"cannot read it: {exc.strerror}", param_hint="--bundle") from exc
    if len(data) > BUNDLE_BYTES_MAX:
        raise click.BadParameter(f"want at most {BUNDLE_BYTES_MAX} bytes, got more", param_hint="--bundle")
    item = {"bundle": base64.b64encode(data).decode("ascii")}
    return item if trust_domain is None else item | {"trust_domain": trust_domain}


def _contributor(text: str) -> dict[str, str]:
    role, colon, subject = text.partition(":")
    if not colon or role not in {"author", "trainer"}:
        raise click.BadParameter("want author:SUBJECT or trainer:SUBJECT", param_hint="--contributor")
    return {"subject": subject, "role": role}
