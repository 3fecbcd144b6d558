"""The tables of a study's report that take more than a line to make."""

from collections.abc import Mapping, Sequence

from tutelage.report.sections import Table
from tutelage.report.study_words import comparison_row, otherwise_row, without_empty
from tutelage.studies.findings import Comparison
from tutelage.types import JsonObject

_COMPARED = ("before → after", "difference", "95 % over seeds", "p", "p (Holm)", "detectable", "seeds", "questions")
_OTHERWISE = (
    "the same, measured otherwise",
    "t over the seeds' means",
    "strictly read",
    "sums worked out",
    "dev and test",
)


def of_comparisons(comparisons: Sequence[Comparison], margin: float | None) -> list[Table]:
    """The primary comparisons, and the same measured otherwise, as far as there is anything to measure."""
    note = "Chosen before anything ran. p (Holm) takes all of them together. Detectable: the difference that would be shown 4 times of 5."
    headings = list(_COMPARED)
    if margin:
        headings.append(f"p within ±{100 * margin:g}")
        note += f" p within ±{100 * margin:g}: of two one-sided tests that they differ by as much or more; small says as good as equal."
    why = "In points, with 95 % intervals."
    if any(one.worked_out for one in comparisons):
        why += " Sums worked out: the same answers with the sums in their chains worked out rightly."
    if any(one.pooled for one in comparisons):
        why += " Dev questions chose the round, and are pooled for size alone."
    kinds = any(one.new_kinds for one in comparisons)
    other = [*_OTHERWISE, *(("taught kinds", "new kinds") if kinds else ())]
    why += " Kinds of question: taught ones, that lessons are about, and new ones." if kinds else ""
    return [
        Table(headings, [comparison_row(one, margin is not None) for one in comparisons], note),
        Table(*without_empty(other, [otherwise_row(one, kinds) for one in comparisons]), why),
    ]


def of_runs(runs: Sequence[JsonObject]) -> list[Table]:
    """Every run by itself."""
    rows = [[str(run["run"]), *(f"{step}: {_told(one)}" for step, one in run["exams"].items())] for run in runs]
    widest = max((len(row) for row in rows), default=0)
    rows = [[*row, *[""] * (widest - len(row))] for row in rows]
    headings = ("run", "the student's exam", *["on dev"] * (widest > 2))
    return [Table(headings, rows)] if rows else []


def _told(exam: Mapping[str, int]) -> str:
    words = (("unread", "unread"), ("cut_off", "cut off"))
    odd = [f"{exam[key] / exam['n']:.0%} {word}" for key, word in words if exam[key]]
    more = f" ({', '.join(odd)})" if odd else ""
    return f"{exam['right'] / exam['n']:.1%} of {exam['n']}{more}"
