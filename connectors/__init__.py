"""Everything that knows a vendor. Knows nothing of the worker.

Read `contract` first: it is the whole of what the worker may ask of a vendor.
"""
