"""Ends the runs of a runner that was killed: started as a process by it.

Its standard input has "+PID" for a process group that begins and "-PID" for one
that has ended; it ends when the runner does, whatever has killed it.
"""

import contextlib
import os
import signal
import sys
import time

# Seconds from asking a process to stop to making it; torchrun gives its
# workers 30.
GRACE = 40


def watch(lines):
    """Follow the runner to its end, then end what it has left."""
    live = set()
    for line in lines:
        change = live.add if line[0] == "+" else live.discard
        change(int(line[1:]))
    end = time.monotonic() + GRACE
    signal_groups(live, signal.SIGTERM)
    while live and time.monotonic() < end:
        live = {group for group in live if signal_groups([group], 0)}
        time.sleep(0.1)
    signal_groups(live, signal.SIGKILL)


def signal_groups(groups, number):
    """Send a signal to process groups; whether one of them is there."""
    found = False
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
            found = True
    return found


if __name__ == "__main__":
    watch(sys.stdin)
