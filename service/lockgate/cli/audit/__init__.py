"""`lockgate audit`: the log, for its keepers and its auditors."""

from typing import Final

import click

from lockgate.cli.lazy_group import LazyGroup

_COMMANDS: Final = {
    "anchor": "audit.tend:anchor",
    "attachments": "audit.retention:attachments",
    "compromise-key": "audit.keys:compromise_key_command",
    "erase": "audit.retention:erase_command",
    "export": "audit.records:export_command",
    "key": "audit.records:key",
    "kind": "audit.kinds:kind_group",
    "prune": "audit.retention:prune_command",
    "publish": "audit.publish:publish",
    "recover": "audit.recover:recover",
    "rotate-key": "audit.keys:rotate_key_command",
    "show": "audit.records:show",
    "tend": "audit.tend:tend",
    "verify": "audit.verify:verify",
    "verify-receipt": "audit.verify:verify_receipt_command",
}


@click.group(cls=LazyGroup, commands_of=_COMMANDS)
def audit() -> None:
    """Verify, export and read the audit log."""
