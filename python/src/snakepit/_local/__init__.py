"""Clusters of this machine for as long as a script, or a notebook's cell, wants them."""
