"""
The failover test: a failover on purpose, and what a client sees of it.
"""
