"""
Caching, rate limiting and locking, built on the public client only.
"""
