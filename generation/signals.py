"""What this app tells the apps above it."""

from django.dispatch import Signal

# Sent with `item` (a SamplingItem whose completions are all stored), inside the transaction that stores them.
item_sampled = Signal()
