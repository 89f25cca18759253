"""Makes runs: when they begin and end, which run they belong to, what is saved into them, and what other processes train.

Knows instrument, tracking, models, the store and the manager of integrations. It knows neither a framework nor the process's
client.
"""
