"""Makes the run of version 0.1 that later versions must open: `python tests/runs/make_old.py FOLDER`, with that version installed.

It was run once, at the last commit whose steps had no labels; what it wrote is tailored-0.1.tar.gz beside it.
"""

import os
import sys
import tarfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[2]))

CONFIG = {
    "recipe": "tailored",
    "task": {"name": "word_problems", "size": 120, "difficulty": 1},
    "teacher": "worked:",
    "student": "hf:student",
    "baselines": ["zero_shot", "zero_shot_cot", "few_shot_cot", "fine_tune", "teacher"],
    "questions": {"dev_limit": 8, "test_limit": 12, "train_limit": 40},
    "first": 20,
    "rounds": 2,
    "patience": None,
    "shots": 1,
    "mistakes": {"n": 2, "temperature": 0.7, "questions": 16},
    "feedback": {"questions": 8, "rationales": 2, "practice": 1, "votes": 1, "agree": 1},
    "training": {"epochs": 40, "batch": 4, "learning_rate": 0.02, "precision": "float32"},
    "later": {"epochs": 2, "reflection": {"weight": 0.5}},
    "exam": {"max_tokens": 64},
}


def unpacked(folder: Path) -> Path:
    """The run that was made, and the student it began from, in a folder."""
    with tarfile.open(Path(__file__).with_name("tailored-0.1.tar.gz")) as packed:
        packed.extractall(folder, filter="data")
    return folder


def small_student(folder: Path) -> None:
    """A model of 14,000 weights."""
    from tests.conftest import make_student
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    make_student(folder, chat=False)
    size = len(AutoTokenizer.from_pretrained(folder))
    few = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"num_key_value_heads": 1, "max_position_embeddings": 512, "tie_word_embeddings": True}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    LlamaForCausalLM(LlamaConfig(vocab_size=size, **few, **more, **ends)).save_pretrained(folder)


def main(folder: Path) -> None:
    """Make the run and pack it."""
    folder.mkdir(parents=True)
    os.environ |= {"HF_HUB_OFFLINE": "1", "TUTELAGE_CACHE": str(folder / "cache")}
    os.chdir(folder)
    small_student(Path("student"))
    Path("c.yaml").write_text(yaml.safe_dump(CONFIG))
    import tutelage

    tutelage.run("c.yaml", "run")
    with tarfile.open("tailored-0.1.tar.gz", "w:gz") as packed:
        packed.add("student")
        packed.add("run", filter=lambda entry: None if Path(entry.name).name.startswith((".", "report.")) else entry)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
