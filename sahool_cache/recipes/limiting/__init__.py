"""
The parts of the rate limiter.
"""
