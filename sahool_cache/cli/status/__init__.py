"""
The group at a glance: what it is, who answers, and each server's figures.
"""
