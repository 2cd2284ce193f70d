"""The command line: one file a command, each parse -> one call of the API -> print -> exit code."""
