"""The ids of the records of a promotion's changes; each follows from its id and the change's number. Pure."""

from lockgate.ids import named_id
from lockgate.promotion.types import Promotion, PromotionState


def first_id(promotion_id: str) -> str:
    """Return the id of the record with which a promotion begins: its first decision."""
    return change_id(promotion_id, 1, moved=False)


def change_id(promotion_id: str, row_version: int, *, moved: bool) -> str:
    """Return the id of the record of a change.

    Args:
        promotion_id: The promotion's.
        row_version: The number of the change.
        moved: Whether the pointer had been moved before: such changes are a series of their own.
    """
    return named_id(f"lockgate/promotion:{promotion_id}:{row_version}{':moved' if moved else ''}")


def permit_id(promotion_id: str, row_version: int) -> str:
    """Return the id of the permit that goes with a change."""
    return named_id(f"lockgate/permit:{promotion_id}:{row_version}")


def next_id(promotion: Promotion) -> str:
    """Return the id of the record of the change that comes after where a promotion stands, whatever change it is."""
    return change_id(promotion.id, promotion.row_version + 1, moved=promotion.state is PromotionState.EXECUTING)


def next_permit_id(promotion: Promotion) -> str:
    """Return the id of the permit that goes with the next change, if that gives one."""
    return permit_id(promotion.id, promotion.row_version + 1)
