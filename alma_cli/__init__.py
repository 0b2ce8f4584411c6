"""Turn an open language model into a translator: the ALMA recipe (arXiv 2309.11674) as a command-line toolkit."""

__version__ = "0.1.0"
