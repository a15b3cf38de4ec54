"""Contact lists for a simulated world: mostly good rows over a small pool of destinations, some invalid, some twice."""

import csv
from pathlib import Path
from random import Random

AREAS = (416, 647, 604, 250, 514, 403)

#: Destinations that are used in all worlds: looking at a phone number is slow, and what was seen is remembered.
POOL = 440


def phone(number: int) -> str:
    """The n-th phone number of the pool."""
    return f"+1{AREAS[number // 100 % 6]}555{100 + number % 100:04}"


def mail(number: int) -> str:
    """The n-th mail address of the pool."""
    return f"p{number}@example.com"


def write_list(path: Path, random: Random, first: int, rows: int) -> None:
    """Write one source of `rows` rows whose keys begin with `first`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["customer_id", "first_name", "mobile", "email"])
        for row in range(first, first + rows):
            key, name, to = f"c{row}", f"Zoë{row}", row % POOL
            kind = random.random()
            if kind < 0.02:  # nothing to reach this person by
                table.writerow([key, name, "12", "nowhere"])
            elif kind < 0.04 and row > first:  # the same person once more
                again = random.randrange(first, row)
                table.writerow([f"c{again}", f"Zoë{again}", phone(again % POOL), mail(again % POOL)])
            elif kind < 0.07 and row > first:  # another person at the same destinations, with the same or another text
                shared = random.randrange(first, row)
                name = random.choice((name, f"Zoë{shared}"))
                table.writerow([key, name, phone(shared % POOL), mail(shared % POOL)])
            else:
                table.writerow([key, name, phone(to), mail(to) if random.random() < 0.8 else ""])
