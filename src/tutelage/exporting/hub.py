"""Pushing an exported student to the Hugging Face hub, or whatever HF_ENDPOINT names."""

from pathlib import Path

from tutelage.errors import ConfigError, ModelError
from tutelage.redaction import told


def check_push(name: str) -> None:
    """Say at once, before anything is made, that a push cannot work: a wrong name, no token, or no network wanted."""
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ConfigError(f"--push {name}: {error}") from None
    if name.count("/") != 1:
        raise ConfigError(f"--push {name}: give the owner too, as in org/name")
    if constants.HF_HUB_OFFLINE:
        raise ConfigError("--push needs the hub, and HF_HUB_OFFLINE is set; unset it")
    if get_token() is None:
        raise ConfigError("--push needs a token of the hub: set HF_TOKEN, or log in with: hf auth login")


def push(folder: str | Path, name: str, private: bool = True) -> str:
    """Upload an exported folder as the repository `name`, which is made if it is not there; returns its address.

    A public repository that is there already is refused where a private one is wanted.
    """
    from huggingface_hub import HfApi, constants

    check_push(name)
    api = HfApi()
    try:
        address = api.create_repo(name, private=private, exist_ok=True)
        public = private and not api.repo_info(name).private
        if not public:
            api.upload_folder(repo_id=name, folder_path=folder, commit_message="Export of Tutelage")
    except Exception as error:  # the client raises its own errors, those of its network library and Python's
        raise ModelError(f"{constants.ENDPOINT} did not take {name}: {_said(error)}") from None
    if public:
        raise ModelError(f"{name} is there already and public; push with --public, or choose another name")
    return str(address)


def _said(error: Exception) -> str:
    """What went wrong in one line, without the token whatever a server may echo."""
    from huggingface_hub import get_token

    response = getattr(error, "response", None)
    status = f"status {response.status_code}: " if response is not None else ""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    message = getattr(error, "server_message", None) or line
    return told(f"{status}{message}", get_token())
