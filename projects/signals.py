"""What this app tells the apps above it."""

from django.dispatch import Signal

# Sent with `project` when it was saved, after the transaction: how many people judge a comparison may be another now.
project_saved = Signal()

# Sent with `project` and `person` (a User) after somebody left a project or was removed from it; with `project` None
# after their account was deactivated, which takes them out of every project. Sent after the transaction. What lies
# before them there can go to others; their judgements stay.
person_left = Signal()
