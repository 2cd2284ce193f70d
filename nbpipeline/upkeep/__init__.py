"""What a project needs beside its runs: checks, trials, records by hand, cleaning, a doctor."""
