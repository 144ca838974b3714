"""Holding the bodies of records to the schemas that the records name.

The writer refuses a body that breaks its schema, so one in the log was written around it. A schema is had from this
version of Lockgate, for the kinds that ship with it, and from the log itself, for those that modules registered there.
"""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.administration import IDENTITY_KINDS
from lockgate.audit.errors import BodyInvalidError, KindInvalidError
from lockgate.audit.kind_schemas import KIND_SCHEMA_BYTES_MAX, KindSchema
from lockgate.audit.kinds import OWN_KINDS
from lockgate.audit.verification.bodies import BodyVerdict
from lockgate.audit.verification.stretches import Attachments
from lockgate.authorization import AUTHORIZATION_KINDS
from lockgate.digests import sha256_hex
from lockgate.promotion import GATE_KINDS
from lockgate.registration import REGISTRATION_KINDS
from lockgate.reloading import RELOADING_KINDS
from lockgate.schemas import SchemaError, check_schema, schema_sha256

SCHEMAS_KEPT_MAX: Final = 256  # compiled, of one log: four times the kinds that it may have at one time
_SHIPPED: Final[Mapping[str, str]] = {
    **OWN_KINDS,
    **GATE_KINDS,
    **IDENTITY_KINDS,
    **AUTHORIZATION_KINDS,
    **RELOADING_KINDS,
    **REGISTRATION_KINDS,
}
_VALID: Final = BodyVerdict(status="valid")
_OTHER_VERSION: Final = BodyVerdict(status="unchecked", detail="of a schema of another version of Lockgate")
_GONE: Final = BodyVerdict(status="unchecked", detail="of a schema that the log does not keep")


class BodySchemas:
    """Checks the bodies of one log's records."""

    def __init__(self) -> None:
        self._registered: dict[str, KindSchema | None] = {}  # by SHA-256; None: not there, or none that we can use

    def check(self, record: Mapping[str, Any], attachments: Attachments) -> BodyVerdict:
        """Hold a record's body to the schema that the record names."""
        kind, wanted = record["kind"], record["schema"].removeprefix("sha256:")
        name = _SHIPPED.get(kind)
        if name is not None:
            return _check_shipped(name, record["body"]) if schema_sha256(name) == wanted else _OTHER_VERSION
        schema = self._load(wanted, attachments)
        if schema is None:
            return _GONE
        try:
            schema.check(record["body"])
        except BodyInvalidError as exc:
            return BodyVerdict(status="invalid", detail=f"at '{exc.pointer}': {exc}")
        return _VALID

    def _load(self, sha256: str, attachments: Attachments) -> KindSchema | None:
        if sha256 not in self._registered:
            if len(self._registered) >= SCHEMAS_KEPT_MAX:
                self._registered.clear()
            self._registered[sha256] = _compile(sha256, attachments(sha256))
        return self._registered[sha256]


def _check_shipped(name: str, body: object) -> BodyVerdict:
    try:
        check_schema(name, body)
    except SchemaError as exc:
        return BodyVerdict(status="invalid", detail=f"at '{exc.pointer}' of {name}: {exc}")
    return _VALID


def _compile(sha256: str, data: bytes | None) -> KindSchema | None:
    if data is None or len(data) > KIND_SCHEMA_BYTES_MAX or sha256_hex(data) != sha256:
        return None
    try:
        return KindSchema(data)
    except KindInvalidError:
        return None
