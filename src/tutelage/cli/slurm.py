"""The command that prints a batch script: slurm."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.run import IntoOrNamed, Overrides, folder_for
from tutelage.config import override, read_yaml
from tutelage.errors import ConfigError
from tutelage.launch.catalog import find_launcher
from tutelage.launch.slurm import SlurmJob
from tutelage.printing import emit
from tutelage.recipes.catalog import check_config
from tutelage.redaction import redact
from tutelage.runner import check_launcher

_JOB = SlurmJob()


def slurm_command(
    config: Path,
    overrides: Overrides = None,
    into: IntoOrNamed = None,
    gpus: Annotated[int, typer.Option(min=0, max=1024, help="GPUs of one machine; a process each.")] = _JOB.gpus,
    cpus: Annotated[int, typer.Option(min=1, help="CPU cores a GPU.")] = _JOB.cpus,
    time: Annotated[str, typer.Option(help="How long one job may take, as Slurm writes it.")] = _JOB.time,
    warn: Annotated[
        int, typer.Option(min=1, help="Seconds before its end in which a run keeps what it has.")
    ] = _JOB.warn,
    partition: Annotated[str, typer.Option(help="Where, if not where everybody's jobs go.")] = _JOB.partition,
    account: Annotated[str, typer.Option(help="Whose, where Slurm asks for it.")] = _JOB.account,
) -> None:
    """Print a script for Slurm's sbatch, in which a run stops before its time is up and goes on in the next job."""
    settings = check_config(override(read_yaml(config), overrides or []), str(config))
    folder = folder_for(config, into)
    where = ["--on", f"processes:{gpus}"] if gpus > 1 else []
    if where:
        check_launcher(find_launcher(where[1]), settings.model_dump(mode="json"))
    command = [sys.executable, "-m", "tutelage", "run", str(config), *(overrides or []), "--into", str(folder), *where]
    job = SlurmJob(gpus, cpus, time, warn, partition, account)
    script = job.script(command, folder, Path.cwd())
    if redact(script) != script:
        raise ConfigError("a secret would stand in the script: export it as NAME=… and write ${NAME} in the config")
    emit(script.rstrip("\n"))
