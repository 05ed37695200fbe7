"""
The parts of `cache_result`.
"""
