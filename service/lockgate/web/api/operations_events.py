"""Operations on events and their deliveries, for the API's description."""

from typing import Final

from lockgate.delivery.types import DeliveryState
from lockgate.web.api.operation import Operation

EVENT_OPERATIONS: Final = (
    Operation(
        method="get",
        path="/v1/events",
        operation="events.read",
        summary="Events of a log that come after a place in it, oldest first",
        answers={200: "event_page"},
        problems=(400, 404, 410, 503),
        query={
            "log": "The environment whose own log it is about; without it the main log",
            "after": "next_cursor of the page before: the last place that was looked at; without it from the beginning",
            "limit": "Events on a page, 1 to 100",
            "format": "cloudevents, which is usual, or cdevents",
        },
    ),
    Operation(
        method="get",
        path="/v1/deliveries",
        operation="deliveries.list",
        summary="List deliveries of events to subscribers, newest first",
        answers={200: "delivery_list"},
        problems=(400, 503),
        query={
            "state": f"One of {', '.join(DeliveryState)}",
            "subscriber": "The name of a webhook",
            "limit": "Items on a page, 1 to 100",
            "cursor": "next_cursor of the page before",
        },
    ),
    Operation(
        method="post",
        path="/v1/deliveries/{delivery_id}:redeliver",
        operation="deliveries.redeliver",
        summary="Have an event sent once more, under the same id; recorded",
        answers={202: "delivery"},
        problems=(400, 404, 503),
    ),
)
