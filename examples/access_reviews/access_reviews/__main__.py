"""`python -m access_reviews`: record a review, send it to the gate's log, print our log's public key."""

import uuid
from pathlib import Path
from typing import Final, Literal

import click

from access_reviews.decisions import DecisionRefusedError, believe_allow, read_receipt
from access_reviews.gate_log import NotRecordedError, send_record
from access_reviews.reviews import KIND, SCHEMA, AccessReview, review_event
from lockgate.audit import AuditLog, VerifierKey, load_public_key, open_log, parse_verifier_key, verify_receipt
from lockgate.errors import LockgateError

ORIGIN: Final = "reviews.example.org/audit"

_log_option = click.option(
    "--log", "folder", required=True, type=click.Path(path_type=Path), help="Our own log's folder."
)
_gate_key_option = click.option(
    "--gate-key", required=True, envvar="LOCKGATE_LOG_KEY", help="The public key of the gate's log."
)


@click.group()
def access_reviews() -> None:
    """Review who can reach a model that went to production."""


@access_reviews.command()
@click.argument("account")
@click.option("--reviewer", required=True, help="Who looked.")
@click.option("--verdict", required=True, type=click.Choice(["keep", "revoke"]))
@click.option("--receipt", required=True, type=click.Path(path_type=Path), help="Of the gate's decision.")
@_gate_key_option
@_log_option
def review(  # noqa: PLR0913 - an option each
    *, account: str, reviewer: str, verdict: Literal["keep", "revoke"], receipt: Path, gate_key: str, folder: Path
) -> None:
    """Record in our own log that ACCOUNT was reviewed because the gate let a model into production."""
    decision = believe_allow(
        read_receipt(receipt.read_bytes()), [parse_verifier_key(gate_key)], environment="production"
    )
    made = AccessReview(account=account, reviewer=reviewer, verdict=verdict, decision=decision)
    recorded = _open(folder).append(review_event(made, str(uuid.uuid4())))
    click.echo(f"record {recorded.seq}: {verdict} {account}, for {decision.model} {decision.version}")


@access_reviews.command()
@click.argument("seq", type=int)
@click.option("--url", required=True, envvar="LOCKGATE_URL", help="The gate.")
@click.option("--token-file", required=True, type=click.Path(path_type=Path), help="A recorder's token.")
@click.option("--patience", default=30.0, show_default=True, help="Seconds to try again for.")
@_gate_key_option
@_log_option
def send(  # noqa: PLR0913 - an option each
    *, seq: int, url: str, token_file: Path, patience: float, gate_key: str, folder: Path
) -> None:
    """Record our record SEQ in the gate's log too; again, if need be."""
    record = verify_receipt(_open(folder).receipt(seq), [_key(folder)])
    token = token_file.read_text().strip()
    keys = [parse_verifier_key(gate_key)]
    theirs = send_record(record, url=url, token=token, gate_keys=keys, patience_s=patience)
    click.echo(f"record {theirs.seq} of {keys[0].name} says the same")


@access_reviews.command()
@_log_option
def key(folder: Path) -> None:
    """Print the public key of our own log, for whoever verifies it."""
    click.echo(str(_key(folder)))


def _open(folder: Path) -> AuditLog:
    return open_log(folder, ORIGIN, {KIND: SCHEMA})


def _key(folder: Path) -> VerifierKey:
    return load_public_key(folder / "log.key")


if __name__ == "__main__":
    try:
        access_reviews(prog_name="access_reviews", standalone_mode=False)
    except (LockgateError, DecisionRefusedError, NotRecordedError) as exc:
        click.echo(f"access_reviews: {exc}", err=True)
        raise SystemExit(1) from exc
    except click.ClickException as exc:
        exc.show()
        raise SystemExit(2) from exc
