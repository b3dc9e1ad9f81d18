"""Programs for jobs that note which signals they get; first they announce themselves, in a file."""

from __future__ import annotations

# argv: NAME [polite | patient | deaf]. Notes `SIGNAL monotonic-time` in the file NAME: first `ready PID`.
# polite ends at SIGTERM, patient at SIGINT too, deaf never.
NOTE_SIGNALS = """
import os, signal, sys, time
name, manners = sys.argv[1], (sys.argv[2:] or ["polite"])[0]
ENDS = {"polite": [signal.SIGTERM], "patient": [signal.SIGTERM, signal.SIGINT], "deaf": []}
def write(text):
    with open(name, "a") as file:
        file.write(text + "\\n")
def note(number, frame):
    write(f"{signal.Signals(number).name} {time.monotonic()}")
    if number in ENDS[manners]:
        os._exit(0)
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
    signal.signal(number, note)
write(f"ready {os.getpid()}")
while True:
    time.sleep(3600)
"""

# argv: PROGRAM ARG…  Starts it as a daemon (fork, setsid, fork) and ends.
DAEMONISE = """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
    os._exit(0)
os.wait()
"""

# Forks children that forget their parents and hear no signal, as fast as it can, up to 200.
STORM = """
import os, signal, sys, time
def multiply(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for turn in range(200):
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            while True:
                time.sleep(3600)
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
signal.signal(signal.SIGTERM, multiply)
open("storm", "w").write("ready\\n")
while True:
    time.sleep(3600)
"""


def noted(lines: list[str]) -> list[str]:
    """The names of the signals that a NOTE_SIGNALS program noted."""
    return [line.split()[0] for line in lines[1:]]


def times(lines: list[str]) -> list[float]:
    """When they came (monotonic seconds)."""
    return [float(line.split()[1]) for line in lines[1:]]


def pid_of(lines: list[str]) -> int:
    """Its process."""
    return int(lines[0].split()[1])
