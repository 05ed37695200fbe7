"""
The group live: what happens, and how everybody is doing.
"""
