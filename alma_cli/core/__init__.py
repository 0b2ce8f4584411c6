"""The training core that every subcommand shares."""
