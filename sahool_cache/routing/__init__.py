"""
Where a command goes: who is master, who may be read, and how that is learned.
"""
