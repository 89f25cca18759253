"""What a run is while it is made: when it begins and ends, whose it is, what is saved into it, and what other processes train.

Knows instrument, tracking, models, the store and the manager of integrations; no framework, and not the process's one client.
"""
