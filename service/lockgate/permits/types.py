"""What a permit says. Pure."""

from dataclasses import dataclass
from typing import Final

from lockgate.clock import NS_PER_S, EpochNs

# What a deployer needs to move one pointer, and no longer (docs/formats/permit.md).
PERMIT_LIFE_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """The gate's word that one pointer of one model may be moved to one version, now, once.

    Attributes:
        issuer: The origin of the log that holds the promotion.
        audience: Who is to act on it, by its name in the settings.
        registry: The registry's name in the settings.
        registry_model: The model's name there.
        alias: The pointer; "" where the environment has none.
    """

    id: str
    issuer: str
    audience: str
    issued: EpochNs
    expires: EpochNs
    promotion: str
    registry: str
    registry_model: str
    alias: str
    version: str
    digest: str
    environment: str
