"""
``sahool-cache backup``: an RDB file of the group, taken from a replica.
"""
