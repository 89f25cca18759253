# needs: torch, datasets; in CI: as written
"""A data set of Hugging Face's, which knows what was done to it by a digest of the functions and of all that they use."""

import torch
from datasets import Dataset, disable_progress_bars
from torch.utils.data import DataLoader

import autolog

autolog.autolog()
disable_progress_bars()

torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
rows = Dataset.from_dict({"x": [[float(i), 1.0] for i in range(12)], "y": [float(2 * i) for i in range(12)]})


def scaled(row):
    with torch.no_grad():
        return {"x": (torch.tensor(row["x"]) / 12).tolist(), "seen": model(torch.tensor(row["x"])).item()}


data = rows.map(scaled)
print(data._fingerprint, data["seen"][:3])
for batch in DataLoader(data.with_format("torch"), batch_size=4):
    loss = (model(batch["x"]).squeeze(1) - batch["y"]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())
print(rows.map(scaled)._fingerprint)
