"""A process that compares answers symbolically, one pair at a time.

It lives apart because symbolic comparison may take for ever, eat all memory or crash.
`tts.answers.processes` starts it and owns it; nothing else imports this module.
"""

import logging
import resource
import signal
from multiprocessing.connection import Connection
from typing import Any

from tts.answers.symbolic import equal, prepare

MEMORY_BYTES = 4 << 30


def main(descriptor: int) -> None:
    """Answer (gold, candidate, seconds) requests on a socket until the other end closes it.

    Before the verdict it says when each answer has been read and evaluated, so that the owner of a
    process that ran out of time knows which of the two it was.
    """
    logging.disable(logging.CRITICAL)  # math-verify logs each failure to parse
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the owner, which closes us
    connection: Connection[Any, Any] = Connection(descriptor)
    equal("x+\\frac{1}{2}", "0.5+x")  # loads the parser's tables before the first clock runs
    connection.send("ready")
    while True:
        try:
            gold, candidate, seconds = connection.recv()
        except EOFError:
            return
        # SIGPROF ends the process, whatever it is at and whether or not its owner still lives.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        for answer in (gold, candidate):
            prepare(answer)
            connection.send(None)
        verdict = equal(gold, candidate)
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        connection.send(verdict)
