"""Save and load models, adapters and training runs; read and write other tools' files."""
