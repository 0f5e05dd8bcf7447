"""A stage around another one, the same in everything: what adds to any stage (a teacher, a check) changes only the method it is about."""

from typing import Any

from torch import nn

from chatwright.training.stage import Batch, Loss, M, Micro, Stage


class WrappedStage(Stage[M, Micro]):
    def __init__(self, inner: Stage[M, Micro]) -> None:
        self.inner, self.name = inner, inner.name

    def next_batch(self) -> Batch[Micro]:
        return self.inner.next_batch()

    def loss(self, model: M, micro_batch: Micro) -> Loss:
        return self.inner.loss(model, micro_batch)

    def fresh_loss(self, model: M) -> float:
        return self.inner.fresh_loss(model)

    def own_weights(self) -> dict[str, nn.Parameter]:
        return self.inner.own_weights()

    def evaluate(self, model: M) -> dict[str, float]:
        return self.inner.evaluate(model)

    def samples(self, model: M) -> list[tuple[str, str]]:
        return self.inner.samples(model)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()

    def state_dict(self) -> dict[str, Any]:
        return {"inner": self.inner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.inner.load_state_dict(state["inner"])
