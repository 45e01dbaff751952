"""Deliveries and polls become pairs."""
