"""One module for each kind of conversation, and `mixture.py`, which mixes them.

Each module draws training conversations (`draw_conversation`). Most also draw items of the exam,
the held-out evaluation set (`draw_exam_item`), for the skills in `SKILLS`. The sentence patterns
are in `patterns/`.
"""
