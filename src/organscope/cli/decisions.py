"""Decisions as a table by organ, and a promise in words."""

from dataclasses import asdict
from typing import Any

from organscope.cli.printing import output_console, plain_table
from organscope.decide import Promise, promise_in_words
from organscope.jobs import Redecision


def as_data(found: Redecision) -> dict[str, Any]:
    """The decisions as counts, and what is promised; the rows are in the file."""
    data: dict[str, Any] = {"bundle": found.bundle, "file": str(found.path), "n_images": len(found.table)}
    data["organs"] = counts_by_organ(found)
    return data | promise_as_data(found.promise)


def counts_by_organ(found: Redecision) -> list[dict[str, Any]]:
    """Images, accepted and flagged ones of each organ that is the answer to an image, the most frequent first."""
    rows = []
    for organ, part in found.table.groupby("organ", sort=False):
        row = {"organ": organ, "images": len(part), "accepted": int((part["decision"] == "accept").sum())}
        if "flagged" in part:
            row["flagged"] = int(part["flagged"].sum())
        rows.append(row)
    return sorted(rows, key=lambda row: (-row["images"], row["organ"]))


def promise_as_data(promise: Promise | None) -> dict[str, Any]:
    """A promise as plain data; nothing without one."""
    if promise is None:
        return {}
    rate = {"false_alarm_rate": promise.false_alarm_rate} if promise.n_negative else {}
    words = list(promise_in_words(promise))
    return {"promise": asdict(promise) | {"n_needed": promise.n_needed} | rate | {"words": words}}


def print_decisions(found: Redecision) -> None:
    """Print one row an organ, what is promised, and where the decisions are."""
    console = output_console()
    rows = counts_by_organ(found)
    if rows:
        numbers = tuple(name for name in rows[0] if name != "organ")
        table = plain_table(*rows[0], numbers=numbers)
        for row in rows:
            table.add_row(row["organ"], *(f"{row[name]:,}" for name in numbers))
        console.print(table)
    print_promise(found.promise)
    console.print(f"\nDecisions: {found.path}", soft_wrap=True)


def print_promise(promise: Promise | None) -> None:
    """Print what is promised, its price and its condition; nothing without a promise."""
    if promise is not None:
        output_console().print("\n" + " ".join(promise_in_words(promise)))
