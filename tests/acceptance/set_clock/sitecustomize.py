"""On the PYTHONPATH of a process: its clock is CLOCK_AHEAD seconds off."""

import os
import time

_ahead = float(os.environ["CLOCK_AHEAD"])
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + _ahead
time.time_ns = lambda: _time_ns() + round(_ahead * 1e9)
