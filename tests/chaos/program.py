"""The job of an injection. Standard library only; argv: PLACE SECONDS CODE DAEMON DEAF FAILS.

Says in PLACE/attempts which attempt it is, and when it began. Writes numbered lines, and after each few of
them how many there were into PLACE/count.ATTEMPT; leaves a daemon behind if told to; notes when it ends. The
first FAILS attempts fail.
"""

import os
import signal
import sys
import time

# The numbers of one attempt's lines, and how it fails.
LINES, FAILED = 1_000_000, 4


def main() -> None:
    place, seconds, code, daemon, deaf, fails = sys.argv[1:]
    attempt = int(os.environ["COLAB_RUN_ATTEMPT"])
    marks = os.open(f"{place}/attempts", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(marks, b"%d %r\n" % (attempt, time.monotonic()))
    if deaf == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if daemon != "no":
        leave(daemon)
    end = time.monotonic() + float(seconds)
    count = os.open(f"{place}/count.{attempt}", os.O_WRONLY | os.O_CREAT, 0o600)
    line = 0
    while time.monotonic() < end:
        for _ in range(20):
            line += 1
            os.write(1, b"%08d\n" % ((attempt - 1) * LINES + line))
        os.pwrite(count, b"%08d\n" % line, 0)
        time.sleep(0.003)
    if os.path.isdir("out"):
        with open("out/model", "a", encoding="ascii") as file:
            file.write("more\n")
    with open(f"{place}/ended", "w", encoding="ascii") as file:
        file.write(repr(time.monotonic()))
    os._exit(FAILED if attempt <= int(fails) else int(code))


def leave(manners: str) -> None:
    """A daemon, as daemons are made: fork, setsid, fork."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if manners == "deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(3600)
        os._exit(0)
    os.wait()


if __name__ == "__main__":
    main()
