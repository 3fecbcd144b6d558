"""The objects that transformers hands us, by name."""

from typing import Any

# None of these is checked: what they have differs by architecture, transformers makes much of it at run time, and a file
# that names one here loads no torch.
LanguageModel = Any  # transformers' PreTrainedModel, or peft's PeftModel around one
Tokenizer = Any  # transformers' PreTrainedTokenizerBase
ModelConfig = Any  # transformers' PreTrainedConfig
Dtype = Any  # torch.dtype
