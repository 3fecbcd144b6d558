"""What a teacher's replies cost, and the caps that no request may pass."""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from tutelage.errors import ConfigError
from tutelage.models.remote.dispatch import Refused
from tutelage.models.remote.prices import Price
from tutelage.models.remote.usage import Usage, worst_input
from tutelage.spending import MILLION, BudgetConfig, Spending
from tutelage.types import Chat, Reply, Sampling, Spent


class Meter:
    """Counts what one model is paid and refuses what could pass a cap, requests in flight counted at their worst.

    `note(row)` keeps a row where a later session finds it; `spent` is what earlier sessions left. All models of a run share
    one `spent`, with what each has in flight, so that together they pass no cap either.
    """

    def __init__(
        self,
        model: str = "",
        price: Price | None = None,
        budget: BudgetConfig | None = None,
        spent: Spending | None = None,
        note: Callable[[Spent], None] = lambda row: None,
    ) -> None:
        self.model = model
        self.price = price
        self.budget = budget or BudgetConfig()
        self.spent = spent or Spending()
        self.note = note
        self.system = ""  # sent with every chat
        if price is None:
            self.spent.dollars = None  # unpriced from the first call on, never $0
        self._held: dict[int, tuple[int, int]] = {}  # in flight: the most tokens in and out
        if self.budget.dollars is not None and price is None:
            raise ConfigError(
                f"budget.dollars={self.budget.dollars}: the price of {model!r} is not known; give it as price: "
                "{input: …, output: …} in dollars a million tokens, or set budget.tokens instead"
            )

    def cost(self, tokens_in: int, tokens_out: int) -> Decimal | None:
        """Dollars for so many tokens; None where the price is not known."""
        return None if self.price is None else (tokens_in * self.price.input + tokens_out * self.price.output) / MILLION

    def priced(self, reply: Reply) -> Reply:
        """A reply with what it cost."""
        dollars = self.cost(reply.tokens_in, reply.tokens_out)
        return replace(reply, dollars=None if dollars is None else f"{dollars.normalize():f}")

    def tokens(self, chat: Chat, sampling: Sampling) -> int:
        """About how many tokens a request takes, as rate limits count them."""
        return worst_input(chat, self.system) // 3 + sampling.max_tokens

    def reserve(self, index: int, chat: Chat, sampling: Sampling) -> None:
        """Count a request that is about to be sent; raises Refused when a cap could be passed."""
        most = worst_input(chat, self.system), sampling.max_tokens
        dollars = self.cost(*most) or Decimal(0)
        budget, spent = self.budget, self.spent
        with spent.lock:  # another model's thread may be between its own look and its own request
            self._free(index)
            if budget.calls is not None and spent.calls + 1 > budget.calls:
                raise Refused
            if budget.tokens is not None and spent.tokens + spent.held_tokens + sum(most) > budget.tokens:
                raise Refused
            if (
                budget.dollars is not None
                and (spent.dollars or Decimal(0)) + spent.held_dollars + dollars > budget.dollars
            ):
                raise Refused
            self._held[index] = most
            spent.held_tokens += sum(most)
            spent.held_dollars += dollars
            # Written down before it is sent: what a killed process had in flight counts, and every try of a request does.
            self._count(1, "sent")

    def take_back(self, calls: int) -> None:
        """Requests that were counted and are not sent after all."""
        self._count(-calls, "not sent")
        self.end()

    def settle(self, index: int, usage: Usage, outcome: str) -> None:
        """Put what a reply took in the place of what it could have taken; what is not known of it stays at the most."""
        most_in, most_out = self._free(index) or (0, 0)
        tokens_in = usage.tokens_in if usage.known_in else max(most_in, usage.tokens_in)
        tokens_out = usage.tokens_out if usage.known_out else max(most_out, usage.tokens_out)
        self._add(tokens_in, tokens_out, outcome)

    def rest(self, index: int) -> None:
        """An attempt was refused: until it is tried again a request can take nothing, and others have its room."""
        self._free(index)

    def lost(self, index: int) -> None:
        """An attempt timed out: the server may have worked, and billed, to the end."""
        self._add(*(self._free(index) or (0, 0)), "timed out")

    def end(self) -> None:
        """Nothing is in flight any more."""
        for index in list(self._held):
            self._free(index)

    def _free(self, index: int) -> tuple[int, int] | None:
        """Hold a request no longer: what it could have taken, or None if it was not held."""
        with self.spent.lock:
            held = self._held.pop(index, None)
            if held is not None:
                self.spent.held_tokens -= sum(held)
                self.spent.held_dollars -= self.cost(*held) or Decimal(0)
            return held

    def refusal(self) -> str:
        """Why no further request was sent."""
        caps = {name: value for name, value in self.budget.model_dump(exclude={"until"}).items() if value is not None}
        listed = ", ".join(f"budget.{name}={value}" for name, value in caps.items())
        return (
            f"the budget is spent: {self.spent.line()}, and the next request could pass {listed}. Everything paid for is "
            "kept: raise the budget and run the same command again"
        )

    def _count(self, calls: int, outcome: str) -> None:
        nothing = None if self.price is None else "0"
        with self.spent.lock:
            self.spent.calls += calls
            self.note(Spent(model=self.model, calls=calls, dollars=nothing, outcome=outcome))

    def _add(self, tokens_in: int, tokens_out: int, outcome: str) -> None:
        dollars = self.cost(tokens_in, tokens_out)
        row = Spent(
            model=self.model,
            calls=0,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            dollars=None if dollars is None else str(dollars),
            outcome=outcome,
        )
        spent = self.spent
        with spent.lock:
            spent.tokens_in += tokens_in
            spent.tokens_out += tokens_out
            spent.dollars = None if dollars is None or spent.dollars is None else spent.dollars + dollars
            self.note(row)
