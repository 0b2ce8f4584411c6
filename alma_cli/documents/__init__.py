"""A file to its translatable segments and back, byte-faithful around them."""
