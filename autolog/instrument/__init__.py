"""Reversible replacement of a framework's functions and methods, and the lifecycle of one intercepted call.

This package knows nothing of runs, stores, sinks or configuration. The `CallHandler` for which a patch is installed decides
what an intercepted call means.
"""
