"""Who answers: every kind of model there is; `opening` makes one of a spec such as "hf:smollm2" or "openai:gpt-4o-mini"."""

# Models made of models; each is one file in `solvers/`.
SOLVERS = {
    "adaptive": (
        "tutelage.solvers.adaptive:Adaptive",
        "stages from the cheapest to the dearest, as far as samples disagree [after Adaptive-Solver, Zhou et al. 2023]",
    ),
    "prompted": ("tutelage.solvers.prompted:Prompted", "a model that is asked in another form, such as plan-and-solve"),
    "cascade": (
        "tutelage.solvers.cascade:Cascade",
        "one model where its samples agree, another where they do not, within a day's calls and dollars",
    ),
    "vote": ("tutelage.solvers.vote:Vote", "the answer that most of n samples of a model give [Wang et al. 2022]"),
}
MODELS = {
    "hf": ("tutelage.models.local.hf:Hf", "a Hugging Face model: hub id, folder, GGUF file, or the packaged 'smollm2'"),
    "vllm": ("tutelage.models.local.vllm:Vllm", "the same by vLLM's engine on this machine; needs the extra 'vllm'"),
    "openai": (
        "tutelage.models.remote.openai:OpenAICompatible",
        "any OpenAI-compatible endpoint; base_url= for other servers",
    ),
    "anthropic": ("tutelage.models.remote.anthropic:Anthropic", "Anthropic's models; needs the extra 'anthropic'"),
    "google": ("tutelage.models.remote.google:Google", "Google's Gemini models; needs the extra 'google'"),
    "recorded": ("tutelage.models.recorded:Recorded", "replies from a JSONL file; a question it lacks is an error"),
    "scripted": ("tutelage.models.scripted:Scripted", "a Python function package.module:NAME; the test double"),
    "worked": ("tutelage.models.worked:Worked", "the task's own worked solutions: the offline teacher"),
    **SOLVERS,
}
PAID = {"openai", "anthropic", "google"}  # kinds whose replies are kept in the reply cache
FREE = {"recorded", "scripted", "worked"}  # kinds that take neither money nor time
# What these take is written down here too, so that it can be checked without loading what computes them.
LOCAL = {
    "hf": ("name", "batch", "dtype", "device", "trust_remote_code", "cache"),
    "vllm": ("name", "dtype", "gpus", "memory", "max_length", "trust_remote_code", "engine"),
}
# Options that decide how a model is asked and paid, and nothing about what it answers.
LIMITS = {"concurrency", "requests_per_minute", "tokens_per_minute", "timeout", "patience", "tries"}
PAYING = {"price", "batch", "poll"}
