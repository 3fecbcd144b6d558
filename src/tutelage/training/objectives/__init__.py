"""What training minimises: every objective there is; `objective` finds one by its name or by the user's own import path."""

OBJECTIVES = {
    "likelihood": (
        "tutelage.training.objectives.likelihood:Likelihood",
        "write what the lesson writes: negative log-likelihood of its completion [Ho et al. 2022]",
    ),
    "reflection": (
        "tutelage.training.objectives.reflection:Reflection",
        "near right rationales of the question, far from the student's own mistakes: a triplet loss [Wang et al. 2023]",
    ),
}
