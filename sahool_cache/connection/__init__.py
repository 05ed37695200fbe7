"""
The door to redis-py's connections: lanes that many callers share, and a pool of exclusive ones.
"""
