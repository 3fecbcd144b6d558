"""What a fleet asks of an engine and what the engine says, as plain data that goes through any pipe."""

from collections.abc import Sequence

from msgspec import Struct

from tutelage.types import Chat, JsonObject, Reply, Sampling, TokenScores


class Order(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="do"):
    """Something to do; `number` names it in all that is said of it."""

    number: int = 0


class Open(Order, frozen=True, tag="open"):
    """Open a model and load its weights; the first order of each engine."""

    spec: JsonObject
    sharing: int = 1  # engines that share this machine's memory and cores


class Cut(Order, frozen=True, tag="cut"):
    """Say which chats are best answered together, where so many engines share them."""

    chats: Sequence[Chat]
    sampling: Sampling
    engines: int


class Ask(Order, frozen=True, tag="ask"):
    """Answer chats."""

    chats: Sequence[Chat]
    sampling: Sampling


class Weigh(Order, frozen=True, tag="weigh"):
    """Say how likely texts are as answers to chats."""

    chats: Sequence[Chat]
    texts: Sequence[str]
    top: int = 0


class Drop(Order, frozen=True, tag="drop"):
    """Nobody waits for an order any more."""


AnyOrder = Open | Cut | Ask | Weigh | Drop


class Word(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="say"):
    """Something that an engine says of an order."""

    number: int = 0


class Ready(Word, frozen=True, tag="ready"):
    """It is loaded. `at_once` sequences are best in its hands; none: it takes batches of its own, one at a time."""

    at_once: int = 0


class Begun(Word, frozen=True, tag="begun"):
    """It has begun with an order, so that this one may be why it ends."""


class CutUp(Word, frozen=True, tag="cut_up"):
    """Which chats are best answered together."""

    batches: list[list[int]]


class Answered(Word, frozen=True, tag="answered"):
    """The replies to the chat at a place of an order."""

    place: int
    replies: list[Reply]


class Weighed(Word, frozen=True, tag="weighed"):
    """How likely the text at a place of an order is."""

    place: int
    scores: TokenScores


class Made(Word, frozen=True, tag="made"):
    """What the rounding of the answers that follow depends on."""

    conditions: JsonObject


class Over(Word, frozen=True, tag="over"):
    """All of an order is answered; and what a reader should know of how, and how undecided the model was since the last: nats and tokens."""

    remarks: list[str] = []
    doubt: tuple[float, int] = (0.0, 0)


class Failed(Word, frozen=True, tag="failed"):
    """It cannot be done, which no other engine could mend either; `kind` is that of the error."""

    kind: str
    message: str


AnyWord = Ready | Begun | CutUp | Answered | Weighed | Made | Over | Failed
