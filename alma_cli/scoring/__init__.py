"""Hypotheses in, scores with signatures out."""
