"""Prompts for feedback on the starter model, and simulated raters who know the starter corpus.

Everything here is labeled as simulated. The judge of win rates shares no rule with the raters and
is in `evaluation/starter_judge.py`.
"""
