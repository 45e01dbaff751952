"""What the vendor sandboxes share: a stock model, a log of events, faults, clocks, and a way to serve them.

A sandbox is a local server that speaks a vendor's protocol faithfully. Only the demo, the command line and tests
import one; the connectors never do: the two agree through the protocol alone.
"""
