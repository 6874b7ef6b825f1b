"""Loads days into PyTorch: `Loader`, and what it yields."""

from shardback.torch.batch import Batch
from shardback.torch.loader import Loader
from shardback.torch.plan import DayPlan, Plan

__all__ = ["Batch", "DayPlan", "Loader", "Plan"]
