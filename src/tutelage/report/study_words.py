"""A study in words: its rows as cells, what was found in a sentence, and what was not in another."""

from collections.abc import Sequence

from tutelage.evaluation.seeds import Estimate
from tutelage.report.sections import clock
from tutelage.studies.findings import ArmResult, Comparison, Findings


def in_points(found: Estimate | None) -> str:
    """A difference in points with its interval; empty where it is not known."""
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]" if found else ""


def without_empty(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """A table without the columns of which no row has anything."""
    there = [place for place in range(len(headings)) if any(row[place] for row in rows)]
    return [headings[place] for place in there], [[row[place] for place in there] for row in rows]


def as_share(found: Estimate | None) -> str:
    """An accuracy; empty where it is not known."""
    return f"{found.mean:.1%}" if found else ""


def comparison_row(one: Comparison, margin: bool) -> list[str]:
    """A comparison as cells, with the p value of equivalence where there is a margin."""
    found = one.difference
    row = [
        f"{one.before} → {one.after}", f"{100 * found.mean:+.1f}", f"{100 * found.low:+.1f} to {100 * found.high:+.1f}", f"{found.p:.2g}",
        f"{one.p:.2g}", f"{100 * one.detectable:.1f}" if one.detectable < 1 else "none", str(len(one.seeds)), f"{found.questions:,}",
    ]  # fmt: skip
    return [*row, *([f"{one.equivalent:.2g}" if one.equivalent is not None else ""] if margin else [])]


def otherwise_row(one: Comparison, kinds: bool) -> list[str]:
    """The same comparison, measured otherwise; by taught and new kinds of question where there are new ones."""
    by_t = f"{100 * one.difference.mean:+.1f} [{100 * one.difference.t_low:+.1f}, {100 * one.difference.t_high:+.1f}]"
    row = [f"{one.before} → {one.after}", by_t, in_points(one.strict), in_points(one.worked_out), in_points(one.pooled)]
    return [*row, *([in_points(one.taught_kinds), in_points(one.new_kinds)] if kinds else [])]


def arm_row(arm: ArmResult) -> list[str]:
    """An arm as cells."""
    found = arm.accuracy
    return [
        arm.title, f"{found.mean:.1%}", f"{found.low:.1%} to {found.high:.1%}", as_share(arm.strict), as_share(arm.worked_out), as_share(arm.dev),
        str(len(arm.seeds)), f"{found.questions:,}", f"{arm.unread:.1%}", f"{arm.truncated:.1%}",
    ]  # fmt: skip


def bill_row(arm: ArmResult) -> list[str]:
    """What an arm takes, as cells."""
    bill = arm.bill
    dollars = "unpriced" if bill.dollars is None else f"${bill.dollars:.4f}"
    sent = f"{bill.paid_calls:,} calls, {bill.paid_tokens:,} tokens" if bill.paid_calls or bill.paid_tokens else "none"
    return [
        arm.title, f"{bill.calls:,.0f}", f"{bill.tokens_in:,.0f}", f"{bill.tokens_cached:,.0f}", f"{bill.tokens_out:,.0f}", dollars, f"{bill.failed:,.1f}", f"{bill.cut:,.1f}",
        clock(bill.training_seconds), clock(bill.exam_seconds), sent,
    ]  # fmt: skip


def what_was_found(findings: Findings, compared: bool) -> str:
    """What the comparisons show, in a sentence; where nothing was to be compared, what each arm's students can do."""
    if not compared:
        return _best(findings.arms)
    several = [one for one in findings.comparisons if len(one.seeds) > 1]
    if not several:
        return "Nothing is found yet: no two arms have two seeds in common that are finished, and one seed says nothing of another."
    shown = [one for one in several if one.p < 0.05]
    if not shown:
        return "Found: no difference between the compared arms that chance alone does not make (at 5 %, with Holm)."
    told = [f"{one.after} {_side(one)} {one.before} by {_said(one.difference)}, p = {one.p:.2g}" for one in shown]
    return f"Found: {'; '.join(told)}."


def _side(one: Comparison) -> str:
    return "is above" if one.difference.mean > 0 else "is below"


def _said(found: Estimate) -> str:
    ends = (
        sorted((100 * abs(found.low), 100 * abs(found.high)))
        if found.low * found.high > 0
        else (100 * found.low, 100 * found.high)
    )
    return f"{100 * abs(found.mean):.1f} points [{ends[0]:.1f}, {ends[1]:.1f}]"


def _best(arms: Sequence[ArmResult]) -> str:
    told = [f"{arm.title} {arm.accuracy.mean:.1%} [{arm.accuracy.low:.1%}, {arm.accuracy.high:.1%}]" for arm in arms]
    return f"Accuracy over seeds: {'; '.join(told)}. Nothing was to be compared." if told else "No run is finished yet."


def what_was_not(findings: Findings, margin: float | None) -> str:
    """What the comparisons do not show, in a sentence."""
    told = []
    for one in findings.comparisons:
        if one.p < 0.05 or len(one.seeds) < 2:
            continue
        span = f"{100 * one.difference.mean:+.1f} [{100 * one.difference.low:+.1f}, {100 * one.difference.high:+.1f}]"
        same = (
            f", as good as equal within ±{100 * margin:g}"
            if margin and one.equivalent is not None and one.equivalent < 0.05
            else ""
        )
        could = f"{100 * one.detectable:.1f} points would have been shown 4 times of 5"
        could = (
            could
            if one.detectable < 1
            else "with these seeds no difference that there can be would have been shown 4 times of 5"
        )
        told.append(f"whether {one.before} and {one.after} differ ({span}{same}; {could})")
    return f"Not shown: {'; '.join(told)}." if told else ""
