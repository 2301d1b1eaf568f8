"""Adapters to begin with, and to try things."""

from snakepit_bridge.adapters.template import TemplateAdapter

__all__ = ["TemplateAdapter"]
