"""Runs a subject, and lets whatever it has started end with it."""

import runpy
import signal
import sys
from pathlib import Path
from typing import Any, Final

#: What ends a process unless it says otherwise, and leaves its children: a person, a scheduler, a terminal that closes.
SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP")


def stop(number: int, _: Any) -> None:
    """Leave by way of every block that ends a server or a command, or deletes a directory."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run the subject that is named first, with the arguments that follow."""
    subject = Path(__file__).parents[1] / f"{sys.argv[1]}.py"
    for name in SIGNALS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    sys.argv = [str(subject), *sys.argv[2:]]
    sys.path[0] = str(subject.parent)
    runpy.run_path(str(subject), run_name="__main__")


if __name__ == "__main__":
    main()
