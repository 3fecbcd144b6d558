"""Where a run's work was done, of whatever was shared by several processes."""

from collections.abc import Mapping
from typing import Any

from tutelage.report.sections import Section, Table, clock
from tutelage.runs.history import RunHistory
from tutelage.types import JsonObject

HEADINGS = ("step", "processes", "ended and replaced", "asked again", "ready over time")
_SHOWN = 8  # changes in the number of processes


def section(run: RunHistory, of: str) -> Section:
    """A row for each step that several processes worked on."""
    told = [event for event in run.events if event["event"] == "places" and event.get("engines")]
    rows = [
        [
            str(one.get("step", "")),
            f"{one['engines']}{_machines(one)}",
            str(one.get("deaths", 0)),
            f"{one.get('asked_again', 0)} questions",
            _over_time(one),
        ]
        for one in told
    ]
    shared = [one for one in run.trainings if one.facts.get("processes", 1) > 1]
    rows += [
        [
            one.step,
            f"{one.facts['processes']}{_machines(one.facts)}{_shares(one.facts)}",
            str(one.facts.get("deaths", 0)),
            "",
            "",
        ]
        for one in shared
    ]
    return Section(f"Where it was done{of}", tables=[Table(HEADINGS, rows)] if rows else [])


def _machines(told: Mapping[str, Any]) -> str:
    """The machines of a cluster by name, or how many there were."""
    names = told.get("machines") or []
    return f" on {', '.join(names) if len(names) <= _SHOWN else f'{len(names)} machines'}" if names else ""


def _shares(facts: Mapping[str, Any]) -> str:
    return ", each with its share of the student" if facts.get("cut") else ""


def _over_time(told: JsonObject) -> str:
    changes = told.get("ready") or []
    shown = [f"{number} after {clock(since)}" for since, number in changes[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(changes) - _SHOWN} changes more" if changes[_SHOWN:] else "")
