"""Random streams that depend on what is asked and on nothing else."""

import hashlib

from tutelage.types import Chat


def seed_of(chat: Chat, seed: int, sample: int) -> int:
    """A random stream for one sample of one chat, below 2^56."""
    content = "\x00".join(message.content for message in chat.messages)
    return int.from_bytes(hashlib.sha256(f"{seed}/{sample}/{content}".encode()).digest()[:7], "big")
