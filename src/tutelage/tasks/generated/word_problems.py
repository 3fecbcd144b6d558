"""Word problems: short stories whose answer takes two to four sums. Our own generator, with worked solutions."""

import random
from collections.abc import Mapping
from typing import Literal

from tutelage.errors import ConfigError
from tutelage.tasks.generated.long_stories import LONG
from tutelage.tasks.generated.making import Making, check_option, make_task
from tutelage.tasks.generated.stories import TWO_STEP
from tutelage.tasks.generated.story import Story, solve
from tutelage.tasks.task import SHARES, Task
from tutelage.types import Question

_NAME = "word_problems"
STORIES = {story.name: story for story in (*TWO_STEP, *LONG)}
# Difficulty -> the most steps, what the ranges of numbers are stretched by, and the largest result.
LEVELS = {1: (2, 0.4, 36), 2: (3, 1, 199), 3: (4, 4, 1999)}
# Names with their pronouns: subject, possessive, object.
_SHE, _HE = ("she", "her", "her"), ("he", "his", "him")
_PEOPLE = {
    **dict.fromkeys(
        [
            "Maya",
            "Amina",
            "Ingrid",
            "Rosa",
            "Priya",
            "Leah",
            "Chloe",
            "Yuki",
            "Nadia",
            "Fatima",
            "Olga",
            "Zoe",
            "Hannah",
            "Ines",
            "Mei",
            "Ruth",
        ],
        _SHE,
    ),
    **dict.fromkeys(
        [
            "Tom",
            "Omar",
            "Diego",
            "Sven",
            "Kofi",
            "Ravi",
            "Liam",
            "Jun",
            "Pavel",
            "Hugo",
            "Noah",
            "Tariq",
            "Felix",
            "Mateo",
            "Otto",
            "Sam",
        ],
        _HE,
    ),
}


def make(
    difficulty: int = 1, templates: Literal["shared", "held_out"] = "shared", size: int = 2000, seed: int = 0
) -> Task:
    """Make word problems of a difficulty from 1 (two small sums) to 3 (up to four, larger numbers).

    `templates="shared"`: every split tells all stories, and no story is told with the same numbers in two of them. Single sums
    are shared: most sums of the test questions are in the training questions, too.
    `templates="held_out"`: dev and test tell stories that train never does.
    """
    check_option(_NAME, "difficulty", difficulty, 1, 3)
    if templates not in ("shared", "held_out"):
        raise ConfigError(f"task {_NAME!r}: templates must be 'shared' or 'held_out', and is {templates!r}")
    stories = [story for story in STORIES.values() if len(story.sums) <= LEVELS[difficulty][0]]
    told = dict.fromkeys(SHARES, stories) if templates == "shared" else _held_out(stories)
    making = Making(
        _NAME,
        "number",
        lambda rng, _: draw_question(rng, rng.choice(stories), difficulty),
        worked,
        again=lambda question: lambda rng, _: draw_question(rng, STORIES[question.template], difficulty),
    )
    if templates == "held_out":
        told = _held_out(stories)
        making = making._replace(
            draw=lambda rng, split: draw_question(rng, rng.choice(told[split]), difficulty),
            belongs=lambda fingerprint, split: True,  # no other split tells the story at all
        )
    return make_task(making, size, seed, {"difficulty": difficulty, "templates": templates})


def _held_out(stories: list[Story]) -> dict[str, list[Story]]:
    """Of every seven stories one is told in dev only and two in test only."""
    places: dict[str, list[Story]] = {split: [] for split in SHARES}
    for index, story in enumerate(stories):
        places[{0: "dev", 1: "test", 2: "test"}.get(index % 7, "train")].append(story)
    return places


def draw_question(rng: random.Random, story: Story, difficulty: int) -> tuple[Question, str]:
    """Tell a story with fresh numbers; the numbers and the story make the question, whatever the names in it."""
    _, stretch, highest = LEVELS[difficulty]
    while True:
        numbers = {
            key: rng.randint(span[0], span[1] if len(span) > 2 else max(span[0] + 3, round(span[1] * stretch)))
            for key, span in story.numbers.items()
        }
        results = solve(story, numbers)
        if results is not None and all(1 < result <= highest for result in results):
            break
    name, other = rng.sample(sorted(_PEOPLE), 2)
    words = {"name": name, "other": other, "things": rng.choice(story.things)}
    text = rng.choice(story.asks).format(**numbers, **_slots(words))
    question = Question(
        id="", text=text, answer=str(results[-1]), template=story.name, facts={"numbers": numbers, "words": words}
    )
    return question, f"{story.name}/{'/'.join(map(str, numbers.values()))}"


def worked(question: Question, variant: int) -> str:
    """One sentence a sum, with the sum written out."""
    story, numbers = STORIES[question.template], question.facts["numbers"]
    results = solve(story, numbers)
    assert results is not None
    known = {**numbers, **{f"r{i}": result for i, result in enumerate(results, start=1)}}
    sentences = []
    for (left, sign, right), wordings, result in zip(story.sums, story.steps, results, strict=True):
        sum_text = f"{known.get(left, left)} {sign} {known.get(right, right)} = {result}"
        sentence = wordings[variant % len(wordings)].replace("==", sum_text)
        sentences.append(sentence.format(**known, **_slots(question.facts["words"])))
    return " ".join(sentences)


def _slots(words: Mapping[str, str]) -> dict[str, str]:
    she, her, her_o = _PEOPLE[words["name"]]
    return {**words, "she": she, "her": her, "her_o": her_o, "She": she.capitalize(), "Her": her.capitalize()}
