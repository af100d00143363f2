"""The wire schemas of every command, the same for HTTP and the inbox (marshmallow).

Messages name what is wrong and never echo what was sent.
"""
