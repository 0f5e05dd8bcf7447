"""Training: the loop, the stages that it runs, their batches, and the report of a run."""
