"""Rows as tensors. B rows, L lines of the tensors, T columns, N targets, S branches of a row.

Two layouts hold the same rows. *Shared*: a row is one line, padded on the left, in which all branches stand beside each
other and a mask says who goes on from whom; a prompt is computed once for all that goes on from it. *Packed*: the same, but
short rows share a line with others, and the mask keeps them apart. *Apart*: every way from
a prompt to an end is a line of its own, padded on the right; this is right whatever a model makes of masks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from tutelage.training.examples import Branch
from tutelage.training.rows import Inputs, Placed, Row, Totals

PADDING = (
    0  # the segment of a column that holds nothing; the others are numbered from 1, in the order of a row's branches
)


class Place(NamedTuple):
    """Where a branch stands in the tensors."""

    line: int
    column: int  # of its first token
    before: int  # the column whose logits predict its first token; -1: there is none


class Laid(NamedTuple):
    """Rows laid out: the tokens of each line, and the places of each row's branches."""

    tensors: dict[str, torch.Tensor]
    places: list[list[Place]]


def lay_shared(rows: Sequence[Row], pad: int, lines: Sequence[Sequence[int]] | None = None) -> Laid:
    """The rows that share each line, side by side; a line a row unless they are given.

    Lines are padded on the left, so that where a line is a row what is scored ends in its last column.
    """
    lines = lines or [[number] for number in range(len(rows))]
    width = max(sum(rows[number].shared_length for number in line) for line in lines)
    ids, segments, positions = [], [], []
    places: list[list[Place]] = [[] for _ in rows]
    # Plain lists first and one tensor of each: a tensor costs more to make than a lesson's tokens are worth.
    for number_of_line, line in enumerate(lines):
        column = width - sum(rows[number].shared_length for number in line)
        tokens, segment, position = [pad] * column, [PADDING] * column, [0] * column
        others = 0  # branches of the rows before it in the line
        for number in line:
            row = rows[number]
            columns, ends = dict[int, int](), dict[int, int]()
            for place in row.order:
                branch = row.branches[place]
                tokens += branch.ids
                segment += [others + place + 1] * len(branch.ids)
                # The position is where the token would stand if its branch were alone behind its prompt.
                position += range(branch.depth, branch.depth + len(branch.ids))
                columns[place], ends[place] = column, column + len(branch.ids)
                column += len(branch.ids)
            befores = [ends[parent] - 1 if parent >= 0 else -1 for parent in row.parents]
            places[number] = [Place(number_of_line, columns[place], before) for place, before in enumerate(befores)]
            others += len(row.branches)
        ids.append(tokens)
        segments.append(segment)
        positions.append(position)
    kinds = torch.tensor(segments)
    tensors = {
        "input_ids": torch.tensor(ids),
        "attention_mask": (kinds != PADDING).long(),
        "position_ids": torch.tensor(positions),
    }
    if len(lines) < len(rows) or not all(row.is_chain for row in rows):
        # Who may look at whom cannot be told from the columns any more: see `shared_mask`.
        tensors |= {"segments": kinds, "kin": _kin([[rows[number] for number in line] for line in lines])}
    return Laid(tensors, places)


def _kin(lines: Sequence[Sequence[Row]]) -> torch.Tensor:
    """BSS, true: the second segment is the first itself, or one that it goes on from."""
    size = 1 + max(sum(len(row.branches) for row in line) for line in lines)
    kin_BSS = torch.zeros(len(lines), size, size, dtype=torch.bool)
    for number, line in enumerate(lines):
        others = 0
        for row in line:
            for place, parent in enumerate(row.parents):
                own = others + place + 1
                if parent >= 0:
                    kin_BSS[number, own] = kin_BSS[number, others + parent + 1]  # parents stand before their children
                kin_BSS[number, own, own] = True
            others += len(row.branches)
    return kin_BSS


def packed(lengths: Sequence[int]) -> list[list[int]]:
    """Which of so long rows share a line no longer than the longest of them: each in the first that has room, longest first."""
    order, most = sorted(range(len(lengths)), key=lambda number: -lengths[number]), max(lengths, default=0)
    lines, room = list[list[int]](), list[int]()
    for number in order:
        place = next((place for place, free in enumerate(room) if free >= lengths[number]), None)
        if place is None:
            place = len(lines)
            lines.append([])
            room.append(most)
        lines[place].append(number)
        room[place] -= lengths[number]
    return lines


def shared_mask(segments_BT: torch.Tensor, positions_BT: torch.Tensor, kin_BSS: torch.Tensor) -> torch.Tensor:
    """Who may look at whom (B1TT, true: may), where several branches share a row.

    A column sees its own branch and those it goes on from, up to its own position, whatever the order of the columns: two
    continuations of one prompt see the prompt and never each other. Padding sees itself alone, since a row of nothing but
    forbidden columns has no softmax.
    """
    lines_B11 = torch.arange(len(segments_BT), device=segments_BT.device)[:, None, None]
    kin_BTT = kin_BSS[lines_B11, segments_BT.unsqueeze(2), segments_BT.unsqueeze(1)]
    earlier_BTT = positions_BT.unsqueeze(1) <= positions_BT.unsqueeze(2)
    itself_TT = torch.eye(segments_BT.shape[1], dtype=torch.bool, device=segments_BT.device)
    return ((kin_BTT & earlier_BTT) | itself_TT).unsqueeze(1)


