"""A whole report: the answer first, then run by run, then how each was made."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

from markupsafe import Markup

from tutelage.evaluation.scoreboard import score, several, speakers
from tutelage.report import canaries, figures, kinds, places, sections
from tutelage.runs.history import RunHistory
from tutelage.runs.inputs import other_questions
from tutelage.runs.naming import described


class Contents:
    """A report on one run, or on several side by side."""

    def __init__(self, runs: Sequence[RunHistory]) -> None:
        self.runs = runs

    @property
    def title(self) -> str:
        """What the report is about."""
        return ", ".join(run.name for run in self.runs)

    @cached_property
    def states(self) -> list[str]:
        """One line a run: what it is, and what is missing of it."""
        told = [described(run.config, run.facts.get("roles")) for run in self.runs]
        return [f"{run.name}: {line}. {sections.state_line(run)}" for run, line in zip(self.runs, told, strict=True)]

    @cached_property
    def headlines(self) -> list[str]:
        """What came of each run."""
        return [sections.headline(run) + kinds.sentence(run) + self._of(run) for run in self.runs]

    @cached_property
    def parts(self) -> list[sections.Section]:
        """Every section that has something to say, the answer first."""
        rounds = [make(run, self._of(run)) for run in self.runs for make in (sections.changes, sections.verdicts)]
        details = (kinds.templates, canaries.signs, sections.lessons_section, sections.effort, places.section)
        every = [
            self._answer(),
            *rounds,
            self._between(),
            self._efficiency(),
            self._losses(),
            *(make(run, self._of(run)) for run in self.runs for make in details),
        ]
        return [part for part in every if part.figures or part.tables or part.lines]

    @cached_property
    def making(self) -> list[sections.Section]:
        """How each run was made, so that it can be made again."""
        return [sections.making(run, self._of(run)) for run in self.runs]

    def _of(self, run: RunHistory) -> str:
        return f" ({run.name})" if len(self.runs) > 1 else ""

    def _answer(self) -> sections.Section:
        """What the student could do before, after each round, and the teacher's ceiling."""
        marks, rows, lines = [], [], []
        for run in self.runs:
            exams = run.exams()
            for step, told in run.promised.items():
                title = told.title or step
                if title not in exams:
                    continue
                found, label = score(exams[title]), title + self._of(run)
                marks.append(figures.Mark(label, found.accuracy, found.low, found.high, told.who))
                rows.append(sections.score_row(label, found))
                rows += [
                    [f"  {one.name}", f"{one.value:.1%}", f"{one.low:.1%} to {one.high:.1%}"] + [""] * 5
                    for one in several(exams[title])
                ]
                lines += [f"{label}: {said}."] if (said := speakers(exams[title])) else []
        if not rows:
            return sections.Section("What the student can do", lines=["No exam is finished yet."])
        caption = "Accuracy on the held-out questions with its 95 % interval"
        return sections.Section(
            "What the student can do",
            [(caption, figures.whiskers(marks, caption))],
            [sections.Table(sections.HEADINGS, rows)],
            lines,
            open=True,
        )

    def _between(self) -> sections.Section:
        """Several runs: each exam that two neighbours share, compared question by question."""
        rows, apart = [], []
        for before, after in pairwise(self.runs):
            ours, theirs = before.exams(), after.exams()
            others = set(other_questions(before.questions, after.questions))
            for title in [title for title in ours if title in theirs]:
                name, same = (
                    f"{title}: {before.name} -> {after.name}",
                    {one.question for one in ours[title]}.isdisjoint(others),
                )
                cells = sections.paired(ours[title], theirs[title]) if same else []
                rows += [[name, *cells]] if cells else []
                apart += [] if cells else [f"{name}: not on the same questions, so they are not compared."]
        tables = [sections.Table(sections.PAIRED, rows)] if rows else []
        return sections.Section("The runs against each other", tables=tables, lines=apart)

    def _efficiency(self) -> sections.Section:
        """Accuracy against what the teacher wrote for it."""
        lines, rows = [], []
        for run in self.runs:
            points = sections.paid(run)
            if len(points) > 1 or len(self.runs) > 1:
                lines.append(
                    figures.Curve(
                        run.name, [(x, s.accuracy) for x, s, _ in points], [(s.low, s.high) for _, s, _ in points]
                    )
                )
                rows += [[label + self._of(run), f"{x:,}", f"{s.accuracy:.1%}"] for x, s, label in points]
        if not rows:
            return sections.Section("What the teaching costs")
        caption = "Accuracy against the tokens of the teacher (read and written) until then"
        chart = figures.curves(lines, caption, ("tokens of the teacher", "accuracy"), percent=True)
        return sections.Section(
            "What the teaching costs",
            [(caption, chart)],
            [sections.Table(("exam", "teacher's tokens", "accuracy"), rows)],
        )

    def _losses(self) -> sections.Section:
        """The loss of every training, and whatever else its objectives told, each by its name."""
        shown: list[tuple[str, Markup]] = []
        for run in self.runs:
            told = {one.step: {"loss": one.facts["losses"], **one.facts["numbers"]} for one in run.trainings}
            for name in dict.fromkeys(name for numbers in told.values() for name in numbers):
                lines = [
                    figures.Curve(step, list(enumerate(numbers[name], 1)))
                    for step, numbers in told.items()
                    if numbers.get(name)
                ]
                caption = f"{name[:1].upper()}{name[1:]} at each training step{self._of(run)}"
                shown.append((caption, figures.curves(lines, caption, ("step", name))))
        trained = [(run, one) for run in self.runs for one in run.trainings]
        headings, rows = sections.trainings([(one.step + self._of(run), one.facts) for run, one in trained])
        return sections.Section("Training", shown, [sections.Table(headings, rows)] if rows else [])
