# needs: torch; in CI: none
"""A DataLoader with workers that persist, whose last iterator is left open; the data set's items are made by the workers."""

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

import autolog

autolog.autolog()


class Numbers(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, index):
        return torch.tensor([float(index), float(get_worker_info().id)]), torch.tensor([index / 24])


if __name__ == "__main__":
    torch.manual_seed(0)
    loader = DataLoader(Numbers(), batch_size=6, num_workers=2, persistent_workers=True)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(2):
        for inputs, target in loader:
            loss = (model(inputs) - target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(loss.item(), inputs[:, 1].tolist())
    left_open = iter(loader)
    print(next(left_open)[0].sum().item())
