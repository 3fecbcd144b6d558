"""What a report says of a study: what was found first, then arm by arm, what it cost, and how it was made."""

from collections.abc import Sequence
from functools import cached_property

import yaml

from tutelage.evaluation.seeds import Estimate
from tutelage.report import figures, study_tables
from tutelage.report.sections import Section, Table
from tutelage.report.study_words import arm_row, bill_row, what_was_found, what_was_not, without_empty
from tutelage.studies.findings import findings_of
from tutelage.studies.study_folder import OpenStudy

_CAUTIONS = 6  # that stand at the top; all of them stand where it says how it was made
_KINDS = 40  # rows of the table by kind of question


class StudyContents:
    """A report on one study; `states` is what is missing of it."""

    def __init__(self, opened: OpenStudy, working: Sequence[str] = ()) -> None:
        self.working = working  # what its runs do at this moment, where it is being watched
        self.opened = opened
        self.study = opened.study
        self.findings = findings_of(opened)
        self.title = f"Study: {self.study.study}"

    @cached_property
    def headlines(self) -> list[str]:
        """What was found, in a sentence, and what was not, in another."""
        return [
            line
            for line in (
                what_was_found(self.findings, bool(self.study.compare)),
                what_was_not(self.findings, self.study.margin),
            )
            if line
        ]

    @cached_property
    def states(self) -> list[str]:
        """What was expected, how far it is, and what a reader must know before believing it."""
        told, findings = [self.study.note] if self.study.note else [], self.findings
        total = len(findings.missing) + len(findings.runs)
        told.append(
            f"{len(findings.runs)} of {total} runs are finished"
            + (
                f"; not there: {', '.join(findings.missing[:8])}{' …' if len(findings.missing) > 8 else ''}."
                if findings.missing
                else "."
            )
        )
        drawn = {"run": "first lessons, order and sampling", "task": "the questions"}
        told.append(f"A seed draws {' and '.join(drawn[what] for what in self.study.seed_of)}.")
        told += [f"{name} failed: {why}" for name, why in findings.failures.items()]
        return [*told, *findings.added, *findings.cautions[:_CAUTIONS], *self.working]

    @cached_property
    def parts(self) -> list[Section]:
        """Every section that has something to say."""
        every = [
            self._compared(),
            self._arms(),
            self._costs(),
            self._ratios(),
            self._kinds(),
            self._singles(),
            self._tuned(),
        ]
        return [part for part in every if part.figures or part.tables or part.lines]

    @cached_property
    def making(self) -> Section:
        """How it was made, so that it can be made again."""
        findings = self.findings
        rows = [
            *[["machine", f"{name}: {len(runs)} runs"] for name, runs in findings.machines.items()],
            *[["warning", line] for line in (*findings.cautions, *findings.warnings)],
            ["answers read by", ", ".join(dict.fromkeys(str(run["grader"]) for run in findings.runs))],
            ["a run of it", next((str(run["command"]) for run in findings.runs), "")],
            ["seeds", ", ".join(map(str, self.study.seeds))],
        ]
        plain = yaml.safe_dump(self.study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        return Section("How it was made", tables=[Table(("what", "how"), rows)], lines=[plain])

    def _compared(self) -> Section:
        """The primary comparisons."""
        comparisons = self.findings.comparisons
        if not comparisons:
            return Section("")
        marks = [
            figures.Dots(
                f"{one.before} → {one.after}",
                one.difference.singles,
                one.difference.mean,
                one.difference.low,
                one.difference.high,
            )
            for one in comparisons
        ]
        caption = "Differences in points, a dot for each seed, the mean with its 95 % interval over seeds"
        tables = study_tables.of_comparisons(comparisons, self.study.margin)
        return Section("The comparisons", [(caption, figures.dots(marks, caption, signed=True))], tables, open=True)

    def _arms(self) -> Section:
        arms = self.findings.arms
        if not arms:
            return Section("The arms", lines=["No run is finished yet."])
        marks = [
            figures.Dots(arm.title, arm.accuracy.singles, arm.accuracy.mean, arm.accuracy.low, arm.accuracy.high)
            for arm in arms
        ]
        caption = "Accuracy in per cent, a dot for each seed, the mean with its 95 % interval over seeds"
        chosen = "chosen" if self.study.tune else ""
        note = f"Chosen: {next(iter(self.study.tune))}, by what was right on dev." if chosen else ""
        headings = ["arm", "accuracy", "95 % over seeds", "strict", "sums worked out", "dev", "seeds", "questions", "unread", "cut off", *([chosen] if chosen else [])]  # fmt: skip
        rows = [[*arm_row(arm), *([str(arm.choice)] if chosen else [])] for arm in arms]
        single = [
            f"{arm.title} has one seed: its interval is over questions, and says nothing of another seed."
            for arm in arms
            if len(arm.seeds) == 1
        ]
        return Section(
            "The arms",
            [(caption, figures.dots(marks, caption))],
            [Table(*without_empty(headings, rows), note)],
            single,
            open=True,
        )

    def _costs(self) -> Section:
        """What each arm takes, and accuracy against it."""
        arms = self.findings.arms
        if not arms:
            return Section("")
        words = any(arm.bill.words for arm in arms)
        unit = "words" if words else "tokens"
        curves = self._curves()
        caption = (
            f"Accuracy against the {unit} of the teacher (read and written) until then, with 95 % bands over seeds"
        )
        several = len({x for curve in curves for x, _ in curve.points}) > 1  # else there is no curve to be seen
        chart = (
            figures.curves(curves, caption, (f"{unit} of the teacher", "accuracy"), percent=True) if several else None
        )
        headings = (
            "arm",
            "calls",
            f"{unit} in",
            "of them cached",
            f"{unit} out",
            "dollars",
            "failed",
            "cut off",
            "training",
            "own exams",
            "sent here",
        )
        note = "A run's mean: what the replies that its lessons were made of take, whoever paid for them and when; calls that failed, were cut off or voted are in it. Cached: what a server read from its own cache of prompts, in dollars at the full price. "
        note += "The teacher has no tokens, so its words are counted. " if words else ""
        note += "Sent here: requests that all of its runs really sent, retries included; the other replies were kept from before."
        return Section(
            "What it costs",
            [(caption, chart)] if chart else [],
            [Table(headings, [bill_row(arm) for arm in arms], note)],
            open=True,
        )

    def _curves(self) -> list[figures.Curve]:
        """A line an arm: over what is varied, or over its rounds."""
        arms, lines = self.findings.arms, []
        for name in dict.fromkeys(arm.arm for arm in arms):
            own = [arm for arm in arms if arm.arm == name]
            if self.study.vary:
                told = sorted(((arm.bill.tokens, arm.accuracy) for arm in own), key=lambda point: point[0])
            else:
                told = [(point.tokens, point.accuracy) for point in own[0].points]
            lines.append(
                figures.Curve(name, [(x, one.mean) for x, one in told], [(one.low, one.high) for _, one in told])
            )
        return lines

    def _ratios(self) -> Section:
        rows = [
            [f"{one.before} → {one.after}", f"{one.level:.1%}", f"{one.bound} {one.ratio:.2f}".strip(), f"{one.low:.2f} to {one.high:.2f}", one.unit, str(one.seeds), f"{one.missed:.0%}"]
            for one in self.findings.ratios
        ]  # fmt: skip
        note = "How many times as much the second takes as the first until it is as accurate; below 1 it is cheaper. The accuracy is halfway between what both have at their smallest bills and what both reach. Between two bills accuracy is taken to rise evenly with the logarithm of the bill. At least, at most: one of them is as accurate at the smallest bill that was tried already. Draws in which one does not reach the accuracy are in no interval."
        headings = (
            "arms",
            "at an accuracy of",
            "ratio",
            "95 % over seeds",
            "of",
            "seeds",
            "draws that do not reach it",
        )
        return Section("The bill at equal accuracy", tables=[Table(headings, rows, note)] if rows else [])

    def _kinds(self) -> Section:
        """Accuracy by kind of question."""
        arms = self.findings.arms
        kinds = list(dict.fromkeys(kind for arm in arms for kind in arm.by_kind))
        if len(kinds) < 2:
            return Section("")
        new = [[arm.title, _with_ends(arm.taught_kinds), _with_ends(arm.new_kinds)] for arm in arms if arm.new_kinds]
        headings = ("arm", "kinds that its lessons are about", "kinds that none is about")
        first = [Table(headings, new, "Accuracy with its 95 % interval over seeds.")] if new else []
        rows = []
        for kind in kinds[:_KINDS]:
            told = [arm.by_kind.get(kind) for arm in arms]
            rows.append(
                [kind, str(next(one[1] for one in told if one)), *(f"{one[0]:.0%}" if one else "" for one in told)]
            )
        more = f"{_KINDS} of {len(kinds)} kinds. " if len(kinds) > _KINDS else ""
        note = f"{more}n: answers of all seeds of the first arm that has the kind. A look, not a measurement."
        whole = Table(("kind", "n", *(arm.title for arm in arms)), rows, note)
        return Section("By kind of question", tables=[*first, whole])

    def _singles(self) -> Section:
        """Every run by itself."""
        return Section("Run by run", tables=study_tables.of_runs(self.findings.runs))

    def _tuned(self) -> Section:
        if not self.findings.tuned:
            return Section("")
        key, values = next(iter(self.study.tune.items()))
        rows = [
            [
                one.arm,
                *(f"{right[0]} of {right[1]}" if right else "not there yet" for right in one.right),
                str(one.chosen or ""),
            ]
            for one in self.findings.tuned
        ]
        note = f"Right on dev under the seeds {', '.join(map(str, self.study.tune_seeds))}, none of which is compared; among equals the first."
        return Section(f"What was tuned: {key}", tables=[Table(("arm", *map(str, values), "chosen"), rows, note)])


def _with_ends(found: Estimate | None) -> str:
    return f"{found.mean:.1%} [{found.low:.1%}, {found.high:.1%}]" if found else ""
