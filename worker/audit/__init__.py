"""Proving the numbers: for every listing, which cause moved which unit since it was first met."""
