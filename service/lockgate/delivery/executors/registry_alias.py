"""The executor that moves an alias in a registry: whoever loads the model by that alias gets the version.

One rollout of a model into an environment at a time is the lock, of all that keep to the gate. MLflow has no
compare-and-set: who moves the alias past us at the same moment is found by reading back, here or by the reconciler.
"""

from collections.abc import Mapping

import structlog

from lockgate.delivery.executors.errors import OrderImpossibleError, PointerElsewhereError, VersionGoneError
from lockgate.delivery.executors.port import Applied, Order, Seen
from lockgate.promotion.types import WHOLE_PERCENT
from lockgate.registry import PointerMovedError, RegistryError, RegistryPort
from lockgate.registry.settings import PREVIOUS_SUFFIX


class RegistryAliasExecutor:
    """Moves aliases of any registry that has some."""

    def __init__(self, registries: Mapping[str, RegistryPort]) -> None:
        self._registries = registries

    def apply(self, order: Order) -> Applied:
        """Let the alias lead to the order's version. See `RolloutPort`.

        The steps:
          (1) Read where it stands. At the version: done before, by an attempt that nobody heard of.
          (2) Compare with what the gate knows to be live, but for a rollback, which takes back whatever is there.
          (3) The version is there still.
          (4) Write, with the permit, and read back.
          (5) `<alias>-previous` leads to what was there before.
        """
        registry = self._registry(order)
        # (1) Read.
        stands = _pointer(registry, order, order.alias)
        if stands == order.version:
            former = order.former_version if order.former_version != order.version else ""
            self._set_previous(registry, order, former)
            return Applied(former_version=former, percent=WHOLE_PERCENT)
        # (2) Compare.
        if order.former_version and stands != order.former_version and not order.is_rollback:
            raise PointerElsewhereError(
                f"want the alias {order.alias!r} at {order.former_version}, which is live, "
                f"got {'another version' if stands else 'nothing'}"
            )
        # (3) The version.
        if registry.find_version(order.registry_model, order.version) is None:
            raise VersionGoneError(f"want a version that registry {order.registry} has, got one that is not there")
        # (4) Write and read back.
        try:
            registry.move_pointer(
                order.registry_model, order.alias, order.version, expected=stands, permit=order.permit
            )
        except PointerMovedError as exc:
            raise PointerElsewhereError(str(exc)) from exc
        # (5) What was there before.
        self._set_previous(registry, order, stands or "")
        return Applied(former_version=stands or "", percent=WHOLE_PERCENT)

    def observe(self, order: Order) -> Seen | None:
        """Return where the alias leads. It says nothing about bytes. See `RolloutPort`."""
        stands = _pointer(self._registry(order), order, order.alias)
        return Seen(is_ours=stands == order.version, percent=WHOLE_PERCENT, is_ready=True, version=stands or "")

    def take_back(self, order: Order) -> None:
        """Do nothing: an alias has no shares. See `RolloutPort`."""

    def _registry(self, order: Order) -> RegistryPort:
        if not order.alias or order.registry not in self._registries:
            raise OrderImpossibleError(
                f"want an alias for {order.environment} in the [[registry]] table {order.registry[:40]!r}, got none"
            )
        return self._registries[order.registry]

    def _set_previous(self, registry: RegistryPort, order: Order, former: str) -> None:
        # A help for people. The version is live, whatever becomes of it, so that nothing fails for its sake.
        alias = order.alias + PREVIOUS_SUFFIX
        try:
            stands = _pointer(registry, order, alias)
            if former and stands != former:
                registry.move_pointer(order.registry_model, alias, former, expected=stands, permit="")
        except RegistryError as exc:
            structlog.get_logger().warning("previous_alias_not_set", promotion_id=order.promotion_id, code=exc.code)


def _pointer(registry: RegistryPort, order: Order, alias: str) -> str | None:
    model = registry.find_model(order.registry_model)
    if model is None:
        raise VersionGoneError(f"want a model that registry {order.registry} has, got one that is not there")
    return next((pointer.value for pointer in model.pointers if pointer.name == alias), None)
