"""Recipes: published methods, each one file, run by name from one config; `catalog` finds them, and a user's own."""

# name -> where it is, and what it is: a list of them loads none.
RECIPES = {
    "finetune_cot": (
        "tutelage.recipes.finetune_cot:RECIPE",
        "Fine-tune-CoT [Ho et al. 2022]: learn a teacher's rationales",
    ),
    "tailored": (
        "tutelage.recipes.tailored:RECIPE",
        "tailored learning [Wang et al. 2023]: rounds of exam, feedback, reflection",
    ),
    "lema": (
        "tutelage.recipes.lema:RECIPE",
        "LEMA [An et al. 2023]: learn from chains and from corrections of wrong ones",
    ),
    "committee": (
        "tutelage.recipes.committee:RECIPE",
        "a committee of teachers with peer review, FAIR [Li et al. 2024]: learn what verdict and peers let through",
    ),
    "edit": (
        "tutelage.recipes.edit:RECIPE",
        "EDIT [Dai et al. 2024]: learn right chains, then the steps in which right and wrong ones part",
    ),
    "sert": (
        "tutelage.recipes.sert:RECIPE",
        "after SERT [Zhang et al. 2025]: learn one's own answers that look like reasoning, then a teacher's",
    ),
    "distil": (
        "tutelage.recipes.distil:RECIPE",
        "distillation from a teacher's probabilities, on its texts and the student's own [GKD: Agarwal et al. 2023]",
    ),
    "probe": (
        "tutelage.recipes.probe:RECIPE",
        "can a student use what its teacher said of its mistakes? nothing is trained",
    ),
    "exam": ("tutelage.recipes.exam_only:RECIPE", "one model sits one exam; nothing is trained"),
}
