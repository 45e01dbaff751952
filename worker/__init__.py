"""The service: from deliveries and polls to true stock, one room per step."""
