"""What one message changes, worked out in the writer's turn: who is meant, what is observed, which rows follow.

Planning reads through the transaction and returns rows; it never mutates what was parsed, so it can run again.
"""
