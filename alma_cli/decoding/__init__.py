"""Model and sources in, translations out."""
