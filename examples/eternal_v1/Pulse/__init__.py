"""An eternal orchestration: one beat per generation, then `continue_as_new`."""

import logging
from datetime import timedelta

import azure.durable_functions as df
from pulselib import rhythm


def pulse(context: df.DurableOrchestrationContext):
    state = context.get_input()
    logging.info("beat %s of %s", state["beat"], context.instance_id)
    taken = yield context.call_activity("TakePulse", state["beat"])
    context.set_custom_status(taken)

    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=rhythm.period_seconds()))
    context.continue_as_new({"beat": state["beat"] + 1})

    # The generation has ended; what follows up to the next yield still runs, what follows that does not.
    logging.info("beat %s over", state["beat"])
    rest = context.create_timer(context.current_utc_datetime + timedelta(seconds=1))
    alarm = context.create_timer(context.current_utc_datetime + timedelta(minutes=5))
    winner = yield context.task_any([rest, alarm])
    if winner == rest:
        alarm.cancel()
    logging.info("beat %s rested", state["beat"])


main = df.Orchestrator.create(pulse)
