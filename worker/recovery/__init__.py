"""After a restore: what the marketplace kept and the database lost is found and booked again, once."""
