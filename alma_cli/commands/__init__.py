"""One file a subcommand: options in, library called, console out."""
