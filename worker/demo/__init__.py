"""The demo: real sales replayed through local vendor servers, and an independent proof of every unit.

sales      the data file, read and checked
replay     what happens on the shop, and what must be committed in the end (pure)
catalogue  listings, opening stock and links (pure)
buyers     who buys on the marketplace meanwhile
shop       places the orders and refunds
processes  sandboxes and trueup, each in a process of its own
setting    the scene before the first sale: configuration, listings, links, webhooks
quiet      when everything that was going to happen has happened
proof      whether every number is what it must be (pure); observations fetches those numbers
report     what people and programs are told
"""

from worker.demo.main import Options, run

__all__ = ["Options", "run"]
