# needs: torch; in CI: helpers, autolog, framework
"""A loop over a DataLoader, all of it at module level; every object lives until Python takes the module apart."""

import torch
from torch.utils.data import DataLoader, TensorDataset

import autolog

autolog.autolog()

torch.manual_seed(0)
X = torch.randn(64, 3)
loader = DataLoader(TensorDataset(X, X.sum(1, keepdim=True)), batch_size=16, shuffle=True)
valid = DataLoader(TensorDataset(X[:8], X[:8, :1]), batch_size=4)
model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
criterion = torch.nn.MSELoss()
for epoch in range(3):
    for inputs, target in loader:
        optimizer.zero_grad()
        loss = criterion(model(inputs), target)
        loss.backward()
        optimizer.step()
    scheduler.step()
    with torch.no_grad():
        print(epoch, loss.item(), sum(criterion(model(a), b).item() for a, b in valid))
