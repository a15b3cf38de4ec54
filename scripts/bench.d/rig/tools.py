"""What a measurement needs of the machine, and how to get what is missing."""

import shutil
import sys

#: Debian's packages; elsewhere they have much the same names.
PACKAGES = {"nginx": "nginx-light", "wrk": "wrk", "node": "nodejs", "npm": "npm"}


def missing(*tools: str) -> str:
    """Which of these cannot be found and what brings them, in words; empty: none."""
    absent = [tool for tool in tools if not shutil.which(tool)]
    if not absent:
        return ""
    packages = " ".join(PACKAGES[tool] for tool in absent)
    return f"{' and '.join(absent)} cannot be found: apt-get install {packages}"


def need(*tools: str) -> None:
    """Exit with 2 where one of these is missing: nothing can be measured."""
    if told := missing(*tools):
        print(told, file=sys.stderr)
        raise SystemExit(2)
