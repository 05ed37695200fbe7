"""
Reads and writes through a client while something is done to its group, and a book of what became
of them.
"""
