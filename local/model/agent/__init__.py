"""What the composer says next: a function of the conversation and of nothing else."""

from local.model.agent.turn import respond

__all__ = ("respond",)
