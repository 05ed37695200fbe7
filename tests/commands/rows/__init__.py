"""
What is called on both clients, by kind of data.
"""
