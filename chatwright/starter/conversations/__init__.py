"""One module for each kind of conversation, and `mixture.py`, which mixes them.

Each module draws training conversations (`draw_conversation`) and, if the exam scores its skills
(`SKILLS`), exam items (`draw_exam_item`). Its sentences are in `patterns/`.
"""
