"""
The parts of `DistributedLock`.
"""
