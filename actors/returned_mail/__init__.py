"""Parser of returned mail in a process of its own, so that a hostile mail cannot hurt anything else."""
