"""Why nothing was delivered, and what of a delivery or a webhook is not understood."""

from typing import ClassVar

from lockgate.config.table_arrays import TableInvalidError
from lockgate.errors import LockgateError


class DeliveryError(LockgateError):
    """Something about deliveries cannot be done."""

    code: ClassVar[str] = "delivery.failed"


class DeliveryUnknownError(DeliveryError):
    """No delivery has this id."""

    code: ClassVar[str] = "delivery.unknown"


class SecretInvalidError(DeliveryError):
    """A webhook's secret is not in the form of Standard Webhooks. The message shows nothing of it."""

    code: ClassVar[str] = "delivery.secret_invalid"


class SignatureInvalidError(DeliveryError):
    """A message is not signed by whoever holds the secret, or not now."""

    code: ClassVar[str] = "delivery.signature_invalid"


class WebhookInvalidError(TableInvalidError):
    """The settings of a webhook cannot be used."""

    code: ClassVar[str] = "delivery.webhook_invalid"
