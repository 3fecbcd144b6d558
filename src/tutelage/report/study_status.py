"""How a study stands: which runs are finished, which is working, and which failed."""

from tutelage.report import status
from tutelage.runs import history
from tutelage.studies.cells import Cell, cells_of, tuning_cells
from tutelage.studies.study_folder import OpenStudy
from tutelage.types import JsonObject


def study_lines(opened: OpenStudy) -> list[str]:
    """The whole state as lines."""
    told = study_facts(opened)
    states = "; ".join(f"{arm}: {one['finished']} of {one['runs']}" for arm, one in told["arms"].items())
    rows = [f"{opened.study.study}: {told['finished']} of {told['runs']} runs are finished ({states})"]
    rows += [f"{title}: {now}" for title, now in told["working"].items()]
    if not told["working"]:
        rows.append("Finished." if told["finished"] == told["runs"] else "Stopped; the same command goes on.")
    return rows + [f"{title} failed: {why}" for title, why in told["failures"].items()]


def study_facts(opened: OpenStudy) -> JsonObject:
    """The same for programs."""
    cells = [*tuning_cells(opened.study), *cells_of(opened.study, opened.chosen())]
    done = {cell.title for cell in cells if opened.outcome(cell)}
    arms: dict[str, dict[str, int]] = {}
    for cell in cells:
        name = "tuning" if cell.tuning else cell.arm
        row = arms.setdefault(name, {"finished": 0, "runs": 0})
        row["runs"] += 1
        row["finished"] += cell.title in done
    return {
        "study": opened.study.study,
        "runs": len(cells),
        "finished": len(done),
        "arms": arms,
        "working": {cell.title: now for cell in cells if cell.title not in done and (now := _working(opened, cell))},
        "failures": opened.failures,
    }


def _working(opened: OpenStudy, cell: Cell) -> str:
    """What a run is doing at this moment; empty where no process works in it."""
    folder = opened.folder / cell.folder
    if not (folder / "config.yaml").exists():
        return ""
    run = history.open_run(folder)
    return status.now(run) if run.state == "running" else ""
