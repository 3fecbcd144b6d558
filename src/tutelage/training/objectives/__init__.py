"""What training minimises: every objective there is; `objective` finds one by its name or by the user's own import path."""

OBJECTIVES = {
    "likelihood": (
        "tutelage.training.objectives.likelihood:Likelihood",
        "write what the lesson writes: negative log-likelihood of its completion [Ho et al. 2022]",
    ),
    "repair": (
        "tutelage.training.objectives.repair:Repair",
        "go on from one's own right steps: likelihood of what comes behind them",
    ),
    "prefer": (
        "tutelage.training.objectives.prefer:Prefer",
        "repair, and prefer the right step to one's own wrong one where they part [SimPO, ORPO]",
    ),
    "unlikelihood": (
        "tutelage.training.objectives.unlikelihood:Unlikelihood",
        "make one's own wrong step less likely where it begins [Welleck et al. 2019]",
    ),
    "key_steps": (
        "tutelage.training.objectives.key_steps:KeySteps",
        "weigh the steps in which a right and a wrong chain differ [EDIT: Dai et al. 2024]",
    ),
    "critique": (
        "tutelage.training.objectives.critique:Critique",
        "say what is wrong with a mistake, as the teacher said it",
    ),
    "imitate": (
        "tutelage.training.objectives.imitate:Imitate",
        "think of each next token as a teacher does whose probabilities are known [Hinton et al. 2015]",
    ),
    "self_distil": (
        "tutelage.training.objectives.self_distil:SelfDistil",
        "think of one's own text as one would with the teacher's line on it in sight",
    ),
    "reflection": (
        "tutelage.training.objectives.reflection:Reflection",
        "near right rationales of the question, far from the student's own mistakes: a triplet loss [Wang et al. 2023]",
    ),
}
WHOLE = frozenset({"likelihood", "repair", "prefer", "key_steps", "imitate"})  # those that learn lessons whole