def lay_apart(rows: Sequence[Row], pad: int) -> Laid:
    """A line for each way from a prompt to an end, padded on the right, where nothing reaches back from in a causal model.

    A prompt with three ends is paid for three times. The scored lines of all rows come first.
    """
    ways = [(number, path) for number, row in enumerate(rows) for path in row.paths]
    ways.sort(key=lambda way: rows[way[0]].scored.isdisjoint(way[1]))  # stable
    lines = [[token for place in path for token in rows[number].branches[place].ids] for number, path in ways]
    width = max(map(len, lines))
    ids = torch.tensor([line + [pad] * (width - len(line)) for line in lines])
    mask = torch.tensor([[1] * len(line) + [0] * (width - len(line)) for line in lines])
    found: list[dict[int, Place]] = [{} for _ in rows]
    for number_of_line, (number, path) in enumerate(ways):
        column = 0
        for place in path:  # a branch in several lines is read in the first of them, and counts once
            found[number].setdefault(place, Place(number_of_line, column, column - 1))
            column += len(rows[number].branches[place].ids)
    positions = torch.arange(width).repeat(len(lines), 1)
    tensors = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    return Laid(tensors, [[places[place] for place in range(len(places))] for places in found])


def collate_rows(rows: Sequence[Row], whole: Totals, pad: int, apart: bool = False, packing: bool = False) -> Inputs:
    """Rows as what one forward pass and every objective's loss need; no rows at all give a line that teaches nothing.

    `parts` says for each objective and each of its parts where its tokens stand; `keep` is how many of the last columns
    need logits, which with `packing` may be all; `labels` are all targets, for Trainer, which counts them; `whole` is passed on.
    """
    if rows:
        lines = packed([row.shared_length for row in rows]) if packing and not apart else None
        tensors, places = lay_apart(rows, pad) if apart else lay_shared(rows, pad, lines)
    else:  # the last batch of an epoch may be too short to fill all of its micro-batches
        blank = torch.tensor([[pad, pad]])
        tensors = {"input_ids": blank, "attention_mask": torch.ones_like(blank), "position_ids": torch.tensor([[0, 1]])}
        places = []
    parts = _parts(rows, places)
    sources = [one["sources"] for own in parts.values() for one in own.values() if len(one.get("sources", ()))]
    width = tensors["input_ids"].shape[1]
    return {
        **tensors,
        "labels": torch.cat([one["labels"] for own in parts.values() for one in own.values() if "labels" in one] or [torch.tensor([0])]),
        "keep": width - min((int(one.min()) for one in sources), default=width - 1),
        **({"packed": True} if packing and not apart else {}),
        "parts": parts,
        "totals": {name: {part: tuple(total) for part, total in own.items()} for name, own in whole.items()},
    }  # fmt: skip


def _parts(rows: Sequence[Row], places: Sequence[Sequence[Place]]) -> dict[str, dict[str, dict[str, torch.Tensor]]]:
    """Where each part stands: its targets as lists, or the tokens whose states are read and the line of each row."""
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for number, row in enumerate(rows):
        for one in row.parts:
            own = found.setdefault(one.objective, {}).setdefault(one.part.name, {})
            for key, values in _tokens(number, row, one, places[number]).items():
                own.setdefault(key, []).extend(values)
    made = {
        objective: {name: {key: _tensor(key, values) for key, values in one.items()} for name, one in own.items()}
        for objective, own in found.items()
    }
    beside: dict[tuple[str, str], list[Branch]] = {}
    for row in rows:
        for objective, part in row.beside:
            beside.setdefault((objective, part.name), []).append(part.branch)
    for (objective, name), branches in beside.items():
        made.setdefault(objective, {})[name] = lay_behind(branches)
    return made


def lay_behind(branches: Sequence[Branch]) -> dict[str, torch.Tensor]:
    """Texts, a line each, and what each goes on from, for a pass in which the latter is a constant.

    `before` ends in the last column of every line, `texts` begins in the first; the masks say which columns hold anything.
    """
    befores = [branch.before for branch in branches]
    wide, long = max(map(len, befores)), max(len(branch.ids) for branch in branches)
    return {
        "before": torch.tensor([[0] * (wide - len(ids)) + ids for ids in befores]),
        "before_mask": torch.tensor([[0] * (wide - len(ids)) + [1] * len(ids) for ids in befores]),
        "texts": torch.tensor([[*branch.ids, *[0] * (long - len(branch.ids))] for branch in branches]),
        "text_mask": torch.tensor([[1] * len(branch.ids) + [0] * (long - len(branch.ids)) for branch in branches]),
    }


def _tensor(key: str, values: Sequence[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32 if key == "weights" else None if values else torch.long)


def _tokens(number: int, row: Row, one: Placed, places: Sequence[Place]) -> dict[str, Sequence[float]]:
    """The tokens of a part that are read: where each stands, and for targets what it is, counts, and is predicted from.

    That is the column before it, but for a branch's first token: what it goes on from may stand anywhere in the line.
    """
    part = one.part
    # Where every end has a line of its own, a branch of several lines is read in the line in which the part ends.
    line = places[one.places[-1]].line if one.places else 0
    columns, sources = list[int](), list[int]()
    for place in one.places:
        first, size = places[place].column, len(row.branches[place].ids)
        columns += range(first, first + size)
        sources += [places[place].before, *range(first, first + size - 1)]
    every: dict[str, Sequence[float]] = {
        "lines": [line] * len(columns),
        "columns": columns,
        "rows": [number] * len(columns),
    }
    if part.weights is None:
        return every
    every |= {"sources": sources, "labels": part.branch.ids, "weights": part.weights}
    every |= {f"more.{key}": values for key, values in part.more.items()}
    counts = [weight != 0 and source >= 0 for weight, source in zip(part.weights, sources, strict=True)]
    if all(counts):
        return every
    return {
        key: [value for value, counted in zip(values, counts, strict=True) if counted] for key, values in every.items()
    }
