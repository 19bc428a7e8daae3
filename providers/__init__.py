"""The outside world, simulated: a payment provider and a mail catcher, with a memory of every raw call."""
