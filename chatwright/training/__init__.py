"""The training loop, its stages, batches and optimizers."""
