"""Word problems: short stories whose answer takes two to four sums. Our own generator, with worked solutions."""

import hashlib
import itertools
import random
from collections.abc import Mapping
from typing import Literal

from tutelage.errors import ConfigError, DataError
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
# With `split="sums"`: where the sums of each split end on the unit interval. Evener than the questions' shares, since all sums of a
# question must fall into one of them.
_SUM_SHARES = {"train": 0.5, "dev": 0.7, "test": 1.0}
_TRIES = 300
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
    difficulty: int = 1,
    templates: Literal["shared", "held_out", "half_held_out"] = "shared",
    split: Literal["questions", "sums"] = "questions",
    wordings: Literal["alike", "mixed"] = "alike",
    size: int | dict[str, int] = 2000,
    seed: int = 0,
) -> Task:
    """Make word problems of a difficulty from 1 (two small sums) to 3 (up to four, larger numbers).

    `templates="shared"`: every split tells all stories, and no story is told with the same numbers in two of them.
    `templates="held_out"`: dev and test tell stories that train never does. `"half_held_out"`: half of their questions are drawn from such
    stories, and the others from those that train tells; a story that few numbers fit gives fewer (in the demo 82 of 200 are of new stories).
    `size` is that of the whole task, of which 70, 10 and 20 per cent are train, dev and test, or {train: …, dev: …, test: …}.
    `split="questions"`: single sums are shared, and most sums of the test questions are in the training questions, too.
    `split="sums"`: no sum of a question of one split, such as 12 + 7, is in a question of another.
    `wordings="mixed"`: sampled solutions word each sentence by itself, in one of three ways: of two sums nine different ones, of four 81;
    `"alike"`: the same way throughout, so that there are three.
    """
    check_option(_NAME, "difficulty", difficulty, 1, 3)
    _check_choice("templates", templates, ("shared", "held_out", "half_held_out"))
    _check_choice("split", split, ("questions", "sums"))
    _check_choice("wordings", wordings, ("alike", "mixed"))
    stories = [story for story in STORIES.values() if len(story.sums) <= LEVELS[difficulty][0]]
    told = {key: [stories] for key in SHARES} if templates == "shared" else _held_out(stories)
    if templates == "half_held_out":
        told = {name: [*own, *told["train"]] if name != "train" else own for name, own in told.items()}
    apart = templates == "held_out" or split == "sums"  # whatever is drawn for a split is in no other

    def draw(rng: random.Random, name: str, story: Story | None = None) -> tuple[Question, str]:
        for _ in range(_TRIES):  # a story of few sums may have none in some split
            chosen = story or rng.choice(rng.choice(told[name]) if len(told[name]) > 1 else told[name][0])
            if made := draw_question(rng, chosen, difficulty, name if split == "sums" else None):
                return made
        raise DataError(f"task {_NAME!r} finds no numbers whose sums are all {name!r} sums; take another difficulty")

    making = Making(
        _NAME,
        "number",
        draw,
        worked if wordings == "alike" else _worked_mixed,
        again=lambda question: lambda rng, name: draw(rng, name, STORIES[question.template]),
    )
    if apart:
        making = making._replace(belongs=lambda fingerprint, name: True)
    # Left out where it is as before there was a choice, so that steps that were made then are still the same.
    chosen = ({} if split == "questions" else {"split": split}) | (
        {} if wordings == "alike" else {"wordings": wordings}
    )
    return make_task(making, size, seed, {"difficulty": difficulty, "templates": templates, **chosen})


def _check_choice(option: str, given: object, known: tuple[str, ...]) -> None:
    if given not in known:
        listed = " or ".join(map(repr, known))
        raise ConfigError(f"task {_NAME!r}: {option} must be {listed}, and is {given!r}")


def _held_out(stories: list[Story]) -> dict[str, list[list[Story]]]:
    """Of every seven stories one is told in dev only and two in test only; of each split, the groups that its stories are drawn from."""
    places: dict[str, list[Story]] = {split: [] for split in SHARES}
    for index, story in enumerate(stories):
        places[{0: "dev", 1: "test", 2: "test"}.get(index % 7, "train")].append(story)
    return {split: [own] for split, own in places.items()}


def draw_question(
    rng: random.Random, story: Story, difficulty: int, split: str | None = None
) -> tuple[Question, str] | None:
    """Tell a story with fresh numbers; the numbers and the story make the question, whatever the names in it.

    With a split, all of its sums are that split's; None where no such numbers are found.
    """
    _, stretch, highest = LEVELS[difficulty]
    for _ in itertools.count() if split is None else range(_TRIES):
        numbers = {
            key: rng.randint(span[0], span[1] if len(span) > 2 else max(span[0] + 3, round(span[1] * stretch)))
            for key, span in story.numbers.items()
        }
        results = solve(story, numbers)
        if results is None or not all(1 < result <= highest for result in results):
            continue
        if split is None or all(_split_of(one) == split for one in sums_of(story, numbers)):
            break
    else:
        return None
    name, other = rng.sample(sorted(_PEOPLE), 2)
    words = {"name": name, "other": other, "things": rng.choice(story.things)}
    text = rng.choice(story.asks).format(**numbers, **_slots(words))
    question = Question(
        id="", text=text, answer=str(results[-1]), template=story.name, facts={"numbers": numbers, "words": words}
    )
    return question, f"{story.name}/{'/'.join(map(str, numbers.values()))}"


def sums_of(story: Story, numbers: Mapping[str, int]) -> list[str]:
    """The sums of a story told with these numbers, each written one way: "7 + 12" is "12 + 7"."""
    known = {**numbers, **{f"r{i}": result for i, result in enumerate(solve(story, numbers) or (), start=1)}}
    found = []
    for left, sign, right in story.sums:
        a, b = (int(known.get(side, side)) for side in (left, right))
        a, b = (max(a, b), min(a, b)) if sign in "+*" else (a, b)
        found.append(f"{a} {sign} {b}")
    return found


def _split_of(written: str) -> str:
    """The split that a sum belongs to, whichever story tells it."""
    point = int.from_bytes(hashlib.sha256(f"sum {written}".encode()).digest()[:6], "big") / 2**48
    return next(split for split, end in _SUM_SHARES.items() if point < end)


def _worked_mixed(question: Question, variant: int) -> str:
    """The same, each sentence worded by itself; as many variants on end as there are combinations all differ."""
    return worked(question, variant, mixed=True)


def worked(question: Question, variant: int, mixed: bool = False) -> str:
    """One sentence a sum, with the sum written out."""
    story, numbers = STORIES[question.template], question.facts["numbers"]
    results = solve(story, numbers)
    assert results is not None
    known = {**numbers, **{f"r{i}": result for i, result in enumerate(results, start=1)}}
    sentences = []
    for (left, sign, right), wordings, result in zip(story.sums, story.steps, results, strict=True):
        sum_text = f"{known.get(left, left)} {sign} {known.get(right, right)} = {result}"
        sentence = wordings[variant % len(wordings)].replace("==", sum_text)
        variant = variant // len(wordings) if mixed else variant
        sentences.append(sentence.format(**known, **_slots(question.facts["words"])))
    return " ".join(sentences)


def _slots(words: Mapping[str, str]) -> dict[str, str]:
    she, her, her_o = _PEOPLE[words["name"]]
    return {**words, "she": she, "her": her, "her_o": her_o, "She": she.capitalize(), "Her": her.capitalize()}
