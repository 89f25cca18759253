"""Reversible replacement of a framework's functions and methods, and the life of one intercepted call.

This package knows nothing of runs, stores, sinks or configuration: what an intercepted call means is decided by the
`CallHandler` it is installed for.
"""
