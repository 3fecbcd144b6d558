"""Rows as tensors. B rows, L lines of the tensors, T columns, N targets, S branches of a row.

Two layouts hold the same rows. *Shared*: a row is one line, padded on the left, in which all branches stand beside each
other and a mask says who goes on from whom; a prompt is computed once for all that goes on from it. *Apart*: every way
from tutelage.types import JsonObject
from a prompt to an end is a line of its own, padded on the right; this is right whatever a model makes of masks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from tutelage.training.rows import Inputs, Row, RowPart, Totals

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


def lay_shared(rows: Sequence[Row], pad: int) -> Laid:
    """A line a row, padded on the left, so that what is scored ends in the last column of every line."""
    width = max(row.shared_length for row in rows)
    ids = torch.full((len(rows), width), pad)
    segments, positions = torch.full_like(ids, PADDING), torch.zeros_like(ids)
    places = []
    for line, row in enumerate(rows):
        column = width - row.shared_length
        columns, ends = dict[int, int](), dict[int, int]()
        for place in row.order:
            branch = row.branches[place]
            end = column + len(branch.ids)
            ids[line, column:end] = torch.tensor(branch.ids)
            segments[line, column:end] = place + 1
            # The position is where the token would stand if its branch were alone behind its prompt.
            positions[line, column:end] = torch.arange(branch.depth, branch.depth + len(branch.ids))
            columns[place], ends[place], column = column, end, end
        befores = [ends[parent] - 1 if parent >= 0 else -1 for parent in row.parents]
        places.append([Place(line, columns[place], before) for place, before in enumerate(befores)])
    tensors = {"input_ids": ids, "attention_mask": (segments != PADDING).long(), "position_ids": positions}
    if not all(row.is_chain for row in rows):
        # Who may look at whom cannot be told from the columns any more: see `shared_mask`.
        tensors |= {"segments": segments, "kin": _kin(rows)}
    return Laid(tensors, places)


def _kin(rows: Sequence[Row]) -> torch.Tensor:
    """BSS, true: the second segment is the first itself, or one that it goes on from."""
    size = 1 + max(len(row.branches) for row in rows)
    kin_BSS = torch.zeros(len(rows), size, size, dtype=torch.bool)
    for line, row in enumerate(rows):
        for place, parent in enumerate(row.parents):
            if parent >= 0:
                kin_BSS[line, place + 1] = kin_BSS[line, parent + 1]  # parents stand before their children
            kin_BSS[line, place + 1, place + 1] = True
    return kin_BSS


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
    ways.sort(key=lambda way: way[1][-1] not in rows[way[0]].scored)  # stable
    lines = [[token for place in path for token in rows[number].branches[place].ids] for number, path in ways]
    width = max(map(len, lines))
    ids, mask = torch.full((len(lines), width), pad), torch.zeros(len(lines), width, dtype=torch.long)
    for place, line in enumerate(lines):
        ids[place, : len(line)] = torch.tensor(line)
        mask[place, : len(line)] = 1
    found: list[dict[int, Place]] = [{} for _ in rows]
    for number_of_line, (number, path) in enumerate(ways):
        column = 0
        for place in path:  # a branch in several lines is read in the first of them, and counts once
            found[number].setdefault(place, Place(number_of_line, column, column - 1))
            column += len(rows[number].branches[place].ids)
    positions = torch.arange(width).repeat(len(lines), 1)
    tensors = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    return Laid(tensors, [[places[place] for place in range(len(places))] for places in found])


def collate_rows(rows: Sequence[Row], whole: Totals, pad: int, apart: bool = False) -> Inputs:
    """Rows as what one forward pass and every objective's loss need; no rows at all give a line that teaches nothing.

    `parts` says for each objective and each of its parts where its tokens stand; `keep` is how many of the last columns
    need logits; `labels` are all targets, for Trainer, which counts them; `whole` is passed on.
    """
    if rows:
        tensors, places = (lay_apart if apart else lay_shared)(rows, pad)
    else:  # the last batch of an epoch may be too short to fill all of its micro-batches
        blank = torch.tensor([[pad, pad]])
        tensors = {"input_ids": blank, "attention_mask": torch.ones_like(blank), "position_ids": torch.tensor([[0, 1]])}
        places = []
    parts = _parts(rows, places, tensors["input_ids"])
    sources = [one["sources"] for own in parts.values() for one in own.values() if len(one.get("sources", ()))]
    width = tensors["input_ids"].shape[1]
    return {
        **tensors,
        "labels": torch.cat([one["labels"] for own in parts.values() for one in own.values() if "labels" in one] or [torch.tensor([0])]),
        "keep": width - min((int(one.min()) for one in sources), default=width - 1),
        "parts": parts,
        "totals": {name: {part: tuple(total) for part, total in own.items()} for name, own in whole.items()},
    }  # fmt: skip


def _parts(
    rows: Sequence[Row], places: Sequence[Sequence[Place]], ids: torch.Tensor
) -> dict[str, dict[str, dict[str, torch.Tensor]]]:
    """Where each part stands: its targets as lists, or the tokens whose states are read and the line of each row."""
    found: dict[str, dict[str, dict[str, list[torch.Tensor]]]] = {}
    for number, row in enumerate(rows):
        for objective, part, branch in row.parts:
            own = found.setdefault(objective, {}).setdefault(part.name, {})
            read = _state if part.weights is None else _targets
            for key, values in read(number, part, places[number][branch]).items():
                own.setdefault(key, []).append(values)
    parts = {
        objective: {name: {key: torch.cat(values) for key, values in one.items()} for name, one in own.items()}
        for objective, own in found.items()
    }
    for one in (part for own in parts.values() for part in own.values() if "sources" in part):
        one["labels"] = ids[one["lines"], one["columns"]]
    return parts


def _state(number: int, part: RowPart, place: Place) -> dict[str, torch.Tensor]:
    columns = torch.arange(place.column, place.column + len(part.branch.ids))
    lines = torch.full_like(columns, place.line)
    return {"lines": lines, "columns": columns, "rows": torch.tensor([number]), "line_of_row": lines[:1]}


def _targets(number: int, part: RowPart, place: Place) -> dict[str, torch.Tensor]:
    """The tokens that count: where they stand, and the column whose logits predict each.

    That is the column before it, but for a branch's first token: what it goes on from may stand anywhere in the line.
    """
    columns = torch.arange(place.column, place.column + len(part.branch.ids))
    sources = columns - 1
    sources[0] = place.before
    every = {
        "lines": torch.full_like(columns, place.line),
        "columns": columns,
        "sources": sources,
        "weights": torch.tensor(part.weights, dtype=torch.float32),
        "rows": torch.full_like(columns, number),
        **{f"more.{key}": torch.tensor(values) for key, values in part.more.items()},
    }
    counts = (every["weights"] != 0) & (sources >= 0)
    return every if counts.all() else {key: values[counts] for key, values in every.items()}
