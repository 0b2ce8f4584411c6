"""Corpora of every format, read in blocks: one file a family of formats, one small picklable class a format."""
