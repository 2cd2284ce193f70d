"""Other systems that are told of runs: a module each, loaded by `plugins` in a process of its own."""
