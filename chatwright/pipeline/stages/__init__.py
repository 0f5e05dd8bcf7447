"""The stages, one module each. `stage_kinds.py` lists them."""
