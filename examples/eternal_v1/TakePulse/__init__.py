"""Activity of the v1 model, with a helper library beside the function folders."""

import logging

from pulselib.rhythm import describe


def main(beat: int) -> str:
    logging.info("taking beat %s", beat)
    return describe(beat)
