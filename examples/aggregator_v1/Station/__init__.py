"""An aggregator: events from many senders gathered in one place, without locks of its own."""

import azure.durable_functions as df


def station(context: df.DurableEntityContext) -> None:
    seen = context.get_state(lambda: {"count": 0, "total": 0, "highest": None})
    if context.operation_name == "measured":
        measurement = context.get_input()
        seen["count"] += 1
        seen["total"] += measurement
        seen["highest"] = measurement if seen["highest"] is None else max(seen["highest"], measurement)
        context.set_state(seen)


main = df.Entity.create(station)
