"""Dates: a text says indirectly which day it is, and the question is what date some other day has."""

import calendar
import random
from datetime import date, timedelta
from typing import Any

from tutelage.tasks.asking import ask_which_is_true
from tutelage.tasks.generated.making import Making, check_option, make_task
from tutelage.tasks.task import Task
from tutelage.types import Question

_NAME = "date_understanding"
_LETTERS = "ABCDEFGHIJ"

# How the text fixes the day, and how many days today is away from the date it names.
_ANCHORS = {
    "today": ("Today is {day}.", 0),
    "calendar": ("The calendar on the wall shows {day} today.", 0),
    "yesterday": ("Yesterday was {day}.", 1),
    "tomorrow": ("Tomorrow is {day}.", -1),
    "two_days_ago": ("Two days ago it was {day}.", 2),
    "in_two_days": ("In two days it will be {day}.", -2),
    "week_ago": ("A week ago it was {day}.", 7),
    "party": ("{name}'s party was on {day}. That was 3 days ago.", 3),
    "ticket": ("{name} has a ticket for {day}, which is 5 days from now.", -5),
}
# What is asked for, and how far it is from today in days, months and years.
_TARGETS = {
    "today": ("today", (0, 0, 0)),
    "tomorrow": ("tomorrow", (1, 0, 0)),
    "yesterday": ("yesterday", (-1, 0, 0)),
    "day_after_tomorrow": ("the day after tomorrow", (2, 0, 0)),
    "hours_later": ("24 hours later", (1, 0, 0)),
    "week_ago": ("one week ago from today", (-7, 0, 0)),
    "week_from": ("one week from today", (7, 0, 0)),
    "ten_days_ago": ("10 days ago", (-10, 0, 0)),
    "month_ago": ("a month ago", (0, -1, 0)),
    "year_ago": ("one year ago from today", (0, 0, -1)),
}
_PEOPLE = ("Amira", "Bo", "Carlos", "Dana", "Emil", "Freya", "Goran", "Hana", "Ines", "Jonas")


def make(size: int = 2000, seed: int = 0, choices: int = 6) -> Task:
    """Make date questions with `choices` choices each (after BIG-bench, where most have 6)."""
    check_option(_NAME, "choices", choices, 2, len(_LETTERS))

    def again(question: Question) -> Any:
        return lambda rng, _: _draw(rng, choices, question.facts["target"])

    making = Making(_NAME, "choice", lambda rng, _: _draw(rng, choices), worked, ask_which_is_true, again)
    return make_task(making, size, seed, {"choices": choices})


def _draw(rng: random.Random, choices: int, target: str = "") -> tuple[Question, str]:
    anchor = rng.choice(list(_ANCHORS))
    target = target or rng.choice([name for name in _TARGETS if name != "today" or _ANCHORS[anchor][1]])
    # Days after the 28th are left out where the month or the year changes: the month before may not have them.
    today = date(1970, 1, 1) + timedelta(rng.randrange(60 * 365))
    if any(_TARGETS[target][1][1:]):
        today = today.replace(day=min(today.day, 28))
    named = today - timedelta(_ANCHORS[anchor][1])
    gold = _moved(today, *_TARGETS[target][1])
    stated = _ANCHORS[anchor][0].format(day=_spelt(named), name=rng.choice(_PEOPLE))
    listed = _with_distractors(rng, gold, today, choices)
    question = Question(
        id="",
        text=f"{stated} What is the date {_TARGETS[target][0]} in MM/DD/YYYY?",
        answer=_LETTERS[listed.index(gold)],
        choices=tuple(_written(one) for one in listed),
        template=f"{anchor}/{target}",
        facts={"anchor": anchor, "target": target, "named": named.isoformat()},
    )
    return question, f"{anchor}/{target}/{named.isoformat()}"


def _moved(day: date, days: int, months: int, years: int) -> date:
    month = day.month - 1 + months
    return day.replace(year=day.year + years + month // 12, month=month % 12 + 1) + timedelta(days)


def _with_distractors(rng: random.Random, gold: date, today: date, choices: int) -> list[date]:
    """The right date among wrong ones that a slip would give: a day, a week, a month or a year off."""
    found = [gold] if gold == today or rng.random() < 0.5 else [gold, today]
    slips = (-1, 1, -2, 2, -7, 7, 30, -30, 365, -365, 10 * 365, -30 * 365)
    while len(found) < choices:
        wrong = gold + timedelta(rng.choice([*slips, rng.randint(-40, 40)]))
        if wrong not in found:
            found.append(wrong)
    rng.shuffle(found)
    return found


def _written(day: date) -> str:
    return day.strftime("%m/%d/%Y")


def _spelt(day: date) -> str:
    return f"{calendar.month_name[day.month]} {day.day}, {day.year}"


# Today, no step needed, one or more days away, a month or year away, ending: the same steps in other words.
_WORDINGS = (
    ("Today is {today}.", "{phrase} is {date}.", "This is choice ({letter})."),
    ("So today is {today}.", "Then {phrase} is {date}.", "That is ({letter})."),
    ("The date today is {today}.", "Hence {phrase} has the date {date}.", "Choice ({letter}) says this."),
)


def worked(question: Question, variant: int) -> str:
    """Find today's date from the text, then count from it to the date that is asked for."""
    first, second, ending = _WORDINGS[variant % len(_WORDINGS)]
    facts = question.facts
    named = date.fromisoformat(facts["named"])
    shift = _ANCHORS[facts["anchor"]][1]
    today = named + timedelta(shift)
    phrase, (days, months, years) = _TARGETS[facts["target"]]
    steps = [f"{_spelt(named)} is {_written(named)}."]
    steps += _counted(named, shift)
    steps.append(first.format(today=_written(today)))
    gold = _moved(today, days, months, years)
    if gold != today:
        steps += _counted(today, days) if days else [_renamed(today, gold)]
        said = second.format(phrase=phrase, date=_written(gold))
        steps.append(said[0].upper() + said[1:])
    steps.append(ending.format(letter=question.answer))
    return " ".join(steps)


def _counted(day: date, days: int) -> list[str]:
    """The arithmetic of some days on or back, with the month's length where a month ends in between."""
    if not days:
        return []
    end = day + timedelta(days)
    total = day.day + days
    sign = "+" if days > 0 else "-"
    if end.month == day.month:
        return [f"{day.day} {sign} {abs(days)} = {end.day}."]
    month = day if days > 0 else end
    length = calendar.monthrange(month.year, month.month)[1]
    carry = f"{total} - {length} = {end.day}" if days > 0 else f"{length} - {-total} = {end.day}"
    name = calendar.month_name[month.month]
    return [f"{day.day} {sign} {abs(days)} = {total}. {name} {month.year} has {length} days, {carry}."]


def _renamed(day: date, end: date) -> str:
    if day.month != end.month:
        return f"The month before {calendar.month_name[day.month]} is {calendar.month_name[end.month]}."
    return f"{day.year} - 1 = {end.year}."
