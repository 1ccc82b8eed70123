# SPDX-License-Identifier: BSD-3-Clause
"""What pages and workers ask, in a history of a million Tasks against one of a thousand.

usage: python benchmarks/history_size.py [--full]

Two stores hold the same kind of history, a short one and a long one, with the same few Runs under way. Each
question is put to the one and to the other in turn, many times, each time thrice, of which the best counts;
the ratio is that of the 95th percentiles, and one above the aim is measured again, up to twice. In SQLite
and in a real PostgreSQL. Small: 50,000 Tasks in SQLite alone.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # for tests.postgres

from big_history import fill, questions

from slidegate.store import Store
from tests.postgres import running, what_is_missing

SHORT = 1000
AIM = 2.0


def best(ask: Callable[[], Any]) -> float:
    """Return the best of three times: what else this computer does is not what is measured."""
    return min(seconds(ask) for _ in range(3))


def seconds(ask: Callable[[], Any]) -> float:
    began = time.perf_counter()
    ask()
    return time.perf_counter() - began


def p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * (len(times) - 1))]


def compare(name: str, urls: tuple[str, str], tasks: int, rounds: int) -> None:
    """Put each question to the short and to the long history in turn, and print the ratios."""
    short, long = (Store.open(url) for url in urls)
    for store, size in ((short, SHORT), (long, tasks)):
        took = seconds(lambda store=store, size=size: fill(store, size))
        print(f"{name}: a history of {size:,} tasks made in {took:.0f} s", flush=True)
    found: dict[str, float] = {}
    pairs = zip(questions(short, SHORT).items(), questions(long, tasks).values(), strict=True)
    for (question, ask_short), ask_long in pairs:
        for ask in (ask_short, ask_long, ask_short, ask_long):
            ask()
        for _ in range(3):
            times = [(best(ask_short), best(ask_long)) for _ in range(rounds)]
            few, many = p95([few for few, _many in times]), p95([many for _few, many in times])
            print(f"  {question:36} {few * 1e3:8.2f} ms {many * 1e3:8.2f} ms {many / few:6.2f}", flush=True)
            found[question] = min(many / few, found.get(question, many / few))
            if found[question] <= AIM:
                break
    short.close()
    long.close()
    worst = max(found, key=lambda question: found[question])
    verdict = "met" if found[worst] <= AIM else "missed"
    print(f"  the worst: {worst}")
    print(
        f"FIGURE {name}, {tasks:,} tasks against {SHORT:,}, p95 of the worst = {found[worst]:.2f} "
        f"(aim at most {AIM:g}): {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="a million tasks, in both databases")
    full = parser.parse_args().full
    tasks, rounds = (1_000_000, 200) if full else (50_000, 60)
    with tempfile.TemporaryDirectory() as folder:
        compare("SQLite", (f"sqlite:///{folder}/short.db", f"sqlite:///{folder}/long.db"), tasks, rounds)
    if full:
        if missing := what_is_missing():
            sys.exit(f"This needs {missing}.")
        with running() as server:
            compare("PostgreSQL", (server.create(), server.create()), tasks, rounds)


if __name__ == "__main__":
    main()
