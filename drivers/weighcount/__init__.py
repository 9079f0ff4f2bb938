"""Counting by weight: a counter made of any scale and the weight of one piece."""
