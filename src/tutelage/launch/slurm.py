"""A batch script for Slurm that runs the same command until its run is done: it stops before the time is up, and queues again."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tutelage.errors import ConfigError

# A shell that waits is woken by a signal before what it waits for has ended, so it waits again.
_SCRIPT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task={cpus}
{gpus}#SBATCH --time={time}
#SBATCH --signal=B:TERM@{warn}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
{more}
# Ends with 130 when it was asked to stop and has kept what it had: then the job queues again, and goes on there.
cd {folder} || exit 2
{command} &
run=$!
trap 'kill -TERM "$run"' TERM
code=0
while wait "$run"; code=$?; kill -0 "$run" 2>/dev/null; do :; done
if [ "$code" -eq 130 ] && [ -n "$SLURM_JOB_ID" ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
"""
_TIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}")  # minutes, hours:minutes:seconds, days-hours:minutes:seconds, …
_NAME = re.compile(r"[\w.,:+-]+")


class SlurmJob(NamedTuple):
    """What is asked of Slurm: one machine, with so many GPUs, for so long."""

    gpus: int = 1
    cpus: int = 8  # of each GPU, or of the job where there is none
    time: str = "24:00:00"
    warn: int = 300  # seconds before the end of the time in which a run keeps what it has
    partition: str = ""
    account: str = ""

    def script(self, command: Sequence[str], into: Path, folder: Path) -> str:
        """The script that runs a command for the run's folder `into`, in a folder."""
        if not _TIME.fullmatch(self.time):
            raise ConfigError(f"--time {self.time!r} is no time of Slurm's, such as 12:00:00 or 2-00:00:00")
        asked = {"partition": self.partition, "account": self.account}
        for name, value in asked.items():
            if value and not _NAME.fullmatch(value):
                raise ConfigError(f"--{name} {value!r} is no name that Slurm has")
        log = f"{folder / into}-%j.log"
        if re.search(r"\s", log):
            raise ConfigError(f"Slurm takes no path with spaces for its log: {log}; choose another --into")
        return _SCRIPT.format(
            name=f"tutelage-{re.sub(r'[^A-Za-z0-9._-]', '-', into.name) or 'run'}",
            cpus=self.cpus * max(1, self.gpus),
            gpus=f"#SBATCH --gpus-per-node={self.gpus}\n" if self.gpus else "",
            time=self.time,
            warn=self.warn,
            log=log,
            more="".join(f"#SBATCH --{name}={value}\n" for name, value in asked.items() if value),
            folder=shlex.quote(str(folder)),
            command=shlex.join(command),
        )
