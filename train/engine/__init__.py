"""Winnow's trainer: Direct Preference Optimization on groups of judged answers.

It runs alone (`python -m train.engine CONFIG.json`) and imports no other part of Winnow.
"""
