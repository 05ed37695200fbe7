"""
A quick look at what this client does against a group, from here.
"""
