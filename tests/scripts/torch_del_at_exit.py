# needs: torch; in CI: helpers, autolog, framework
"""Objects of the user's that go on with the model while Python takes everything apart."""

import torch
from torch.utils.data import DataLoader

import autolog

autolog.autolog()


class Trainer:
    def __init__(self, model, data):
        self.model, self.data = model, data
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.loader = DataLoader(data, batch_size=4)

    def step(self, inputs):
        loss = self.model(inputs).square().mean()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def attempt(self, what):
        try:
            return what()
        except Exception as error:
            return type(error).__name__

    def __del__(self):
        print(self.data.sum().item(), self.attempt(lambda: self.model.eval().training))
        print(self.attempt(lambda: self.step(self.data)), self.attempt(lambda: len(list(self.loader))))


torch.manual_seed(0)
trainer = Trainer(torch.nn.Linear(2, 1), torch.rand(8, 2))
print([trainer.step(batch) for batch in trainer.loader])
ring = [Trainer(torch.nn.Linear(2, 1), torch.rand(8, 2))]
ring.append(ring)
