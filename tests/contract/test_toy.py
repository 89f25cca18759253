"""The fixture integration, written as integrations/README.md teaches, keeps the promises."""

from __future__ import annotations

from typing import Any

from autolog.testing import Contract


class TestToy(Contract):
    integration = "toy"
    packages = ("toy",)

    def data(self) -> Any:
        return [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]

    def train(self, data: Any) -> Any:
        import toy

        return toy.Careful().fit(*data, noise=1.0)

    def outcome(self, model: Any, data: Any) -> Any:
        return model.predict(data[0]), vars(model)

    def fail(self, data: Any) -> None:
        import toy

        toy.Careful().fit(data[0], data[1][:1])

    def objects(self) -> list[Any]:
        import toy

        return [toy.Mean(), toy.Committee().fit(*self.data())]
