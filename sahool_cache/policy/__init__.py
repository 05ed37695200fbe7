"""
How hard we try: one budget per call, repeats where they are safe, a breaker per node.
"""
