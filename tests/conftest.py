"""What holds for all tests."""

from __future__ import annotations

import signal

# A shell without job control starts its background jobs deaf to Ctrl-C, and so are their children: tests that interrupt a
# process would then test nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
