"""
What connects the client with other packages. Each module needs the extra of its name.
"""
