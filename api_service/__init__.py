"""The gateway: accepts bookings, hands them to the backends, and tells what became of them."""
