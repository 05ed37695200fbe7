"""
``sahool-cache restore``: a backup proved on a scratch server, and then copied into the group.
"""
