"""The lines of the hub in the host's log."""

from perdure.host.telemetry.host_telemetry import HostTelemetry


class Lines:
    def __init__(self):
        self.texts = []

    def write(self, category, level, text):
        self.texts.append(text)


def test_a_limit_is_told_once_until_it_clears():
    lines = Lines()
    telemetry = HostTelemetry(lines, "abc")
    for _ in range(3):
        telemetry.limit_reached("activities", 20, 20)
    telemetry.limit_cleared("activities")
    telemetry.limit_reached("activities", 20, 20)
    text = (
        "TaskActivityDispatcher-abc-0: Delaying work item fetching because the current active work-item count (20) "
        "exceeds the configured maximum active work-item count (20)"
    )
    assert lines.texts == [text, text]


def test_threads_that_hold_work_back_below_the_limit_are_named_beside_it():
    lines = Lines()
    HostTelemetry(lines, "abc").limit_reached("activities", 2, 20)
    assert lines.texts == [
        "TaskActivityDispatcher-abc-0: Delaying work item fetching because no worker process has a free thread: the "
        "current active work-item count is 2, the configured maximum active work-item count 20"
    ]


def test_an_instance_of_another_version_is_named():
    lines = Lines()
    telemetry = HostTelemetry(lines, "abc")
    for _ in range(2):
        telemetry.refused("i1", "Chain", "The instance has version '2.0'.")
    assert lines.texts == [
        "i1: Function 'Chain (Orchestrator)' is left to other hosts. The instance has version '2.0'."
    ]


def test_a_token_that_comes_and_goes_is_one_line_each():
    lines = Lines()
    telemetry = HostTelemetry(lines, "abc")
    telemetry.registered(7)
    telemetry.token_lost(7)
    assert lines.texts == [
        "Host lock lease acquired by instance ID 'abc'.",
        "Host lock lease of instance ID 'abc' was lost: other hosts took this one for dead. It registers again.",
    ]
