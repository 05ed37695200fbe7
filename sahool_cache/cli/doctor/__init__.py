"""
What ``sahool-cache doctor`` is made of.

`asking` asks every server and sentinel once, `facts` holds what they said, `checks` are pure
functions from facts to findings, `diagnosis` runs them, `report` tells.
"""
