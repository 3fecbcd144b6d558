"""What a student forgets while it is taught: the same exam on another task, as it came and after every training."""

from tutelage.classroom.room import Classroom, Who
from tutelage.errors import ConfigError
from tutelage.recipes.settings import Teaching
from tutelage.runs import labels
from tutelage.tasks.catalog import find_task
from tutelage.types import Label


class Elsewhere:
    """The exam on another task, sat by each of a run's students; nothing where none is asked for.

    Its questions are drawn at once, so that what is wrong with them is said before anything is paid for.
    """

    def __init__(self, room: Classroom, config: Teaching) -> None:
        self.settings = config.forgetting
        if self.settings is None:
            return
        other = find_task(self.settings.task, data=config.data)
        if other.name == room.task.name:
            raise ConfigError(
                f"forgetting.task={other.name} is the task that is taught; name another one, which the student knows already"
            )
        self.room = room.on(other)
        self.questions = self.room.drawn(self.settings.split, self.settings.questions)
        exam = config.exam.model_copy(update={"n": 1, "temperature": 0.0})
        self.setup = exam.setup(self.settings.form, room.seed)

    def sit(self, who: Who, after: int) -> None:
        """The exam of the student after this many rounds, as a step."""
        if self.settings is None:
            return
        title = f"{self.room.task.name}, {labels.student(after)}"
        label = Label(kind="forgetting", round=after, split=self.settings.split, title=title)
        self.room.sit(f"{after}-forgetting", who, self.questions, self.setup, label=label)
