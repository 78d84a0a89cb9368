"""Timers of many hosts: every run leaves lines in RUNS_FILE: `function begin|end time host past-due`."""

import os
import time

import azure.functions as func

app = func.FunctionApp()


def note(function, what, timer):
    line = f"{function} {what} {time.time()} {os.environ['HOST_NAME']} {timer.past_due}\n"
    with open(os.environ["RUNS_FILE"], "a") as runs:
        runs.write(line)


@app.timer_trigger(schedule="*/3 * * * * *", arg_name="timer")
def tick(timer: func.TimerRequest) -> None:
    note("tick", "begin", timer)


@app.timer_trigger(schedule="%DAILY%", arg_name="timer")
def daily(timer: func.TimerRequest) -> None:
    note("daily", "begin", timer)
    time.sleep(2)
    note("daily", "end", timer)
