"""
The demo: a real group loses its master twice, live, under traffic from two clients.
"""
