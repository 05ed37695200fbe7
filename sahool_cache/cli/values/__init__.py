"""
Single keys: what is in them, and setting one.
"""
